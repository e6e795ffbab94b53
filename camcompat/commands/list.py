"""`camcompat list`."""

from __future__ import annotations

import json

import click

ORDER = 1


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(as_json: bool) -> None:
    """List the models that are known."""
    from camcompat.commands.tables import print_table
    from weights.models import catalog

    models = list(catalog().values())
    if as_json:
        keys = ("name", "title", "source", "licence", "citation", "paper", "cam", "checked_by")
        entries = [
            {**{key: getattr(m, key) for key in keys}, "present": m.present(), "folder": str(m.folder)} for m in models
        ]
        click.echo(json.dumps(entries, indent=1))
        return
    rows = [
        (m.name, m.title, "yes" if m.cam else "", "yes" if m.present() else "", m.checked_by, m.licence) for m in models
    ]
    print_table(("name", "what", "CAM", "here", "checked by", "licence"), rows)
