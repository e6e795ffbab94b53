"""One door to both rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from camcompat.boxes.component import check_fraction, component_boxes
from camcompat.boxes.dt_box import check_thresholds, dt_boxes
from camcompat.boxes.grey import as_grey, check_map, check_quality
from camcompat.boxes.kinds import RULES, Box, Rule
from prototxt.errors import CamcompatError

__all__ = ["check_options", "find_boxes"]


OPTIONS = {"dt-box": ("thresholds", "replace_invalid", "jpeg_quality"), "paper": ("fraction",)}


def check_options(rule: str, options: Mapping[str, Any]) -> None:
    """Refuse what ``find_boxes`` would refuse whatever the map.

    Raises:
        CamcompatError: no such rule or option, or a value out of range.

    >>> check_options("paper", {"thresholds": (20, 100, 110)})
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: paper: the rule has no option 'thresholds'; it has fraction
    """
    if rule not in RULES:
        raise CamcompatError(f"{rule!r} is no rule for boxes", where="rule", remedy=f"use {' or '.join(RULES)}")
    if unknown := sorted(set(options) - set(OPTIONS[rule])):
        remedy = f"it has {', '.join(OPTIONS[rule])}"
        raise CamcompatError(f"the rule has no option {unknown[0]!r}", where=rule, remedy=remedy)
    thresholds = options.get("thresholds")
    if thresholds is not None:
        check_thresholds(thresholds, replace_invalid=options.get("replace_invalid", False))
    if options.get("jpeg_quality") is not None:
        check_quality(options["jpeg_quality"])
    if "fraction" in options:
        check_fraction(options["fraction"])


def find_boxes(heatmap: np.ndarray, rule: Rule = "dt-box", **options: Any) -> list[Box]:
    """Return the boxes of one heat map.

    Args:
        heatmap: (H, W). uint8 is 8-bit grey as it is; anything else is a map of any scale, of which only the values
            above zero count (``dt-box`` divides it by its maximum, as the release's ILSVRC script does).
        rule: "dt-box", the release's program ``bboxgenerator/dt_box`` (see ``dt_box.dt_boxes``): boxes in descending
            order of area; or "paper", section 3.2 of the paper (see ``component.component_boxes``): one box.
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
    check_options(rule, options)
    if rule == "paper":
        return component_boxes(check_map(heatmap), **options)
    return dt_boxes(as_grey(heatmap), **options)
