"""The public nets of the references, as the pages about OpenCV measure them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from camcompat.verification.oracles.stored import references
from converters import Synthetic

__all__ = ["corpus", "folder_of_references"]


def folder_of_references() -> Path:
    folder = references()
    if folder is None:
        sys.exit("the folder of references is missing: set CAMCOMPAT_SHARED")
    return folder


def corpus(folder: Path) -> Iterator[tuple[str, Path, Path | Synthetic]]:
    """Name, definition and weights of each net of the corpus: real weights where they are public."""
    for definition in sorted((folder / "corpus").glob("*.prototxt")):
        caffemodel = folder / "corpus" / "weights" / f"{definition.stem}.caffemodel"
        yield definition.stem, definition, caffemodel if caffemodel.is_file() else Synthetic()
