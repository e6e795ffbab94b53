"""What became of the pictures of a job, as a file that grows, so that a job that was stopped goes on where it was."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from camcompat.jobs.job import Record
from camcompat.jobs.pictures import Picture
from prototxt.errors import CamcompatError
from weights.atomic import make_folder, replacing

__all__ = ["Journal", "stamp"]

Kind = TypeVar("Kind", bound="Journal")


def stamp(picture: Picture) -> dict[str, int]:
    """Return size and time of a picture: whether it is still the one that was read."""
    try:
        status = picture.path.stat()
    except OSError:
        return {}
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}


class Journal(ABC):
    """JSON lines: a header, which says what decides about the results, then a line per picture. A context.

    Lines are added as pictures are done. Whoever is killed loses those of one chunk; a line that was cut off is dropped
    when the file is opened again. Each kind of job says in a class of its own what a line holds.

    Args:
        path: the file; None: nothing is kept beyond this run.
        header: its first item says which kind of journal it is.
        earlier: a finished journal, whose results count too.
        force: forget what is there.

    Raises:
        CamcompatError: a file that is no such journal, or the journal of a job with other results.
    """

    SEPARATORS: ClassVar = (", ", ": ")
    KEYS: ClassVar[tuple[str, ...]] = ("picture",)
    """What every line holds."""

    def __init__(
        self, path: Path | None, header: Mapping[str, Any], *, earlier: Path | None = None, force: bool = False
    ) -> None:
        self.path = path
        self.header: dict[str, Any] = json.loads(json.dumps(header))
        self.entries: dict[str, dict[str, Any]] = {}
        self._stream = None
        if path is None:
            return
        if earlier is not None and not force:
            self._read(earlier)
        whole = 0 if force else self._read(path)
        self._stream = path.open("ab")
        self._stream.truncate(whole)
        if not whole:
            self._write([self.header])

    @abstractmethod
    def entry(self, record: Record) -> dict[str, Any] | None:
        """Return the line of a picture; None for one that is not written down, to be tried again."""

    @abstractmethod
    def foreign(self, path: Path) -> CamcompatError:
        """Return the error for a file that is no journal of this kind."""

    @abstractmethod
    def other(self, path: Path, changed: Mapping[str, tuple[Any, Any]]) -> CamcompatError:
        """Return the error for the journal of another job: keys of the header → what they were and are."""

    def lines(self, entries: Iterable[Mapping[str, Any]]) -> bytes:
        """Return entries as they stand in the file."""
        return b"".join(json.dumps(entry, separators=self.SEPARATORS).encode() + b"\n" for entry in entries)

    def _read(self, path: Path) -> int:
        """Take in what is there; the number of bytes up to the end of the last whole line."""
        data = path.read_bytes() if path.exists() else b""
        if self.lines([self.header]).startswith(data):  # there is none, or it was killed when it had just begun
            return 0
        whole = data.rfind(b"\n") + 1
        kind, *_ = self.header.items()
        try:
            header, *entries = (json.loads(line) for line in data[:whole].splitlines())
            foreign = kind not in header.items() or not all(entry.keys() >= {*self.KEYS} for entry in entries)
        except (ValueError, AttributeError):
            foreign = True
        if foreign:
            raise self.foreign(path)
        both = {key: (header.get(key), self.header.get(key)) for key in {**self.header, **header}}
        if changed := {key: (was, now) for key, (was, now) in both.items() if was != now}:
            raise self.other(path, changed)
        self.entries.update({str(entry["picture"]): entry for entry in entries})
        return whole

    def done(self, picture: Picture) -> bool:
        """Whether the picture was done, has not changed since, and its files are still there."""
        entry = self.entries.get(str(picture.path))
        now = stamp(picture)
        if self.path is None or entry is None or entry.get("error") or not now:
            return False
        if entry.get("stamp") not in (now, [*now.values()]):
            return False
        return all((self.path.parent / name).exists() for name in entry.get("files", ()))

    def add(self, records: Iterable[Record]) -> None:
        """Write the records' files, then their lines."""
        entries = []
        for record in records:
            if self.path is not None:
                _write_files(record, self.path.parent)
            self.entries.pop(str(record.picture.path), None)
            if (entry := self.entry(record)) is not None:
                self.entries[str(record.picture.path)] = entry
                entries.append(entry)
        self._write(entries)

    def _write(self, entries: Iterable[Mapping[str, Any]]) -> None:
        if self._stream is not None:
            self._stream.write(self.lines(entries))
            self._stream.flush()
            os.fsync(self._stream.fileno())

    def __enter__(self: Kind) -> Kind:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the journal for the next run."""
        if self._stream is not None:
            self._stream.close()


def _write_files(record: Record, folder: Path) -> None:
    for suffix, data in record.files.items():
        target = folder / f"{record.picture.name}{suffix}"
        make_folder(target.parent)
        with replacing(target) as temporary:
            temporary.write_bytes(data)
