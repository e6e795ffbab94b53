"""`camcompat verify`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from camcompat.commands.options import losses_option, plugin_option, shape_option
from prototxt.errors import CamcompatError

ORDER = 8


@click.command("verify")
@click.argument("sources", nargs=-1, metavar="(NAME... | [PROTOTXT] CAFFEMODEL | NET.onnx [PROTOTXT] CAFFEMODEL)")
@click.option("--all", "everything", is_flag=True, help="Everything that is present.")
@click.option("--expected", multiple=True, type=click.Path(path_type=Path), metavar="NPZ",
              help="What Caffe computed: in/<blob>, out/<blob>, mid/<blob> (repeatable).")  # fmt: skip
@click.option("--release", type=click.Path(path_type=Path), help="Folder with the CAM release's .mat files.")
@click.option("--synthetic", is_flag=True, help="Synthetic weights, where none are given.")
@click.option("--picture", "pictures", multiple=True, type=click.Path(path_type=Path), help="Feed this (repeatable).")
@click.option("-o", "--out", default="reports", show_default=True, type=click.Path(path_type=Path),
              help="Folder for the reports (JSON and HTML).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the reports as JSON.")
@losses_option
@shape_option
@plugin_option
def command(
    sources: Sequence[str], everything: bool, synthetic: bool, out: Path, as_json: bool, plugin: Any, **options: Any
) -> None:
    """Prove a conversion, by every oracle at hand.

    Caffe's stored outputs, the CAM release's data, pycaffe, OpenCV 4, a float64 evaluation and torch, blob by blob.
    Exit status 1 if anything differs that is not explained.
    """
    from camcompat.verification import targets

    if everything == bool(sources):
        raise click.UsageError("name what to verify, or give --all")
    chosen = list(targets.everything()) if everything else targets.targets_of(sources, synthetic=synthetic)
    options = {key: value for key, value in options.items() if value not in ((), None, {})}
    failed = 0
    for target in chosen:
        try:
            failed += not _verify(target, out, as_json, options)
        except CamcompatError as error:
            if len(chosen) == 1:
                raise
            failed += 1
            click.echo(f"{target.name}: {error}", err=True)
    if len(chosen) > 1:
        click.echo(f"{len(chosen) - failed} of {len(chosen)} nets are verified")
    if failed:
        sys.exit(1)


def _verify(target: Any, out: Path, as_json: bool, options: dict[str, Any]) -> bool:
    import json

    from camcompat.verification import write_report
    from camcompat.verification.report import console

    report = target.verify(progress=console.progress_line(target.name), **options)
    paths = write_report(report, out)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=1))
    else:
        console.print_report(report)
        click.echo(f"report: {paths[1]}\n")
    return bool(report.ok)
