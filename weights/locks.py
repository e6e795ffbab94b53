"""Locks between processes that nothing can leave behind: the operating system frees them when their holder dies."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["exclusive", "take"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}  # what network file systems say


@contextlib.contextmanager
def exclusive(path: Path, *, wait: float = 0.0, without: bool = False) -> Iterator[bool]:
    """Hold a lock file that only one process (or thread) can hold; yields whether it is held.

    The file is removed at the end; one that a killed process left behind locks nothing.

    Args:
        path: the lock file; its folder must exist.
        wait: how many seconds to try.
        without: what to yield where the file system has no locks.

    Raises:
        OSError: the file cannot be made.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "busy"
    >>> with exclusive(path) as first, exclusive(path) as second:
    ...     first, second
    (True, False)
    """
    end = time.monotonic() + wait
    try:
        stream = take(path)
        while stream is None and time.monotonic() < end:
            time.sleep(0.02)
            stream = take(path)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        yield without
        return
    try:
        yield stream is not None
    finally:
        if stream is not None:
            with contextlib.suppress(OSError):  # Windows does not remove open files; the empty file does no harm
                path.unlink()
            os.close(stream)


def take(path: Path) -> int | None:
    """Lock a file, making it if need be: its descriptor, to be closed; None where another has it.

    Raises:
        OSError: the file cannot be made, or the file system has no locks.
    """
    stream = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        # The holder before us may have removed the very file that we opened: a lock on that one would exclude nobody.
        if _locked(stream) and os.path.samestat(os.fstat(stream), os.stat(path)):
            return stream
    except FileNotFoundError:
        pass
    except OSError:
        os.close(stream)
        raise
    os.close(stream)
    return None


def _locked(stream: int) -> bool:
    if sys.platform == "win32":
        try:
            msvcrt.locking(stream, msvcrt.LK_NBLCK, 1)
        except OSError:  # Windows has no error of its own for "another holds it"
            return False
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
