"""``camcompat.lock``: what the files in a home were when they were first verified.

Most weights of the Caffe years have no published hash. So the first download is written down (sha256, size, address,
date), and whatever comes later under the same name must be the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prototxt.errors import DownloadError
from weights.atomic import replacing
from weights.locks import exclusive

__all__ = ["LOCK_NAME", "LockError", "Lockfile", "Record"]

LOCK_NAME = "camcompat.lock"
_PATIENCE = 10.0


class LockError(DownloadError):
    """The lock file itself is at fault; no other address can help."""


@dataclass(frozen=True)
class Record:
    """What one file was when it was verified.

    Attributes:
        sha256: its hash.
        size: its bytes.
        url: where it came from, "" if it was placed by hand.
        date: when, in UTC: ``2025-01-31T12:00:00Z``.
        mtime_ns: the file's time then; a file with the same size and time is not hashed again.
    """

    sha256: str
    size: int
    url: str
    date: str
    mtime_ns: int

    def unchanged(self, path: Path) -> bool:
        """Whether the file still has the size and time that it had when it was verified."""
        status = path.stat()
        return (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)


class Lockfile:
    """The lock file of one home; every call reads it afresh, because other processes write it too.

    Args:
        home: the folder of the models.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / LOCK_NAME

    def get(self, key: str) -> Record | None:
        """The entry of ``<model>/<file>``, or None.

        Raises:
            LockError: the lock file is damaged.
        """
        stored = self._read()["files"].get(key)
        try:
            return None if stored is None else Record(**stored)
        except TypeError as error:
            raise self._damaged(f"the entry {key!r} has wrong fields") from error

    def put(self, key: str, entry: Record) -> None:
        """Write an entry; raises LockError as :meth:`get` does."""
        self._change("files", key, asdict(entry))

    def part(self, key: str) -> dict[str, str]:
        """``url`` and ``validator`` (ETag or date) of an unfinished download, or {}."""
        stored = self._read()["parts"].get(key, {})
        return {str(name): str(value) for name, value in stored.items()}

    def put_part(self, key: str, value: dict[str, str] | None) -> None:
        """Remember where an unfinished download comes from; None forgets it."""
        if value is not None or self.part(key):
            self._change("parts", key, value)

    def _change(self, section: str, key: str, value: dict[str, Any] | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path.with_name(f".{LOCK_NAME}.busy"), wait=_PATIENCE, without=True) as held:
            if not held:
                raise LockError(f"{self.path}: another process holds it", remedy="run again later")
            tables = self._read()
            tables[section].pop(key, None)
            if value is not None:
                tables[section][key] = value
            with replacing(self.path, durable=True) as temporary:
                temporary.write_text(json.dumps(tables, indent=1, sort_keys=True) + "\n", encoding="utf-8")

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            tables = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"files": {}, "parts": {}}
        except ValueError as error:
            raise self._damaged(f"is not JSON: {error}") from error
        sections = {name: tables.get(name, {}) for name in ("files", "parts")} if isinstance(tables, dict) else {}
        if not sections or not all(isinstance(table, dict) for table in sections.values()):
            raise self._damaged("holds something else than tables of files")
        return sections

    def _damaged(self, message: str) -> LockError:
        return LockError(f"{self.path}: {message}", remedy="repair or delete it; files will be recorded anew")
