"""What a command was given: files, or names of the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prototxt.errors import CamcompatError

__all__ = ["as_files"]

WEIGHTS = {".caffemodel", ".h5", ".hdf5"}
DEFINITIONS = {".prototxt", ".pbtxt", ".txt"}


def as_files(words: Sequence[str]) -> tuple[str | None, str | None] | None:
    """Definition and weights, each None where not given; or None where the words are catalogue names.

    Raises:
        CamcompatError: files that do not make one net.

    >>> as_files(["net.caffemodel", "deploy.prototxt"])
    ('deploy.prototxt', 'net.caffemodel')
    >>> as_files(["net.caffemodel"])
    (None, 'net.caffemodel')
    >>> as_files(["googlenet-cam-imagenet"]) is None
    True
    """
    if not any(Path(word).suffix in WEIGHTS | DEFINITIONS or Path(word).is_file() for word in words):
        for word in words:
            if Path(word).name != word:  # no model's name holds a slash
                raise CamcompatError("no such file", where=word, remedy="check the path")
        return None
    weights = [word for word in words if Path(word).suffix in WEIGHTS]
    rest = [word for word in words if word not in weights]
    if not weights and len(rest) == 2:  # unusual names: the order tells
        return rest[0], rest[1]
    if len(weights) > 1 or len(rest) > 1:
        remedy = "give one prototxt and one caffemodel, a caffemodel alone, or names of the catalogue"
        raise CamcompatError(f"{len(words)} files are not one net: {', '.join(words)}", remedy=remedy)
    return (rest[0] if rest else None), (weights[0] if weights else None)
