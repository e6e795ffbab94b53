"""Folders for results."""

from __future__ import annotations

from pathlib import Path

from prototxt.errors import CamcompatError

__all__ = ["make_folder"]


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
