"""Maps many pictures into a folder."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.jobs.job import Record, Task
from camcompat.jobs.journal import Journal, stamp
from camcompat.jobs.pictures import Picture, find_pictures
from camcompat.jobs.runner import check_workers, run_job
from prototxt.errors import CamcompatError
from weights.atomic import make_folder, replacing
from weights.downloads.verify_file import digests_of

if TYPE_CHECKING:
    from PIL import Image

    from camcompat.cam.model import Model
    from camcompat.cam.result import Result
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

    check_workers(engine, workers, batch_size, where="map_pictures")
    providers = [providers] if isinstance(providers, str) else providers
    every = find_pictures(pictures, recursive=recursive)
    network = load(model, threads=1, providers=providers)
    network.stream([], **options)  # what is wrong with an option is wrong with every picture: said before any
    source = Path(network.source).absolute()
    task = MapTask(model=str(source), options=options, draw=draw, maps=maps, providers=providers)
    folder = Path(out)
    make_folder(folder)
    header = {"camcompat": 1, "model": source.name, "sha256": digests_of(source, ())["sha256"], **task.described()}
    with Results(folder, header, force=force) as journal:
        how: dict[str, Any] = {"engine": engine, "workers": workers, "batch_size": batch_size, "progress": progress}
        records = run_job(task, every, journal, verb="mapping", **how)
        journal.finish(every)
    bad = tuple((record.picture.path, str(record.error)) for record in records if record.error)
    return Summary(len(records) - len(bad), len(every) - len(records), bad, journal.results)


@dataclass(frozen=True, kw_only=True)
class MapTask(Task):
    """Maps of every picture.

    Attributes:
        options: of the call (``top``, ``classes``, ``pipeline``, ``crops``, ``boxes``).
        draw: whether the overlays are drawn.
        maps: whether the maps are kept as arrays.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    draw: bool = True
    maps: bool = False

    def described(self) -> dict[str, Any]:
        """Return what decides about the results: two runs of one description give the same."""
        given = {key: value for key, value in self.options.items() if value is not None}
        # Another provider rounds otherwise.
        on = {"providers": [x if isinstance(x, str) else [*x] for x in self.providers]} if self.providers else {}
        return {"draw": self.draw, "maps": self.maps, **on, **given}

    def fill(self, model: Model, pictures: Sequence[tuple[Record, Image.Image]]) -> None:
        """Which picture the network cannot take shows one by one."""
        try:
            results = list(model.stream([image for _, image in pictures], **self.options))
        except CamcompatError as error:
            if len(pictures) > 1:
                for picture in pictures:
                    self.fill(model, [picture])
            else:
                record = pictures[0][0]
                where = f"{record.picture.path}: {error.where}" if error.where else str(record.picture.path)
                record.error = CamcompatError(error.message, where=where, remedy=error.remedy)
        else:
            for (record, _), result in zip(pictures, results, strict=True):
                self._keep(record, result)

    def _keep(self, record: Record, result: Result) -> None:
        record.result = result.as_dict()
        if self.draw:
            stream = io.BytesIO()
            result.figure().save(stream, "PNG")
            record.files["-cam.png"] = stream.getvalue()
        if self.maps:
            stream = io.BytesIO()
            np.savez_compressed(stream, maps=result.maps, classes=result.classes, scores=result.scores)
            record.files["-maps.npz"] = stream.getvalue()


class Results(Journal):
    """``results.jsonl`` of a folder, and a table beside it; while a job runs, ``results.jsonl.part``."""

    def __init__(self, folder: Path, header: Mapping[str, Any], *, force: bool) -> None:
        self.results = folder / "results.jsonl"
        super().__init__(folder / "results.jsonl.part", header, earlier=self.results, force=force)

    def entry(self, record: Record) -> dict[str, Any]:
        picture = str(record.picture.path)
        entry: dict[str, Any] = {
            "picture": picture,
            "stamp": stamp(record.picture),
            "files": [f"{record.picture.name}{suffix}" for suffix in record.files],
        }
        return {**entry, **({"error": str(record.error)} if record.error else record.result), "picture": picture}

    def foreign(self, path: Path) -> CamcompatError:
        remedy = "choose another folder, or --force to begin anew"
        return CamcompatError("is no list of results", where=str(path), remedy=remedy)

    def other(self, path: Path, changed: Mapping[str, tuple[Any, Any]]) -> CamcompatError:
        what = ", ".join(f"{key} was {was!r}, now {now!r}" for key, (was, now) in changed.items())
        remedy = "choose another folder for this run, or --force to begin anew"
        return CamcompatError(f"holds the results of another run: {what}", where=str(path), remedy=remedy)

    def finish(self, pictures: Iterable[Picture]) -> None:
        """Put the results in the pictures' order under their name, and as a table for spreadsheets beside it."""
        self.close()
        entries = [self.entries[str(picture.path)] for picture in pictures]
        with replacing(self.results) as temporary:
            temporary.write_bytes(self.lines([self.header, *entries]))
        with replacing(self.results.with_suffix(".csv")) as temporary:
            temporary.write_bytes(_table(entries).encode("utf-8", "backslashreplace"))  # of names that are no UTF-8
        if self.path is not None:
            self.path.unlink()


def _table(entries: Iterable[Mapping[str, Any]]) -> str:
    """A row per picture and class; a row with the error where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["picture", "rank", "class", "label", "score", "boxes (x y width height)", "error"])
    for entry in entries:
        if entry.get("error"):
            writer.writerow([entry["picture"], "", "", "", "", "", entry["error"]])
        for rank, chosen in enumerate(entry.get("classes", ()), 1):
            boxes = ";".join(" ".join(map(str, box)) for box in chosen.get("boxes", ()))
            writer.writerow([entry["picture"], rank, chosen["class"], chosen["label"], chosen["score"], boxes, ""])
    return stream.getvalue()
