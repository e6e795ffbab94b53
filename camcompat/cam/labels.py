"""Class names: files of them in the spellings that Caffe's users have, and the way from a name to its index."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from prototxt.errors import CamcompatError, nearest_names

__all__ = ["class_index", "read_labels"]

_SYNSET = re.compile(r"^n\d{8}\s+")  # "n03147509 cup" of Caffe's synset_words.txt
_PLACES = re.compile(r"^/\w/(\S+)\s+\d+$")  # "/a/abbey 0" of the Places lists


def read_labels(source: str | os.PathLike[str] | Sequence[str], *, count: int | None = None) -> tuple[str, ...]:
    """Return the class names in class order.

    Args:
        source: the names, or a file: one per line (``synset_words.txt`` and the Places lists included: their ids are
            dropped), a JSON list, or a MATLAB file with one cell array of strings (as in the CAM release).
        count: how many there must be.

    Raises:
        CamcompatError: the file cannot be read, or the number differs from ``count``.

    >>> read_labels(["n03147509 cup", "/a/art_gallery 12", "soup bowl"])
    ('cup', 'art gallery', 'soup bowl')
    """
    where = "labels"
    if isinstance(source, (str, os.PathLike)):
        where = str(source)
        lines = _lines(Path(source), where)
    else:
        lines = [str(line) for line in source]
    names = tuple(_name(line) for line in lines)
    if count is not None and len(names) != count:
        raise CamcompatError(
            f"{len(names)} labels for a network of {count} classes", where=where, remedy="give one per class, in order"
        )
    return names


def class_index(wanted: int | str, labels: Sequence[str] | None, count: int) -> int:
    """Return the index of a class given by index or by label (case does not matter; one of several synonyms will do).

    Raises:
        CamcompatError: out of range, unknown, or a label that several classes share.

    >>> class_index("Coffee mug", ["tench, Tinca tinca", "coffee mug"], 2)
    1
    """
    if not isinstance(wanted, str):
        index = int(wanted)
        if 0 <= index < count:
            return index
        raise CamcompatError(f"class {index} of a network of {count}", where="classes", remedy=f"use 0..{count - 1}")
    if labels is None:
        raise CamcompatError(
            f"label {wanted!r}, but the network has no labels", where="classes", remedy="use an index, or pass labels="
        )
    folded = [label.casefold() for label in labels]
    key = wanted.strip().casefold()
    found = [i for i, label in enumerate(folded) if label == key]
    found = found or [i for i, label in enumerate(folded) if key in (part.strip() for part in label.split(","))]
    if len(found) == 1:
        return found[0]
    if found:
        raise CamcompatError(f"classes {found} are all called {wanted!r}", where="classes", remedy="use an index")
    near = [labels[folded.index(match)] for match in nearest_names(key, folded, 3)]
    hint = f"did you mean {' or '.join(repr(label) for label in near)}?" if near else "see the network's labels"
    raise CamcompatError(f"no class is called {wanted!r}", where="classes", remedy=hint)


def _lines(path: Path, where: str) -> list[str]:
    if path.suffix.lower() == ".mat":
        return _cells(path, where)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise CamcompatError("is not UTF-8 text", where=where, remedy="expected one label per line") from None
    except OSError as error:
        raise CamcompatError(f"cannot be read: {error.strerror}", where=where, remedy="check the path") from None
    if path.suffix.lower() != ".json":
        return [line for line in text.splitlines() if line.strip()]
    try:
        names = json.loads(text)
    except json.JSONDecodeError as error:
        raise CamcompatError(f"is no JSON: {error}", where=where, remedy="expected a list of labels") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise CamcompatError("holds no JSON list of strings", where=where, remedy="expected a list of labels")
    return names


def _cells(path: Path, where: str) -> list[str]:
    from scipy.io import loadmat  # slow to import, and rarely needed

    try:
        variables = loadmat(str(path), appendmat=False, chars_as_strings=True)
    except (OSError, ValueError, TypeError, NotImplementedError) as error:
        raise CamcompatError(f"is no MATLAB file: {error}", where=where, remedy="download it again") from None
    lists = [value for name, value in variables.items() if not name.startswith("__") and value.dtype == object]
    if len(lists) != 1 or not all(cell.dtype.kind == "U" and cell.size == 1 for cell in lists[0].flat):
        raise CamcompatError(f"holds {sorted(variables)}", where=where, remedy="expected one cell array of strings")
    return [str(cell.item()) for cell in lists[0].flat]


def _name(line: str) -> str:
    line = line.strip()
    places = _PLACES.match(line)
    return places.group(1).replace("_", " ").replace("/", ", ") if places else _SYNSET.sub("", line)
