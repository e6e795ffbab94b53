"""``camcompat.lock``: what the files in a home were when they were first verified, and locks between processes.

Most weights of the Caffe years have no published hash. So the first download is written down (sha256, size, address,
date), and whatever comes later under the same name must be the same bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prototxt.errors import DownloadError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["LOCK_NAME", "Entry", "LockError", "Lockfile", "exclusive"]

LOCK_NAME = "camcompat.lock"
_PATIENCE = 10.0


class LockError(DownloadError):
    """The lock file itself is at fault; no other address can help."""


@dataclass(frozen=True)
class Entry:
    """What one file was when it was verified.

    Args:
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


@contextlib.contextmanager
def exclusive(path: Path, *, wait: float = 0.0) -> Iterator[bool]:
    """Hold a lock file that only one process can hold; yields whether it is held.

    The operating system frees it when the process dies, so nothing can be left locked. The file is removed at the end.

    Args:
        path: the lock file; its folder must exist.
        wait: how many seconds to try.
    """
    end = time.monotonic() + wait
    stream = _take(path)
    while stream is None and time.monotonic() < end:
        time.sleep(0.02)
        stream = _take(path)
    try:
        yield stream is not None
    finally:
        if stream is not None:
            with contextlib.suppress(OSError):  # Windows does not remove open files; the empty file does no harm
                path.unlink()
            os.close(stream)


def _take(path: Path) -> int | None:
    stream = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        if sys.platform == "win32":
            msvcrt.locking(stream, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The holder before us may have removed the very file that we opened: a lock on that one would exclude nobody.
        if os.path.samestat(os.fstat(stream), os.stat(path)):
            return stream
    except OSError:
        pass
    os.close(stream)
    return None


class Lockfile:
    """The lock file of one home; every call reads it afresh, because other processes write it too.

    Args:
        home: the folder of the models.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / LOCK_NAME

    def get(self, key: str) -> Entry | None:
        """The entry of ``<model>/<file>``, or None.

        Raises:
            LockError: the lock file is damaged.
        """
        found = self._read()["files"].get(key)
        try:
            return None if found is None else Entry(**found)
        except TypeError as error:
            raise self._damaged(f"the entry {key!r} has wrong fields") from error

    def put(self, key: str, entry: Entry) -> None:
        """Write an entry; raises LockError as :meth:`get` does."""
        self._change("files", key, asdict(entry))

    def part(self, key: str) -> dict[str, str]:
        """``url`` and ``validator`` (ETag or date) of an unfinished download, or {}."""
        found = self._read()["parts"].get(key, {})
        return {str(name): str(value) for name, value in found.items()}

    def put_part(self, key: str, value: dict[str, str] | None) -> None:
        """Remember where an unfinished download comes from; None forgets it."""
        if value is not None or self.part(key):
            self._change("parts", key, value)

    def _change(self, section: str, key: str, value: dict[str, Any] | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(self.path.with_name(f".{LOCK_NAME}.busy"), wait=_PATIENCE) as held:
            if not held:
                raise LockError(f"{self.path}: another process holds it", remedy="run again later")
            tables = self._read()
            tables[section].pop(key, None)
            if value is not None:
                tables[section][key] = value
            temporary = self.path.with_name(f".{LOCK_NAME}.{os.getpid()}")
            temporary.write_text(json.dumps(tables, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)

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
