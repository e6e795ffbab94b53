"""`camcompat boxes`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.boxes import Rule

ORDER = 6
COLUMNS = {"boxes": ("x", "y", "width", "height"), "corners": ("x1", "y1", "x2", "y2")}


@click.command("boxes")
@click.argument("maps", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--rule", type=click.Choice(["dt-box", "paper"]), default="dt-box", show_default=True,
              help="The release's program, or the largest part above 20 % of the maximum.")  # fmt: skip
@click.option("--thresholds", nargs=3, type=int, metavar="T0 T1 T2", help="Grey values for dt-box.  [20 100 110]")
@click.option("--replace-invalid", is_flag=True, default=None,
              help="Take 30 90 150 where the thresholds are invalid, as the original does.")  # fmt: skip
@click.option("--jpeg-quality", type=int, metavar="Q",
              help="Pass maps through JPEG before dt-box; the release's scripts had 75.")  # fmt: skip
@click.option("--fraction", type=float, help="Of the maximum, for the paper's rule.  [0.2]")
@click.option("--corners", is_flag=True, help="x1 y1 x2 y2, as generate_bbox.m makes them (x2 = x + width).")
@click.option("--json", "as_json", is_flag=True, help="As JSON, a line per map.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, a line per box.")
def command(
    maps: Sequence[Path], rule: Rule, corners: bool, as_json: bool, as_csv: bool, thresholds: Any, **options: Any
) -> None:
    """Find boxes in heat maps (JPEG, PNG, .npy).

    Prints `x y width height ` of each box, a line per map, as the release's dt_box does. A map that cannot be read is
    reported, and the others are done. For pictures and a network: `camcompat cam MODEL PICTURES --boxes RULE`.
    """
    from camcompat.boxes import find_boxes, read_map, release_corners
    from camcompat.boxes.rules import check_options

    if as_json and as_csv:
        raise click.UsageError("choose --json or --csv")
    chosen = {name: value for name, value in options.items() if value is not None}
    if thresholds:
        chosen["thresholds"] = thresholds
    check_options(rule, chosen)
    kind = "corners" if corners else "boxes"
    table = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        table.writerow(["map", *COLUMNS[kind]])
    failed = False
    for path in maps:
        try:
            boxes = find_boxes(read_map(path), rule, **chosen)
        except CamcompatError as error:
            failed = True
            click.echo(f"camcompat: {error}", err=True)
            continue
        found: list[Any] = [*release_corners(boxes)] if corners else [*boxes]
        if as_json:
            click.echo(json.dumps({"map": str(path), "rule": rule, kind: found}))
        elif as_csv:
            table.writerows([path, *box] for box in found)
        else:
            click.echo("".join(f"{number} " for box in found for number in box))
    if failed:
        sys.exit(1)
