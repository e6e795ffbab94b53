"""A progress bar where somebody watches (stderr is a terminal), silence elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from prototxt.errors import printable

__all__ = ["Advance", "bar", "say"]

Advance = Callable[[int, "int | None"], None]
"""Called with the bytes there now and the bytes expected in all (None: unknown)."""


@contextlib.contextmanager
def bar(label: str, *, wanted: bool) -> Iterator[Advance]:
    """Show a bar while the block runs; yields the function to advance it.

    >>> with bar("weights", wanted=False) as advance:
    ...     advance(10, 100)
    """
    if not (wanted and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def say(text: str, *, wanted: bool) -> None:
    """One line where somebody watches."""
    if wanted and sys.stderr.isatty():
        print(printable(text), file=sys.stderr)
