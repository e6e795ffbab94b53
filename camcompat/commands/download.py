"""`camcompat download`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from camcompat.commands.options import cam_option, keep_going_option, named


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
    from camcompat.commands.tables import print_outcomes
    from camcompat.conversion.converter import check_structure
    from weights.downloads.fetch import download_all
    from weights.models import find

    def check(path: Path) -> None:
        check_structure(path, find(path.parent.name))

    outcomes = download_all(named(names, cam_models, "download"), force=force, offline=offline, check=check)
    print_outcomes(outcomes)
    if not keep_going and not all(outcome.ok for outcome in outcomes):
        sys.exit(1)
