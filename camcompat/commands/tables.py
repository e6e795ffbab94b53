"""What the command line prints: tables on a terminal or a pipe, JSON where asked for."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from prototxt.errors import printable

if TYPE_CHECKING:
    from camcompat.cam.result import Result
    from camcompat.conversion.converter import Artefact
    from camcompat.conversion.inspection import Inspection
    from weights.downloads.fetch import Outcome

__all__ = [
    "CSV_HEADER",
    "artefact_line",
    "csv_lines",
    "print_catalogue",
    "print_inspection",
    "print_outcomes",
    "print_result",
]


def _print(table: Table) -> None:
    """As wide as the terminal; in a pipe, as wide as the text, so that nothing is cut off."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(120, Console(width=10_000).measure(table).maximum))
    console.print(table)


def print_catalogue(as_json: bool) -> None:
    """Every model of the catalogue."""
    from weights.models import catalog

    models = list(catalog().values())
    if as_json:
        keys = ("name", "title", "source", "licence", "citation", "paper", "cam", "checked_by")
        entries = [
            {**{key: getattr(m, key) for key in keys}, "present": m.present(), "folder": str(m.folder)} for m in models
        ]
        click.echo(json.dumps(entries, indent=1))
        return
    table = Table("name", "what", "CAM", "here", "checked by", "licence", box=None, pad_edge=False)
    for m in models:
        here = "yes" if m.present() else ""
        table.add_row(m.name, m.title, "yes" if m.cam else "", here, m.checked_by, m.licence)
    _print(table)


def print_outcomes(outcomes: Sequence[Outcome]) -> None:
    """What became of each download, with the remedy where it failed."""
    for outcome in outcomes:
        mark = click.style("ok    ", fg="green") if outcome.ok else click.style("FAILED", fg="red")
        click.echo(f"{mark} {printable(outcome.name)}: {printable(outcome.detail)}")
        for line in (outcome.remedy, *outcome.notes):
            if line:
                click.echo(f"       {printable(line)}")
    good = sum(outcome.ok for outcome in outcomes)
    click.echo(f"{good} of {len(outcomes)} models are here")


def artefact_line(artefact: Artefact) -> str:
    """One line per file written."""
    return f"{artefact.path}  {artefact.size / 1e6:.1f} MB  {artefact.what}  ({artefact.proof})"


def _shape(shapes: Sequence[Sequence[int | str]]) -> str:
    return "  ".join("x".join(map(str, shape)) or "scalar" for shape in shapes)


def print_inspection(net: Inspection, as_json: bool) -> None:
    """Layers, totals, and what is not supported."""
    if as_json:
        click.echo(json.dumps(net.as_dict(), indent=1))
        return
    table = Table("layer", "type", "output", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("multiply-adds", justify="right")
    for row in net.rows:
        kind = f"{row.type} [{row.variant}]" if row.variant else row.type
        kind = f"{kind}  NOT SUPPORTED" if row.error else kind
        table.add_row(
            _text(row.name),
            _text(kind),
            _shape(row.shape),
            *(f"{n:,}" if n else "" for n in (row.parameters, row.multiply_adds)),
        )
    table.add_section()
    table.add_row("total", "", "", f"{net.parameters:,}", f"{net.multiply_adds:,}")
    _print(table)
    click.echo(f"\ninputs   {', '.join(f'{printable(name)} {_shape([shape])}' for name, shape in net.inputs.items())}")
    click.echo(f"outputs  {', '.join(map(printable, net.outputs))}")
    click.echo(f"batch    {net.batch}")
    click.echo(f"CAM      {printable(net.cam) or 'no head found'}")
    for note in net.notes:
        click.echo(f"note: {printable(note)}")
    for row in net.unsupported:
        click.echo(f"not supported: {printable(row.error)}")


def _text(text: str) -> str:
    """A name from a file: rich would read [..] as markup, and the terminal its control characters."""
    from rich.markup import escape

    return escape(printable(text))


def print_result(result: Result, saved: Path | None) -> None:
    """A picture's classes, their boxes where asked for, and where the maps were drawn."""
    click.echo(result.source if saved is None else f"{result.source} -> {saved}")
    for rank, line in enumerate(result.lines()):
        boxes = () if result.rule is None else result.boxes[rank]
        click.echo("  ".join([printable(line), *(f"[{_box(box)}]" for box in boxes)]))  # labels come from a file


CSV_HEADER = "picture,rank,class,label,score,boxes"


def csv_lines(result: Result) -> str:
    """A line per class."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    found = result.as_dict()
    for entry in found["classes"]:
        boxes = ";".join(map(_box, entry.get("boxes", ())))
        writer.writerow([found["picture"], entry["rank"], entry["class"], entry["label"], entry["score"], boxes])
    return stream.getvalue()


def _box(box: Sequence[int]) -> str:
    return " ".join(map(str, box))
