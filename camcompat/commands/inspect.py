"""`camcompat inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from camcompat.commands.options import losses_option, plugin_option, shape_option
from prototxt.errors import printable

if TYPE_CHECKING:
    from camcompat.conversion.inspection import Inspection

ORDER = 4


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
    from camcompat.conversion.converter import as_files
    from camcompat.conversion.inspection import inspect
    from weights.models import find

    files: tuple[str | Path | None, str | Path | None] | None = as_files(sources)
    if files is None:
        if len(sources) > 1:
            raise click.UsageError("give one model's name, or the files of one net")
        model = find(sources[0])
        files = (model.path("prototxt"), model.path("caffemodel") if model.present("caffemodel") else None)
    _print_net(inspect(*files, **options), as_json)


def _print_onnx(path: str, as_json: bool) -> None:
    import json

    from camcompat.conversion.inspection import inspect_onnx
    from prototxt.errors import escaped

    found = inspect_onnx(path)
    click.echo(json.dumps(found.as_dict(), indent=1) if as_json else "\n".join(map(escaped, found.lines())))


def _print_net(net: Inspection, as_json: bool) -> None:
    """Layers, totals, and what is not supported."""
    import json

    from camcompat.commands.tables import print_table

    if as_json:
        click.echo(json.dumps(net.as_dict(), indent=1))
        return
    rows = []
    for row in net.rows:
        kind = f"{row.type} [{row.variant}]" if row.variant else row.type
        kind = f"{kind}  NOT SUPPORTED" if row.error else kind
        rows.append(
            (row.name, kind, _shape(row.shape), *(f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds)))
        )
    total = ("total", "", "", f"{net.parameters:,}", f"{net.multiply_adds:,}")
    print_table(("layer", "type", "output", ">parameters", ">multiply-adds"), rows, total)
    click.echo(f"\ninputs   {', '.join(f'{printable(name)} {_shape([shape])}' for name, shape in net.inputs.items())}")
    click.echo(f"outputs  {', '.join(map(printable, net.outputs))}")
    click.echo(f"batch    {net.batch}")
    click.echo(f"CAM      {printable(net.cam) or 'no head found'}")
    for note in net.notes:
        click.echo(f"note: {printable(note)}")
    for row in net.unsupported:
        click.echo(f"not supported: {printable(row.error)}")


def _shape(shapes: Sequence[Sequence[int | str]]) -> str:
    return "  ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)
