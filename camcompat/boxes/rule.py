"""What a box is, what a rule for boxes is, and the one door to all rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from camcompat.boxes.grey import check_map
from camcompat.registry import Registry
from prototxt.errors import CamcompatError

__all__ = [
    "RULES", "Box", "BoxRule", "ChosenRule", "Corners", "Option", "Rule", "check_options", "find_boxes", "overlaps",
    "release_corners",
]  # fmt: skip

Rule: TypeAlias = str
"""A rule's name, such as "dt-box" or "paper"."""

Corners: TypeAlias = tuple[int, int, int, int]
"""x1, y1, x2, y2"""


class Box(NamedTuple):
    """A rectangle of pixels, 0-based: columns ``x`` to ``x + width - 1``, rows ``y`` to ``y + height - 1``.

    ``dt-box`` gives boxes of zero and negative sizes on small maps, as the release's program does.

    >>> Box(x=4, y=2, width=3, height=5).corners
    (4, 2, 6, 6)
    """

    x: int
    y: int
    width: int
    height: int

    @property
    def corners(self) -> Corners:
        """The first and the last pixel: x1, y1, x2, y2, both inclusive."""
        return self.x, self.y, self.x + self.width - 1, self.y + self.height - 1


def release_corners(boxes: Sequence[Box]) -> list[Corners]:
    """Return x1, y1, x2, y2 of each box as the release does: x2 = x + width, and reversed corners put in order.

    Source: ``generate_bbox.m`` and ``ILSVRC_evaluate_bbox.m``. The second corner is one pixel beyond ``Box.corners``.

    >>> release_corners([Box(41, 145, 362, 202), Box(5, 9, -2, 3)])
    [(41, 145, 403, 347), (3, 9, 5, 12)]
    """
    return [
        (min(x, x + width), min(y, y + height), max(x, x + width), max(y, y + height)) for x, y, width, height in boxes
    ]


def overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes, pair by pair, every side counted as x2 - x1 + 1.

    Args:
        boxes, others: (..., 4) float64, x1 y1 x2 y2.

    Returns:
        (...) float64; -1 where they share no pixel.

    Source: ``compute_overlap.m``.

    >>> overlaps(np.array([[0.0, 0.0, 9.0, 9.0]]), np.array([[0.0, 0.0, 9.0, 4.0]]))
    array([0.5])
    """
    width = np.minimum(boxes[..., 2], others[..., 2]) - np.maximum(boxes[..., 0], others[..., 0]) + 1
    height = np.minimum(boxes[..., 3], others[..., 3]) - np.maximum(boxes[..., 1], others[..., 1]) + 1
    shared = width * height
    union = _area(boxes) + _area(others) - shared
    touching = (width > 0) & (height > 0)
    return np.where(touching, shared / np.where(touching, union, 1), -1.0)


def _area(boxes: np.ndarray) -> np.ndarray:
    area: np.ndarray = (boxes[..., 2] - boxes[..., 0] + 1) * (boxes[..., 3] - boxes[..., 1] + 1)
    return area


@dataclass(frozen=True)
class Option:
    """What a rule can be told: a keyword argument in Python, ``--name`` on the command line.

    Attributes:
        name: of the argument.
        type: of the value; ``bool``: a flag.
        default: the value where none is given.
        help: a sentence for ``--help``.
        metavar: what stands for the value there; None: the name of its type.
        count: how many values there are.
    """

    name: str
    type: type
    default: Any
    help: str
    metavar: str | None = None
    count: int = 1


@dataclass(frozen=True)
class BoxRule:
    """A way from a heat map to boxes. Each rule is a module in ``camcompat/boxes/rules``, which adds it to ``RULES``.

    Attributes:
        name: what users call it.
        title: what it does, in a few words for ``--help``.
        find: map (H, W), uint8 or float64, all of it finite → its boxes; takes every option by keyword.
        options: what it can be told.
        check: takes the same keywords; raises a ``CamcompatError`` where a value is out of range.
        corners: box → x1, y1, x2, y2 as rows of predictions have them.
        second: whether evaluations look at the second box of a class too (``bbox2`` and ``Combine``).
    """

    name: str
    title: str
    find: Callable[..., list[Box]]
    options: tuple[Option, ...] = ()
    check: Callable[..., object] = lambda **options: None
    corners: Callable[[Box], Corners] = lambda box: box.corners
    second: bool = False


RULES: Registry[BoxRule] = Registry("camcompat.boxes.rules", order=lambda rule: (rule.name != "dt-box", rule.name))


def check_options(rule: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Refuse what ``find_boxes`` would refuse whatever the map.

    Returns: all options of the rule: those given, and for the others the defaults.

    Raises:
        CamcompatError: no such rule or option, or a value out of range.

    >>> check_options("paper", {"thresholds": (20, 100, 110)})
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: paper: the rule has no option 'thresholds'; it has fraction
    """
    if rule not in RULES:
        raise CamcompatError(f"{rule!r} is no rule for boxes", where="rule", remedy=f"use {' or '.join(RULES.names())}")
    known = {option.name: option.default for option in RULES[rule].options}
    if unknown := sorted(set(options) - set(known)):
        remedy = f"it has {', '.join(known) or 'none'}"
        raise CamcompatError(f"the rule has no option {unknown[0]!r}", where=rule, remedy=remedy)
    values = {**known, **{name: value for name, value in options.items() if value is not None}}
    RULES[rule].check(**values)
    return values


def find_boxes(heatmap: np.ndarray, rule: Rule = "dt-box", **options: Any) -> list[Box]:
    """Return the boxes of one heat map.

    Args:
        heatmap: (H, W). uint8 is 8-bit grey as it is; anything else is a map of any scale, of which only the values
            above zero count (``dt-box`` divides it by its maximum, as the release's ILSVRC script does).
        rule: "dt-box", the release's program ``bboxgenerator/dt_box`` (see ``rules.dt_box.dt_boxes``): boxes in
            descending order of area; or "paper", section 3.2 of the paper (see ``rules.paper.component_boxes``): one
            box.
        options: of "dt-box": ``thresholds``, ``replace_invalid`` and ``jpeg_quality``; of "paper": ``fraction``.

    Returns:
        0-based boxes in pixels of the map; an empty list where nothing is found (a map without a positive value).

    Raises:
        CamcompatError: no such rule or option, a map that is not two-dimensional, empty or not finite, bad thresholds.

    >>> heat = np.zeros((48, 64), np.uint8)
    >>> heat[10:30, 20:50] = 200
    >>> find_boxes(heat, "dt-box", thresholds=(20, 100, 210))
    [Box(x=20, y=10, width=30, height=20)]
    """
    values = check_options(rule, options)
    return RULES[rule].find(check_map(heatmap), **values)


@dataclass(frozen=True)
class ChosenRule:
    """A rule and the options that were chosen for it.

    Attributes:
        name: of the rule.
        options: (name, value) pairs, as ``find_boxes`` takes them.
    """

    name: Rule
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def of(cls, boxes: object) -> ChosenRule | None:
        """Read what callers give as ``boxes=``.

        >>> ChosenRule.of(("dt-box", {"thresholds": (20, 100, 110)}))
        ChosenRule(name='dt-box', options=(('thresholds', (20, 100, 110)),))
        >>> ChosenRule.of({"rule": "paper"}) == ChosenRule.of("paper")
        True
        """
        if boxes is None:
            return None
        name: Any = boxes
        options: dict[str, Any] = {}
        if isinstance(boxes, Mapping):
            options = dict(boxes)
            name = options.pop("rule", None)
        elif isinstance(boxes, (tuple, list)) and len(boxes) == 2 and isinstance(boxes[1], Mapping):
            name, options = boxes[0], dict(boxes[1])
        if name not in RULES:
            remedy = f"use {' or '.join(map(repr, RULES.names()))}, or ('dt-box', {{'thresholds': (20, 100, 110)}})"
            raise CamcompatError(f"rule is {boxes!r}", where="boxes", remedy=remedy)
        return cls(name, tuple(options.items()))

    def find(self, heatmap: np.ndarray) -> list[Box]:
        """Return the boxes of one heat map, as ``find_boxes``."""
        return find_boxes(heatmap, self.name, **dict(self.options))
