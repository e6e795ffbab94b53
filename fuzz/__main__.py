"""``python -m fuzz robustness`` and ``python -m fuzz coverage``: what ``make robustness`` and ``make fuzz`` run."""

from __future__ import annotations

import sys

import click

from fuzz.coverage import COVERED, fuzz_all, fuzz_one
from fuzz.report import robustness
from fuzz.targets import TARGETS


@click.group()
def main() -> None:
    """Hostile files for every parser."""


@main.command()
@click.argument("names", nargs=-1, type=click.Choice(COVERED))
@click.option("--seconds", default=60, envvar="FUZZ_SECONDS", show_default=True, help="Time for each target.")
@click.option("--here", is_flag=True, hidden=True)
def coverage(names: tuple[str, ...], seconds: int, here: bool) -> None:
    """Fuzz guided by coverage (atheris), each target for a while."""
    if here:
        fuzz_one(names[0], seconds)
    sys.exit(fuzz_all(names or COVERED, seconds))


@main.command("robustness")
@click.argument("names", nargs=-1, type=click.Choice(sorted(TARGETS)))
@click.option("--count", default=10_500, show_default=True, help="Mutated files for each parser.")
@click.option("--out", default="docs/robustness.md", show_default=True, type=click.Path(dir_okay=False))
def table(names: tuple[str, ...], count: int, out: str) -> None:
    """Attack every parser and write the table."""
    sys.exit(robustness(names, count, out))


if __name__ == "__main__":
    main()
