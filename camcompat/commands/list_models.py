"""`camcompat list`."""

from __future__ import annotations

import click


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """List the models that are known."""
    from camcompat.commands.tables import print_catalogue

    print_catalogue(as_json)
