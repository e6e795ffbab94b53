"""`camcompat bench`."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

ORDER = 9


@click.command("bench")
@click.argument("nets", nargs=-1, metavar="[NAME... | PROTOTXT [CAFFEMODEL]]")
@click.option(
    "--section",
    "sections",
    multiple=True,
    type=click.Choice(["forward", "conversion", "pictures", "size"]),
    help="Default: all (repeatable).",
)
@click.option("--quick", is_flag=True, help="Few repeats, models up to 100 MB.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--markdown", type=click.Path(path_type=Path, dir_okay=False), help="Write the page, as in docs/.")
def command(nets: Sequence[str], sections: Sequence[str], quick: bool, as_json: bool, markdown: Path | None) -> None:
    """Measure speed and memory beside OpenCV 4, torch and pycaffe.

    Those that are installed run by turns with camcompat, in one run: forward passes, conversion, whole pictures, sizes.
    Takes minutes; on a quiet machine.
    """
    from camcompat.benchmark import as_markdown, bench, print_report
    from camcompat.benchmark.suite import SECTIONS
    from weights.atomic import replacing

    report = bench(nets, sections=sections or SECTIONS, quick=quick, say=lambda line: click.echo(line, err=True))
    if markdown is not None:
        repeated = shlex.join(["camcompat", "bench", *sys.argv[2:]])
        with replacing(markdown) as temporary:
            temporary.write_text(as_markdown(report, repeated), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        print_report(report)
