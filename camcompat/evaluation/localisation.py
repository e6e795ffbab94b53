"""Classification and localisation error, as the release's ``eval_clsloc.m`` and ``simpleEvaluation.m`` compute them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from camcompat.boxes.rule import overlaps
from camcompat.evaluation.ground_truth import GroundTruth
from prototxt.errors import CamcompatError

__all__ = ["GUESSES", "Errors", "check_blacklist", "combine", "evaluate_predictions"]

GUESSES = 5
"""How many guesses a picture has at most, as in ILSVRC."""

FIELDS = 5
"""A guess: label x1 y1 x2 y2."""

ENOUGH = 0.5
"""The least overlap of a box that is right."""


@dataclass(frozen=True)
class Errors:
    """Shares of wrong pictures with 1, 2, …, 5 guesses each.

    Attributes:
        cls: wrong labels, of all pictures.
        clsloc: wrong labels or boxes, of all pictures that are not blacklisted.
        pictures: how many there are.
        blacklisted: how many of them do not count for ``clsloc``.
    """

    cls: tuple[float, ...]
    clsloc: tuple[float, ...]
    pictures: int
    blacklisted: int = 0


def evaluate_predictions(
    predictions: np.ndarray, truth: GroundTruth, *, blacklist: Sequence[int] = (), guesses: int = GUESSES
) -> Errors:
    """Return the errors of predicted labels and boxes.

    A guess is right if its label is the picture's and its box overlaps any box of that label by at least 0.5; a picture
    is right if one of its first k guesses is. A picture with several labels counts by the share of them that is wrong.

    Args:
        predictions: (N, 5·g), per picture up to g guesses ``label x1 y1 x2 y2``, the best first; label 0 for none.
            With fewer guesses than k, all count.
        truth: N pictures in the same order, its labels numbers as in ``predictions``.
        blacklist: 1-based numbers of pictures that the localisation error leaves out.
        guesses: up to which k.

    Raises:
        CamcompatError: numbers of pictures that differ, rows that are no guesses, values that are not finite, a
            blacklist that names a picture twice or none.

    Source: ``evaluation/simpleEvaluation.m`` and ``eval_clsloc.m`` of the CAM release.

    >>> from camcompat.evaluation.ground_truth import Truth
    >>> truth = GroundTruth((Truth("cup.jpg", (969,), np.array([[10.0, 10.0, 99.0, 99.0]])),), "by hand")
    >>> evaluate_predictions(np.array([[968, 10, 10, 99, 99, 969, 10, 10, 99, 60]]), truth, guesses=2)
    Errors(cls=(1.0, 0.0), clsloc=(1.0, 0.0), pictures=1, blacklisted=0)
    """
    rows = _checked(predictions, len(truth))
    counted = np.ones(len(rows), bool)
    counted[check_blacklist(blacklist, len(rows))] = False
    flat = truth.flat()
    guessed = rows.reshape(len(rows), -1, FIELDS)
    labelled = guessed[flat.picture, :, 0] == flat.label[:, None]
    boxed = guessed[flat.picture[flat.unit], :, 1:]
    overlapping = overlaps(boxed, flat.box[:, None]) >= ENOUGH
    located = np.zeros_like(labelled)
    np.logical_or.at(located, flat.unit, overlapping & labelled[flat.unit])
    share = 1.0 / np.bincount(flat.picture, minlength=len(rows))
    cls, clsloc = [], []
    for k in range(1, guesses + 1):
        cls.append(_sum(~labelled[:, :k].any(1), flat.picture, share, len(rows)))
        clsloc.append(_sum(~located[:, :k].any(1) & counted[flat.picture], flat.picture, share, int(counted.sum())))
    return Errors(tuple(cls), tuple(clsloc), len(rows), len(rows) - int(counted.sum()))


def _sum(wrong: np.ndarray, picture: np.ndarray, share: np.ndarray, count: int) -> float:
    return float((wrong * share[picture]).sum() / count) if count else float("nan")


def _checked(predictions: np.ndarray, count: int) -> np.ndarray:
    rows = np.asarray(predictions, np.float64)
    remedy = "expected rows of label x1 y1 x2 y2, up to five times"
    if rows.ndim != 2 or rows.shape[1] % FIELDS or not rows.shape[1]:
        raise CamcompatError(f"found an array of shape {rows.shape}", where="predictions", remedy=remedy)
    if len(rows) != count:
        raise CamcompatError(
            f"{len(rows)} rows for {count} pictures", where="predictions", remedy="give one row per picture, in order"
        )
    if not np.isfinite(rows).all():
        bad = int((~np.isfinite(rows).all(1)).argmax())
        raise CamcompatError("holds NaN or infinity", where=f"predictions: row {bad + 1}", remedy=remedy)
    return rows


def check_blacklist(blacklist: Sequence[int], count: int) -> np.ndarray:
    """Return the 0-based places of blacklisted pictures.

    Args:
        blacklist: 1-based numbers.
        count: how many pictures there are.

    Raises:
        CamcompatError: a number out of range, or one that is there twice.
    """
    numbers = np.asarray(blacklist, np.int64).reshape(-1)
    outside = numbers[(numbers < 1) | (numbers > count)]
    if len(outside):
        remedy = f"expected numbers from 1 to {count}"
        raise CamcompatError(f"names picture {outside[0]}", where="blacklist", remedy=remedy)
    unique, times = np.unique(numbers, return_counts=True)
    if len(unique) != len(numbers):
        raise CamcompatError(
            f"names picture {unique[times > 1][0]} twice", where="blacklist", remedy="name each one once"
        )
    return numbers - 1


def combine(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the release's "Combine" rows: both boxes of the best class, both of the second, one of the third.

    Args:
        first, second: (N, 25), five guesses with the first and the second box of each class (``bbox1``, ``bbox2``).

    Source: ``ILSVRC_evaluate_bbox.m``: guesses of both, class by class, cut to 25 columns.

    >>> combine(np.arange(25)[None], 100 + np.arange(25)[None])[0, ::5]
    array([  0, 100,   5, 105,  10])
    """
    count, columns = first.shape
    pairs = np.stack([first.reshape(count, -1, FIELDS), second.reshape(count, -1, FIELDS)], 2)
    return pairs.reshape(count, -1)[:, :columns]
