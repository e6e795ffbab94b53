"""A report on a terminal."""

from __future__ import annotations

from collections.abc import Callable

import click
from rich import markup
from rich.console import Console
from rich.table import Table

from camcompat.verification.report.findings import OracleResult, Report
from prototxt.errors import printable

__all__ = ["print_report", "progress_line"]

COLOURS = {"agrees": "green", "explained": "yellow", "differs": "red", "not run": "bright_black"}


def print_report(report: Report) -> None:
    """The verdict and a line per oracle."""
    table = Table("oracle", "result", box=None, pad_edge=False)
    table.add_column("blobs", justify="right")
    table.add_column("largest", justify="right")
    table.add_column("remark", overflow="fold")
    for oracle in report.oracles:
        worst = oracle.worst
        largest = f"{worst.relative:.1e}" if worst else ""
        status = f"[{COLOURS[oracle.status]}]{oracle.status}[/]"
        table.add_row(_text(oracle.name), status, str(len(oracle.blobs) or ""), largest, _text(_remark(oracle)))
    console = Console()
    if not console.is_terminal:
        console = Console(width=160)
    click.secho(f"{printable(report.name)}: {printable(report.verdict)}", fg="green" if report.ok else "red", bold=True)
    console.print(table)


def _text(text: str) -> str:
    """A text with names from files: rich would read [..] as markup, and the terminal its control characters."""
    return markup.escape(printable(text))


def _remark(result: OracleResult) -> str:
    parts = [result.finding.words if result.finding else "", result.reason]
    if result.maps is not None:
        maps = result.maps
        boxes = "" if maps.iou is None else f", boxes IoU {maps.iou:.3f}"
        rank = f"rank {maps.rank:.6f}{boxes}, top-5 {maps.top5:.0%}"
        parts.append(f"{maps.count} maps within {maps.relative:.1e}, {rank}")
    return "; ".join(part for part in parts if part)


def progress_line(name: str) -> Callable[[str], None]:
    """Shows which oracle is being asked, on a terminal only."""
    console = Console(stderr=True)

    def show(what: str) -> None:
        if console.is_terminal:
            console.print(f"{_text(name)}: asking {_text(what)} …", style="bright_black")

    return show
