"""The loop of every job: what is left to do, in chunks, through workers into the journal, with a bar."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from camcompat.jobs.engines import ENGINES
from camcompat.jobs.job import Record, Task
from camcompat.jobs.journal import Journal
from camcompat.jobs.pictures import Picture
from prototxt.errors import CamcompatError, printable

__all__ = ["check_workers", "run_job"]


def check_workers(engine: str, workers: int, batch_size: int, *, where: str) -> None:
    """Refuse what no job can run with.

    Raises:
        CamcompatError: no such engine, or numbers under 1.
    """
    if engine not in ENGINES:
        raise CamcompatError(f"engine is {engine!r}", where=where, remedy=f"use {' or '.join(ENGINES)}")
    if workers < 1 or batch_size < 1:
        message = f"workers is {workers}, batch_size {batch_size}"
        raise CamcompatError(message, where=where, remedy="use 1 or more")


def run_job(
    task: Task,
    pictures: Sequence[Picture],
    journal: Journal,
    *,
    verb: str,
    engine: str,
    workers: int,
    batch_size: int,
    progress: bool,
) -> list[Record]:
    """Do what the journal does not have yet, and write it down.

    Args:
        verb: what the bar says, as "mapping".
        engine, workers, batch_size, progress: as for ``map_pictures``.

    Returns:
        A record per picture that was not done before, without its files.

    Raises:
        CamcompatError: a worker that ended without a word, an engine that is missing.
    """
    todo = [picture for picture in pictures if not journal.done(picture)]
    chunks = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
    done: list[Record] = []
    with _bar(verb, len(pictures), len(pictures) - len(todo), progress) as advance:
        for records in ENGINES[engine](task, chunks, min(workers, max(1, len(chunks)))):
            journal.add(records)
            advance(records)
            for record in records:
                record.files.clear()
            done += records
    return done


@contextmanager
def _bar(verb: str, total: int, done: int, wanted: bool) -> Iterator[Callable[[Sequence[Record]], None]]:
    """A bar on stderr where somebody watches; bad pictures are said above it as they come, or at once without it."""
    if not wanted:
        yield lambda records: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn(verb), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        row = bar.add_task(verb, total=total, completed=done)

        def advance(records: Sequence[Record]) -> None:
            bar.advance(row, len(records))
            for record in records:
                if record.error:
                    text = f"camcompat: {printable(str(record.error))}"
                    console.print(text, markup=False, highlight=False, soft_wrap=True)

        yield advance
