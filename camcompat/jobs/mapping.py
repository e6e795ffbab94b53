"""Maps many pictures into a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camcompat.jobs.engines import ENGINES
from camcompat.jobs.journal import Journal
from camcompat.jobs.pictures import find_pictures
from camcompat.jobs.worker import Record, Task
from prototxt.errors import CamcompatError, printable
from weights.atomic import make_folder
from weights.downloads.verify_file import digests_of

if TYPE_CHECKING:
    from camcompat.cam.session import Provider

__all__ = ["Summary", "map_pictures"]


@dataclass(frozen=True)
class Summary:
    """What became of a job.

    Attributes:
        mapped: pictures that were mapped in this run; ``before``: in earlier ones.
        bad: (picture, error) of those that could not be mapped.
        results: the list of results, JSON lines; a table of the same name with ``.csv`` lies beside it.
    """

    mapped: int
    before: int
    bad: tuple[tuple[Path, str], ...]
    results: Path


def map_pictures(
    model: str | os.PathLike[str],
    pictures: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    engine: str = "local",
    workers: int = 1,
    batch_size: int = 8,
    draw: bool = True,
    maps: bool = False,
    recursive: bool = True,
    force: bool = False,
    progress: bool = False,
    providers: Sequence[Provider] | None = None,
    **options: Any,
) -> Summary:
    """Map pictures of files, folders and glob patterns, and leave overlays and results in a folder.

    A picture that cannot be mapped is reported and does not stop the others. A job that was stopped goes on where it
    stopped when it is run again; pictures that have changed since, and bad ones, are tried again.

    Args:
        model: a converted .onnx file, or a name of the catalogue.
        pictures: see ``camcompat.jobs.pictures.find_pictures``.
        out: the folder: ``NAME-cam.png`` per picture, ``results.jsonl`` and ``results.csv`` in the pictures' order.
        engine: "local" (processes of this machine) or "ray" (Ray Data; needs ``camcompat[ray]``).
        workers: how many sessions run side by side; they share the cores.
        batch_size: pictures per run of the network.
        draw: False leaves out the overlays; ``maps``: True also writes ``NAME-maps.npz`` (maps float32 (k, H, W)).
        recursive: whether folders in folders are searched.
        force: begin anew, whatever is in the folder.
        progress: show a bar, where somebody watches.
        providers: what the sessions compute on, as for ``camcompat.load``.
        options: of the call: ``top``, ``classes``, ``pipeline``, ``crops``, ``boxes``.

    Raises:
        CamcompatError: no pictures, no model, a folder with the results of another job, an option out of range.

    >>> map_pictures("net.onnx", ["photos"], "maps", workers=2, top=1)           # doctest: +SKIP
    Summary(mapped=200, before=0, bad=(), results=PosixPath('maps/results.jsonl'))
    """
    from camcompat.loading import load

    if engine not in ENGINES:
        raise CamcompatError(f"engine is {engine!r}", where="map_pictures", remedy=f"use {' or '.join(ENGINES)}")
    if workers < 1 or batch_size < 1:
        found = f"workers is {workers}, batch_size {batch_size}"
        raise CamcompatError(found, where="map_pictures", remedy="use 1 or more")
    providers = [providers] if isinstance(providers, str) else providers
    every = find_pictures(pictures, recursive=recursive)
    network = load(model, threads=1, providers=providers)
    network.stream([], **options)  # what is wrong with an option is wrong with every picture: said before any
    source = Path(network.source).absolute()
    task = Task(str(source), options, draw=draw, maps=maps, providers=providers)
    folder = Path(out)
    make_folder(folder)
    header = {"camcompat": 1, "model": source.name, "sha256": digests_of(source, ())["sha256"], **task.described()}
    journal = Journal(folder, header, force=force)
    try:
        todo = [picture for picture in every if not journal.done(picture)]
        chunks = [todo[start : start + batch_size] for start in range(0, len(todo), batch_size)]
        with _bar(len(every), len(every) - len(todo), progress) as advance:
            for records in ENGINES[engine](task, chunks, min(workers, max(1, len(chunks)))):
                journal.add(records)
                advance(records)
        journal.finish(every)
    finally:
        journal.close()
    errors = {picture.path: str(journal.entries[str(picture.path)].get("error", "")) for picture in todo}
    bad = tuple((path, error) for path, error in errors.items() if error)
    return Summary(len(todo) - len(bad), len(every) - len(todo), bad, journal.path)


@contextmanager
def _bar(total: int, done: int, wanted: bool) -> Iterator[Callable[[Sequence[Record]], None]]:
    """A bar on stderr where somebody watches; bad pictures are said above it as they come, or at once without it."""
    if not wanted:
        yield lambda records: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("mapping"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        row = bar.add_task("mapping", total=total, completed=done)

        def advance(records: Sequence[Record]) -> None:
            bar.advance(row, len(records))
            for record in records:
                if record.error:
                    console.print(
                        f"camcompat: {printable(record.error)}", markup=False, highlight=False, soft_wrap=True
                    )

        yield advance
