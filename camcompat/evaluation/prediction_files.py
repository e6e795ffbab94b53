"""Predictions in files: a line per picture, up to five times ``label x1 y1 x2 y2``."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from camcompat.evaluation.localisation import FIELDS
from prototxt.errors import CamcompatError
from weights.atomic import replacing

__all__ = ["read_blacklist", "read_predictions", "write_predictions"]

NONE = np.array([-1.0, 0.0, 0.0, 0.0, 0.0])
"""A guess that there is not: no class is -1."""

REMEDY = "expected a line per picture: label x1 y1 x2 y2, up to five times"
VARIABLE = re.compile(r"(.+\.mat):([A-Za-z]\w*)", re.IGNORECASE | re.DOTALL)


def read_predictions(source: str | os.PathLike[str]) -> np.ndarray:
    """Return the rows of a file of predictions.

    Args:
        source: text with spaces or commas between the numbers, where shorter lines are filled up with guesses that
            match nothing; a JSON list of lists; or a MATLAB file with one matrix (of several, one is
            chosen as in ``results.mat:predictionResult_bbox1``).

    Returns:
        (N, 5·g) float64.

    Raises:
        CamcompatError: no such file, or lines that are no guesses.

    >>> read_predictions("nothing.txt")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: nothing.txt: no such file; check the path of the predictions
    """
    match = VARIABLE.fullmatch(os.fspath(source))
    path = Path(match.group(1) if match else source)
    if not path.is_file():
        raise CamcompatError("no such file", where=str(path), remedy="check the path of the predictions")
    if path.suffix.lower() == ".mat":
        rows = _from_mat(path, match.group(2) if match else None)
    elif path.suffix.lower() == ".json":
        rows = _from_json(path)
    else:
        rows = _padded(_lines(path), str(path))
    if rows.shape[1] % FIELDS or not rows.size:
        raise CamcompatError(f"holds {rows.shape[0]}x{rows.shape[1]} numbers", where=str(path), remedy=REMEDY)
    return rows


def _from_mat(path: Path, name: str | None) -> np.ndarray:
    from camcompat.evaluation.truth_files import load_mat

    variables = load_mat(path)
    matrices = {key: value for key, value in variables.items() if value.ndim == 2 and value.dtype.kind in "biuf"}
    if name is None and len(matrices) == 1:
        (name,) = matrices
    if name not in matrices:
        found = ", ".join(sorted(matrices)) or "no matrix"
        raise CamcompatError(f"holds {found}", where=str(path), remedy=f"name one of them, as in {path.name}:NAME")
    return np.asarray(matrices[name], np.float64)


def _from_json(path: Path) -> np.ndarray:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(rows, list):
            raise TypeError
        flat = [_flattened(row) for row in rows]
    except (ValueError, TypeError):
        raise CamcompatError("is no JSON list of lists of numbers", where=str(path), remedy=REMEDY) from None
    return _padded(list(enumerate(flat, 1)), str(path))


def _flattened(row: object) -> list[float]:
    """A picture's row, given flat or as a list of guesses."""
    if isinstance(row, list):
        return [number for value in row for number in _flattened(value)]
    if isinstance(row, bool) or not isinstance(row, (int, float)):
        raise TypeError
    return [float(row)]


def _lines(path: Path) -> list[tuple[int, list[float]]]:
    try:
        lines = path.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise CamcompatError("is not text", where=str(path), remedy=REMEDY) from None
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append((number, [float(word) for word in re.split(r"[\s,;]+", line.strip(" \t,;"))]))
        except ValueError:
            found = line[:40] or "an empty line"
            raise CamcompatError(f"found {found!r}", where=f"{path}:{number}", remedy=REMEDY) from None
    return rows


def _padded(rows: Sequence[tuple[int, list[float]]], where: str) -> np.ndarray:
    width = max((len(row) for _, row in rows), default=0)
    table = np.tile(NONE, (len(rows), width // FIELDS + 1))[:, :width]
    for place, (number, row) in enumerate(rows):
        if len(row) % FIELDS or not row:
            raise CamcompatError(f"found {len(row)} numbers", where=f"{where}:{number}", remedy=REMEDY)
        table[place, : len(row)] = row
    return table


def write_predictions(path: str | os.PathLike[str], rows: np.ndarray) -> None:
    """Write rows as text, as the ILSVRC development kit reads them.

    The file appears under its name when it is complete.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> write_predictions(f"{folder.name}/rows.txt", np.array([[969, 41, 145, 403, 347.5]]))
    >>> print(Path(f"{folder.name}/rows.txt").read_text(), end="")
    969 41 145 403 347.5
    """
    text = "".join(" ".join(f"{value:.17g}" for value in row) + "\n" for row in rows)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="ascii")


def read_blacklist(source: str | os.PathLike[str]) -> tuple[int, ...]:
    """Return the 1-based numbers of a blacklist file, such as ``ILSVRC2014_clsloc_validation_blacklist.txt``.

    Raises:
        CamcompatError: no such file, or words in it that are no numbers.

    >>> read_blacklist("nothing.txt")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: nothing.txt: no such file; check the path of the blacklist
    """
    try:
        words = Path(source).read_text(encoding="utf-8-sig").split()
        return tuple(int(word) for word in words)
    except FileNotFoundError:
        raise CamcompatError(
            "no such file", where=os.fspath(source), remedy="check the path of the blacklist"
        ) from None
    except ValueError:
        remedy = "expected a number of a picture per line, from 1"
        raise CamcompatError("holds what is no whole number", where=os.fspath(source), remedy=remedy) from None
