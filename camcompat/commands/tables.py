"""Tables on a terminal or a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prototxt.errors import printable

__all__ = ["print_table"]


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], total: Sequence[str] = ()) -> None:
    """As wide as the terminal; in a pipe, as wide as the text, so that nothing is cut off.

    Args:
        columns: their titles; those that begin with ">" stand at the right.
        rows: texts, which may come from files: rich would read [..] as markup, and the terminal control characters.
        total: a last row, set apart.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in columns:
        table.add_column(title.removeprefix(">"), justify="right" if title.startswith(">") else "left")
    for row in rows:
        table.add_row(*(escape(printable(text)) for text in row))
    if total:
        table.add_section()
        table.add_row(*total)
    console = Console()
    if not console.is_terminal:
        console = Console(width=max(120, Console(width=10_000).measure(table).maximum))
    console.print(table)
