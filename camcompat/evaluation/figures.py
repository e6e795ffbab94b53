"""The figures of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["PREDICTIONS", "Figures", "Report"]

PREDICTIONS = "predictions"
"""Stands for the network where only predictions are known."""


@dataclass(frozen=True)
class Figures:
    """How one pipeline did.

    Attributes:
        accuracy: share of pictures whose best class is right.
        pointing: share of pictures where the maximum of the best class's map lies in a box of the ground truth; None
            where only predictions are known.
        cls: classification error with 1 to 5 guesses.
        clsloc: localisation error with 1 to 5 guesses, by kind of box: "dt-box" (the first box of each class),
            "dt-box bbox2" (the second), "dt-box Combine" (the release's mixture of both), "paper"; of predictions
            "clsloc".
    """

    accuracy: float
    pointing: float | None
    cls: tuple[float, ...]
    clsloc: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Report:
    """What an evaluation found; it prints as a table.

    Attributes:
        model: the network's file; of predictions: "predictions".
        truth: where the ground truth was read.
        pictures: how many pictures the figures are about.
        figures: by pipeline; of predictions: by file.
        blacklisted: how many of the pictures do not count for ``clsloc``.
        bad: (picture, error) of those that could not be read; they count as wrong.
        missing: names in the ground truth without a picture; they do not count.
        unknown: pictures that the ground truth does not know; they do not count.

    >>> figures = {"plain": Figures(0.5, 1.0, (0.5, 0.25), {"paper": (0.75, 0.5)})}
    >>> print(Report("net.onnx", "boxes.csv", 4, figures))
    net.onnx on 4 pictures of boxes.csv
    <BLANKLINE>
    pipeline  accuracy  pointing  error     top-1   top-2
    plain       50.00%   100.00%  cls      50.00%  25.00%
                                  paper    75.00%  50.00%
    """

    model: str
    truth: str
    pictures: int
    figures: Mapping[str, Figures]
    blacklisted: int = 0
    bad: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.table()

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain values."""
        return asdict(self)

    def to_json(self) -> str:
        """Return everything as JSON text."""
        return json.dumps(self.as_dict(), indent=1)

    def notes(self) -> list[str]:
        """Return what does not show in the figures, a line each.

        >>> Report("net.onnx", "boxes.csv", 4, {}, missing=("a.jpg", "b.jpg")).notes()
        ['not there, not counted: 2 pictures of boxes.csv (a.jpg, …)']
        """
        told = (
            ("cannot be read, counted as wrong", "", [picture for picture, _ in self.bad]),
            ("not there, not counted", f" of {self.truth}", self.missing),
            ("without ground truth, not counted", "", self.unknown),
            ("blacklisted, not counted for localisation", "", [""] * self.blacklisted),
        )
        return [f"{what}: {_several(names, of)}" for what, of, names in told if names]

    def table(self) -> str:
        """Return the figures as text, in percent."""
        guesses = max((len(figures.cls) for figures in self.figures.values()), default=0)
        first = "file" if self.model == PREDICTIONS else "pipeline"
        lines = [[first, "accuracy", "pointing", "error", *(f"top-{k}" for k in range(1, guesses + 1))]]
        for pipeline, figures in self.figures.items():
            start = [pipeline, _percent(figures.accuracy), _percent(figures.pointing)]
            for kind, errors in {"cls": figures.cls, **figures.clsloc}.items():
                lines.append([*start, kind, *map(_percent, errors)])
                start = ["", "", ""]
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = "\n".join(_line(line, widths) for line in lines)
        return f"{self.model} on {self.pictures} pictures of {self.truth}\n\n{text}"


def _several(names: Sequence[str], of: str) -> str:
    count = f"{len(names)} picture{'s' * (len(names) != 1)}{of}"
    if not names[0]:
        return count
    return f"{count} ({names[0]}{', …' * (len(names) != 1)})"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _line(cells: list[str], widths: list[int]) -> str:
    words = zip(cells, widths, range(len(cells)))
    return "  ".join(cell.ljust(n) if at in (0, 3) else cell.rjust(n) for cell, n, at in words).rstrip()
