"""`camcompat inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from camcompat.commands.options import losses_option, plugin_option, shape_option


@click.command("inspect")
@click.argument("sources", nargs=-1, metavar="(NAME | PROTOTXT [CAFFEMODEL] | CAFFEMODEL | NET.onnx)", required=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@losses_option
@shape_option
@plugin_option
def command(sources: Sequence[str], as_json: bool, plugin: Any, **options: Any) -> None:
    """List layers, shapes and costs.

    Also what is not supported, where the CAM head is, and why the batch axis is fixed if it is.
    Of an ONNX file: inputs, outputs, CAM, preprocessing, and where it comes from.
    """
    if len(sources) == 1 and sources[0].lower().endswith(".onnx"):
        _print_onnx(sources[0], as_json)
        return
    from camcompat.commands.tables import print_inspection
    from camcompat.conversion.inspection import inspect
    from camcompat.conversion.sources import as_files
    from weights.models import find

    files: tuple[str | Path | None, str | Path | None] | None = as_files(sources)
    if files is None:
        if len(sources) > 1:
            raise click.UsageError("give one model's name, or the files of one net")
        model = find(sources[0])
        files = (model.path("prototxt"), model.path("caffemodel") if model.present("caffemodel") else None)
    print_inspection(inspect(*files, **options), as_json)


def _print_onnx(path: str, as_json: bool) -> None:
    import json

    from camcompat.conversion.inspection import inspect_onnx
    from prototxt.errors import escaped

    found = inspect_onnx(path)
    click.echo(json.dumps(found.as_dict(), indent=1) if as_json else "\n".join(map(escaped, found.lines())))
