"""What is in the pictures, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import NamedTuple

import numpy as np

from prototxt.errors import CamcompatError

__all__ = ["Flat", "GroundTruth", "Pairing", "Truth", "pair"]

Label = int | str


@dataclass(frozen=True, eq=False)
class Truth:
    """One picture.

    Attributes:
        picture: its name, with or without folders and extension.
        labels: of each box: a number, or a name where the source has names.
        boxes: (n, 4) float64, x1 y1 x2 y2: first and last pixel.
    """

    picture: str
    labels: tuple[Label, ...]
    boxes: np.ndarray

    def __post_init__(self) -> None:
        if not self.labels:
            remedy = "leave the picture out: without an object it cannot be right"
            raise CamcompatError("has no box", where=self.picture, remedy=remedy)
        for box in self.boxes:
            if not np.isfinite(box).all() or box[2] < box[0] or box[3] < box[1]:
                found = " ".join(f"{value:g}" for value in box)
                raise CamcompatError(
                    f"has the box {found}", where=self.picture, remedy="expected x1 <= x2 and y1 <= y2"
                )


class Flat(NamedTuple):
    """Ground truth as arrays. A unit is one label of one picture.

    ``picture`` and ``label`` are those of each unit; ``unit`` and ``box`` (M, 4) those of each box.
    """

    picture: np.ndarray
    label: np.ndarray
    unit: np.ndarray
    box: np.ndarray


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """Pictures in order, each with labels and boxes.

    Attributes:
        truths: one per picture.
        source: where they were read.
    """

    truths: tuple[Truth, ...]
    source: str

    def __len__(self) -> int:
        return len(self.truths)

    def __iter__(self) -> Iterator[Truth]:
        return iter(self.truths)

    def first(self, count: int) -> GroundTruth:
        """Return the first pictures only."""
        return replace(self, truths=self.truths[:count])

    def numbered(self, number: Callable[[Label], int]) -> GroundTruth:
        """Return it with each label replaced by a number.

        Raises:
            CamcompatError: a label that ``number`` refuses; the picture is named.
        """
        known: dict[Label, int] = {}
        truths = []
        for truth in self.truths:
            for label in truth.labels:
                if label not in known:
                    try:
                        known[label] = number(label)
                    except CamcompatError as error:
                        where = f"{self.source}: {truth.picture}"
                        raise CamcompatError(error.message, where=where, remedy=error.remedy) from None
            truths.append(replace(truth, labels=tuple(known[label] for label in truth.labels)))
        return replace(self, truths=tuple(truths))

    def flat(self) -> Flat:
        """Return it as arrays.

        Raises:
            CamcompatError: labels that are names.
        """
        pictures: list[int] = []
        labels: list[int] = []
        units: list[int] = []
        boxes: list[np.ndarray] = []
        for place, truth in enumerate(self.truths):
            mine: dict[int, int] = {}
            for label in truth.labels:
                if isinstance(label, str):
                    remedy = "give the classes, so that names become numbers"
                    raise CamcompatError(
                        f"has the label {label!r}", where=f"{self.source}: {truth.picture}", remedy=remedy
                    )
                if label not in mine:
                    mine[label] = len(pictures)
                    pictures.append(place)
                    labels.append(label)
                units.append(mine[label])
            boxes.append(truth.boxes)
        return Flat(
            np.array(pictures, np.int64),
            np.array(labels, np.float64),
            np.array(units, np.int64),
            np.concatenate(boxes) if boxes else np.zeros((0, 4)),
        )


class Pairing(NamedTuple):
    """Pictures with their ground truth, and what has no partner."""

    pairs: list[tuple[Path, int]]
    missing: list[str]
    unknown: list[Path]


def pair(pictures: Iterable[Path], truth: GroundTruth) -> Pairing:
    """Find the ground truth of each picture: by name without extension, and by folders where names repeat.

    Returns:
        (picture, place in ``truth``) in the order of ``truth``; the names of pictures that are not there; the pictures
        that the ground truth does not know.

    Raises:
        CamcompatError: two pictures for one entry, or two entries for one picture.

    >>> truth = GroundTruth((Truth("cup.jpg", (0,), np.array([[0.0, 0.0, 9.0, 9.0]])),), "boxes.csv")
    >>> pair([Path("photos/cup.png")], truth).pairs
    [(PosixPath('photos/cup.png'), 0)]
    """
    by_stem: dict[str, list[int]] = {}
    for place, entry in enumerate(truth):
        by_stem.setdefault(PurePath(entry.picture).stem, []).append(place)
    found: dict[int, Path] = {}
    unknown = []
    for picture in pictures:
        places = by_stem.get(picture.stem, [])
        if len(places) > 1:
            places = [place for place in places if _ends_with(picture, truth.truths[place].picture)]
        if not places:
            unknown.append(picture)
            continue
        place = places[0]
        if len(places) > 1 or place in found:
            other = found.get(place, truth.truths[place].picture)
            remedy = "give each picture a name of its own, or its folder in the ground truth"
            raise CamcompatError(f"{picture} and {other} cannot be told apart", where=truth.source, remedy=remedy)
        found[place] = picture
    missing = [entry.picture for place, entry in enumerate(truth) if place not in found]
    return Pairing([(found[place], place) for place in sorted(found)], missing, unknown)


def _ends_with(picture: Path, name: str) -> bool:
    parts = PurePath(name).with_suffix("").parts
    return picture.with_suffix("").parts[-len(parts) :] == parts
