"""Files that are whole or not there: written in a folder beside their place, then renamed.

What a killed process leaves behind is one hidden folder, which the next run that writes there removes.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from prototxt.errors import CamcompatError
from weights.locks import exclusive, take

__all__ = ["PREFIX", "make_folder", "publish", "replacing", "staged", "staging", "sync"]

PREFIX = ".camcompat-"
"""How the names of staging folders begin."""

_ALIVE = ".alive"
_BUSY = ".camcompat.publishing"
_PATIENCE = 10.0
_swept: set[Path] = set()


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder` to write results into; it is gone when the block ends.

    Those of killed processes are removed, once per run and folder; a living process holds a lock on its own.

    Raises:
        OSError: nothing can be written there.

    >>> home = Path(tempfile.mkdtemp())
    >>> with staging(home) as stage:
    ...     stage.parent == home
    True
    >>> list(home.iterdir())
    []
    """
    _sweep(folder)
    stage, alive = _claim(folder)
    try:
        yield stage
    finally:
        if alive is not None:
            os.close(alive)
        shutil.rmtree(stage, ignore_errors=True)


def _claim(folder: Path) -> tuple[Path, int | None]:
    while True:
        stage = Path(tempfile.mkdtemp(dir=folder, prefix=PREFIX))
        try:
            alive = take(stage / _ALIVE)
        except FileNotFoundError:  # another process swept the folder before it was locked
            continue
        except OSError:  # a file system without locks: nobody else can take it for abandoned either
            return stage, None
        if alive is not None:
            return stage, alive


def _sweep(folder: Path) -> None:
    """Remove staging folders whose process has died."""
    place = folder.absolute()
    if place in _swept:
        return
    _swept.add(place)
    for stage in folder.glob(f"{PREFIX}*"):
        with suppress(OSError):
            alive = take(stage / _ALIVE)
            if alive is not None:
                os.close(alive)
                shutil.rmtree(stage, ignore_errors=True)


def staged(stage: Path) -> list[Path]:
    """The files written into a staging folder, by name."""
    return sorted(path for path in stage.iterdir() if path.is_file() and path.name != _ALIVE)


@contextmanager
def replacing(path: str | os.PathLike[str], *, durable: bool = False) -> Iterator[Path]:
    """A path to write to instead of `path`, in a hidden folder beside it; renamed to `path` if the block ends well.

    Args:
        durable: have the bytes on the disk before the rename, so that not even a power cut leaves an empty file.

    Raises:
        OSError: it cannot be written there, or `path` is a folder or a device.

    >>> path = Path(tempfile.mkdtemp()) / "a.txt"
    >>> with replacing(path) as temporary:
    ...     _ = temporary.write_text("whole")
    ...     path.exists()
    False
    >>> path.read_text()
    'whole'
    """
    final = Path(path)
    _refuse_others(final)
    with staging(final.parent) as stage:
        yield stage / final.name
        if durable:
            sync(stage / final.name)
        os.replace(stage / final.name, final)
        if durable:
            sync(final.parent)


def publish(files: Sequence[Path], folder: Path) -> None:
    """Move files that belong together from a staging folder to their names in `folder`.

    Nobody ever meets files of two versions together: of several, the old ones are put away first and brought back if
    anything fails; whoever is killed in between leaves the last file, which leads to the others, missing. Other
    processes that publish into the folder wait meanwhile.

    Args:
        files: in one staging folder; the one that refers to the others last (a source after its weights).

    Raises:
        OSError: a name is taken by a folder, or cannot be written; the old files are as they were.
    """
    places = [folder / path.name for path in files]
    for place in places:
        _refuse_others(place)
    if len(files) < 2:
        for path, place in zip(files, places):
            os.replace(path, place)
        return
    with exclusive(folder / _BUSY, wait=_PATIENCE, without=True) as held:
        if not held:
            raise BlockingIOError(errno.EAGAIN, "another process is writing there: run again later", str(folder))
        _exchange(files, places)


def _exchange(files: Sequence[Path], places: Sequence[Path]) -> None:
    undo: list[tuple[Path, Path]] = []
    try:
        for path, place in zip(reversed(files), reversed(places)):
            if place.exists():
                old = path.with_name(f"{path.name}.old")
                os.replace(place, old)
                undo.append((old, place))
        for path, place in zip(files, places):
            os.replace(path, place)
            undo.append((place, path))
    except BaseException:
        for now, before in reversed(undo):
            os.replace(now, before)
        raise


def _refuse_others(path: Path) -> None:
    """A folder or a device in the place of the file is not replaced."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def sync(path: Path) -> None:
    """Have a file's bytes (a folder's names) on the disk; file systems that cannot do that are left to their ways."""
    flags = os.O_RDONLY if path.is_dir() else os.O_RDWR
    with suppress(PermissionError):  # Windows opens no folders
        stream = os.open(path, flags)
        try:
            os.fsync(stream)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        finally:
            os.close(stream)


def make_folder(folder: Path) -> None:
    """Make a folder for results, with those above it, unless it is there.

    Raises:
        CamcompatError: its name is a file's, or it cannot be made.

    >>> make_folder(Path())
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CamcompatError(
            f"no folder can be made there: {error.strerror or error}", where=str(folder), remedy="choose another folder"
        ) from None
