"""`camcompat download`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from camcompat.commands.options import cam_option, keep_going_option, named
from prototxt.errors import printable

if TYPE_CHECKING:
    from weights.downloads.fetch import Outcome

ORDER = 2


@click.command("download")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@cam_option
@keep_going_option
@click.option("--force", is_flag=True, help="Fetch again what is there.")
@click.option("--offline", is_flag=True, help="Only check what is there.")
def command(names: Sequence[str], cam_models: bool, keep_going: bool, force: bool, offline: bool) -> None:
    """Fetch and verify models.

    Exit status 1 if one cannot be had. Files that were put in place by hand are verified the same way.
    """
    from camcompat.conversion.converter import check_structure
    from weights.downloads.fetch import download_all
    from weights.models import find

    def check(path: Path) -> None:
        check_structure(path, find(path.parent.name))

    outcomes = download_all(named(names, cam_models, "download"), force=force, offline=offline, check=check)
    print_outcomes(outcomes)
    if not keep_going and not all(outcome.ok for outcome in outcomes):
        sys.exit(1)


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
