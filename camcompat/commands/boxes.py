"""`camcompat boxes`."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from camcompat.commands.options import Command, rule_options
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.boxes import Rule

ORDER = 6
COLUMNS = {"boxes": ("x", "y", "width", "height"), "corners": ("x1", "y1", "x2", "y2")}


@click.command("boxes", cls=Command)
@click.argument("maps", nargs=-1, required=True, type=click.Path(path_type=Path))
@rule_options()
@click.option("--corners", is_flag=True, help="x1 y1 x2 y2, as generate_bbox.m makes them (x2 = x + width).")
@click.option("--json", "as_json", is_flag=True, help="As JSON, a line per map.")
@click.option("--csv", "as_csv", is_flag=True, help="As CSV, a line per box.")
def command(maps: Sequence[Path], rule: Rule, corners: bool, as_json: bool, as_csv: bool, **options: Any) -> None:
    """Find boxes in heat maps (JPEG, PNG, .npy).

    Prints `x y width height ` of each box, a line per map, as the release's dt_box does. A map that cannot be read is
    reported, and the others are done. For pictures and a network: `camcompat cam MODEL PICTURES --boxes RULE`.
    """
    from camcompat.boxes import find_boxes, read_map, release_corners
    from camcompat.boxes.rule import check_options

    if as_json and as_csv:
        raise click.UsageError("choose --json or --csv")
    chosen = {name: value for name, value in options.items() if value is not None and value != ()}
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
