"""The results of a job as a file that grows: JSON lines, a header first, so that a job can go on where it stopped."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from camcompat.jobs.pictures import Picture
from camcompat.jobs.worker import Record
from prototxt.errors import CamcompatError
from weights.atomic import replacing

__all__ = ["Journal", "stamp"]

NAME = "results.jsonl"


def stamp(picture: Picture) -> dict[str, int]:
    """Size and time of a picture: whether it is still the one that was mapped."""
    try:
        status = picture.path.stat()
    except OSError:
        return {}
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}


class Journal:
    """`results.jsonl` of a folder; while a job runs, `results.jsonl.part`.

    Args:
        folder: where the results go.
        header: what decides about the results; a journal with another header is another job's.
        force: forget what is there.

    Raises:
        CamcompatError: the folder holds the results of another job, or what is there is no journal.
    """

    def __init__(self, folder: Path, header: Mapping[str, Any], *, force: bool = False) -> None:
        self.folder, self.header = folder, json.loads(json.dumps(header))
        self.path, self.part = folder / NAME, folder / f"{NAME}.part"
        self.entries: dict[str, dict[str, Any]] = {}
        if not force:
            for path in (self.path, self.part):
                self.entries.update(self._read(path))
        with replacing(self.part) as temporary:
            temporary.write_text(self._lines(self.entries.values()), encoding="utf-8")
        self._stream = self.part.open("a", encoding="utf-8")

    def _read(self, path: Path) -> dict[str, dict[str, Any]]:
        if not path.exists():
            return {}
        lines = path.read_text(encoding="utf-8").split("\n")
        lines.pop()  # what follows the last line end was cut off in the middle
        try:
            header, *rows = (json.loads(line) for line in lines)
            found = {str(row["picture"]): row for row in rows}
        except (ValueError, KeyError, TypeError):
            remedy = "choose another folder, or --force to begin anew"
            raise CamcompatError("is no list of results", where=str(path), remedy=remedy) from None
        changed = [key for key in {**self.header, **header} if self.header.get(key) != header.get(key)]
        if changed:
            what = ", ".join(f"{key} was {header.get(key)!r}, now {self.header.get(key)!r}" for key in changed)
            remedy = "choose another folder for this run, or --force to begin anew"
            raise CamcompatError(f"holds the results of another run: {what}", where=str(path), remedy=remedy)
        return found

    def done(self, picture: Picture) -> bool:
        """Whether the picture was mapped, has not changed since, and its files are still there."""
        entry = self.entries.get(str(picture.path))
        if entry is None or entry.get("error") or entry.get("stamp") != stamp(picture):
            return False
        return all((self.folder / name).exists() for name in entry.get("files", ()))

    def add(self, records: Iterable[Record]) -> None:
        """Write the records' files, then their lines."""
        lines = []
        for record in records:
            names = []
            for suffix, data in record.files.items():
                names.append(f"{record.picture.name}{suffix}")
                target = self.folder / names[-1]
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as temporary:
                    temporary.write_bytes(data)
            entry: dict[str, Any] = {
                "picture": str(record.picture.path),
                "stamp": stamp(record.picture),
                "files": names,
            }
            entry.update({"error": record.error} if record.error else {**record.result, "picture": entry["picture"]})
            self.entries[str(record.picture.path)] = entry
            lines.append(entry)
        self._stream.write("".join(f"{json.dumps(entry)}\n" for entry in lines))
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def finish(self, pictures: Iterable[Picture]) -> None:
        """Put the results in the pictures' order under their name, and as a table for spreadsheets beside it."""
        self._stream.close()
        entries = [self.entries[str(picture.path)] for picture in pictures]
        with replacing(self.path) as temporary:
            temporary.write_text(self._lines(entries), encoding="utf-8")
        with replacing(self.path.with_suffix(".csv")) as temporary:
            temporary.write_text(_table(entries), encoding="utf-8", newline="")
        self.part.unlink()

    def close(self) -> None:
        """Leave the unfinished journal for the next run."""
        self._stream.close()

    def _lines(self, entries: Iterable[Mapping[str, Any]]) -> str:
        return "".join(f"{json.dumps(entry)}\n" for entry in (self.header, *entries))


def _table(entries: Iterable[Mapping[str, Any]]) -> str:
    """A row per picture and class; a row with the error where there is none."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(["picture", "rank", "class", "label", "score", "boxes (x y width height)", "error"])
    for entry in entries:
        if entry.get("error"):
            writer.writerow([entry["picture"], "", "", "", "", "", entry["error"]])
        for rank, found in enumerate(entry.get("classes", ()), 1):
            boxes = ";".join(" ".join(map(str, box)) for box in found.get("boxes", ()))
            writer.writerow([entry["picture"], rank, found["class"], found["label"], found["score"], boxes, ""])
    return stream.getvalue()
