"""Which pictures a job is about, and what each one's results are called."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from prototxt.errors import CamcompatError

__all__ = ["Picture", "find_pictures", "short_name"]

_LONGEST = 240
"""Bytes of a result's name without its suffix: file systems take 255 with it."""


@dataclass(frozen=True)
class Picture:
    """One picture of a job.

    Attributes:
        path: the file.
        name: of its results, without suffix: relative to the folder that was named, so that two pictures of one
            name in different folders stay apart.
    """

    path: Path
    name: str


def find_pictures(words: Sequence[str | os.PathLike[str]], *, recursive: bool = True) -> list[Picture]:
    """Return the pictures that files, folders and glob patterns name, each once, in the order of the words.

    A folder stands for the pictures in it, by the suffixes that Pillow reads, sorted as people count (img2 before
    img10); hidden files are left out. A file that is named is always taken, whatever its suffix.

    Args:
        words: files, folders, patterns such as ``photos/**/*.jpg``.
        recursive: whether a folder's own folders are searched.

    Raises:
        CamcompatError: nothing there, or two pictures whose results would get one name.

    >>> find_pictures(["nowhere/*.jpg"])
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: nowhere/*.jpg: matches no picture; check the pattern
    """
    found: dict[Path, Picture] = {}
    for word in words:
        for picture in _expanded(Path(word), recursive):
            found.setdefault(picture.path.absolute(), Picture(picture.path, short_name(picture.name)))
    names: dict[str, Picture] = {}
    for picture in found.values():
        other = names.setdefault(picture.name, picture)
        if other is not picture:
            raise CamcompatError(
                f"the results of {other.path} and {picture.path} would get one name, {picture.name}",
                remedy="name the folder above them, or map them in two runs",
            )
    return list(found.values())


def short_name(name: str) -> str:
    """Return a name that a file system takes with a suffix behind it: cut, with a digest that keeps it apart.

    >>> short_name("folder/cup"), len(short_name("folder/" + 250 * "x"))
    ('folder/cup', 247)
    """
    folder, slash, last = name.rpartition("/")
    data = os.fsencode(last)
    if len(data) <= _LONGEST:
        return name
    digest = hashlib.sha256(data).hexdigest()[:8]
    while len(os.fsencode(last)) > _LONGEST - 9:
        last = last[:-1]
    return f"{folder}{slash}{last}~{digest}"


def _expanded(word: Path, recursive: bool) -> list[Picture]:
    if word.is_dir():
        walk = word.rglob("*") if recursive else word.iterdir()
        pictures = [
            Picture(path, path.relative_to(word).with_suffix("").as_posix())
            for path in _sorted(path for path in walk if _looks_like_a_picture(path.relative_to(word), path))
        ]
        if not pictures:
            raise CamcompatError("holds no picture", where=str(word), remedy=f"expected {', '.join(_common())}")
        return _apart(pictures)
    if word.exists() or not glob.has_magic(str(word)):
        return [Picture(word, word.stem)]  # a file that is missing is reported with the pictures that cannot be read
    matches = [Path(match) for match in glob.iglob(str(word), recursive=True)]
    paths = _sorted(path for path in matches if path.is_file())
    if not paths:
        raise CamcompatError("matches no picture", where=str(word), remedy="check the pattern")
    base = Path(os.path.commonpath([path.parent for path in paths]))
    return _apart([Picture(path, path.relative_to(base).with_suffix("").as_posix()) for path in paths])


def _apart(pictures: Sequence[Picture]) -> list[Picture]:
    """Of pictures that differ in their suffixes only, each keeps it in its name."""
    counts: dict[str, int] = {}
    for picture in pictures:
        counts[picture.name] = counts.get(picture.name, 0) + 1
    return [p if counts[p.name] == 1 else Picture(p.path, p.name + p.path.suffix) for p in pictures]


def _looks_like_a_picture(inside: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return not hidden and path.suffix.lower() in _readable() and path.is_file()


def _readable() -> set[str]:
    return {suffix for suffix, form in Image.registered_extensions().items() if form in Image.OPEN}


def _common() -> list[str]:
    return [suffix for suffix in (".jpg", ".png", ".webp", ".bmp", ".tif", ".gif") if suffix in _readable()]


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: [_natural(part) for part in path.parts])


def _natural(text: str) -> list[tuple[int, int, str]]:
    """img2 before img10: runs of digits compare as numbers."""
    return [
        (0, int(piece), piece) if piece.isdigit() and piece.isascii() else (1, 0, piece)
        for piece in re.split(r"(\d+)", text)
        if piece
    ]
