"""What a network finds in one picture, as far as an evaluation needs it, and rows of predictions made of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.boxes.rule import RULES, Box, ChosenRule
from camcompat.evaluation.localisation import FIELDS, GUESSES
from camcompat.evaluation.prediction_files import NONE

if TYPE_CHECKING:
    from camcompat.boxes import Rule
    from camcompat.cam.result import Result

__all__ = ["Findings", "prediction_rows"]


@dataclass(frozen=True)
class Findings:
    """What one pipeline found in one picture.

    Attributes:
        classes: up to five, the best first.
        scores: theirs.
        peak: x, y of the first class's maximum, 0-based; None where its map is nowhere above zero.
        boxes: by rule, and for each class: the first two boxes.
    """

    classes: tuple[int, ...]
    scores: tuple[float, ...]
    peak: tuple[int, int] | None
    boxes: Mapping[str, tuple[tuple[Box, ...], ...]]

    def as_dict(self) -> dict[str, Any]:
        """Return it in plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Findings:
        """Return what ``as_dict`` gave, also after a way through JSON.

        >>> entry = {"classes": [3], "scores": [0.5], "peak": None, "boxes": {"paper": [[[1, 2, 3, 4]]]}}
        >>> Findings.from_dict(entry).boxes
        {'paper': ((Box(x=1, y=2, width=3, height=4),),)}
        """
        boxes = {
            rule: tuple(tuple(Box(*box) for box in several) for several in classes)
            for rule, classes in entry["boxes"].items()
        }
        peak = entry["peak"]
        return cls(tuple(entry["classes"]), tuple(entry["scores"]), None if peak is None else (peak[0], peak[1]), boxes)

    @classmethod
    def of(cls, result: Result, rules: Mapping[Rule, Mapping[str, Any]]) -> Findings:
        """Return those of a result: its classes, the peak of the first, and boxes by rule (with their options)."""
        heatmap = result.heatmap(0)
        peak: tuple[int, int] | None = None
        if heatmap.max() > 0:
            y, x = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
            peak = int(x), int(y)
        boxes: dict[str, tuple[tuple[Box, ...], ...]] = {}
        for rule, options in rules.items():
            ruled = replace(result, rule=ChosenRule(rule, tuple(options.items())))
            boxes[rule] = tuple(tuple(several[:2]) for several in ruled.boxes)
        return cls(tuple(result.classes.tolist()), tuple(result.scores.tolist()), peak, boxes)

    def points_into(self, boxes: np.ndarray) -> bool:
        """Whether the peak lies in one of the boxes (n, 4), x1 y1 x2 y2, the last pixels included."""
        if self.peak is None:
            return False
        x, y = self.peak
        return bool(((boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])).any())


def prediction_rows(findings: Sequence[Findings | None], rule: str, ids: Sequence[int], which: int = 0) -> np.ndarray:
    """Return rows of predictions, as ``evaluate_predictions`` takes them.

    Each rule says what its corners are (``BoxRule.corners``): dt-box's are the release's, x2 = x + width. A class
    without any box gets 0 0 0 0; one without a second box its first again (the release's script stops there).

    Args:
        findings: of each picture; None for one that could not be read: its guesses match nothing.
        rule: which boxes.
        ids: the number of each class of the network.
        which: 0, the first box of each class, or 1, the second.

    Returns:
        (N, 25) float64.
    """
    table = np.tile(NONE, (len(findings), GUESSES))
    for row, one in zip(table, findings):
        if one is None:
            continue
        for guess, (index, boxes) in enumerate(zip(one.classes, one.boxes[rule])):
            chosen = boxes[min(which, len(boxes) - 1)] if boxes else None
            corners: Sequence[int] = (0, 0, 0, 0)
            if chosen is not None:
                corners = RULES[rule].corners(chosen)
            row[guess * FIELDS : (guess + 1) * FIELDS] = (ids[index], *corners)
    return table
