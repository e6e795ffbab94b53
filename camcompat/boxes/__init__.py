"""Boxes out of heat maps: the release's ``dt-box`` and the paper's own rule.

>>> import numpy as np
>>> from camcompat.boxes import find_boxes
>>> heat = np.zeros((48, 64), np.float32)
>>> heat[10:30, 20:50] = 1
>>> find_boxes(heat, rule="paper")
[Box(x=20, y=10, width=30, height=20)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "camcompat.boxes.grey": "as_grey read_map",
    "camcompat.boxes.rule": "Box Rule find_boxes release_corners",
}

if TYPE_CHECKING:
    from camcompat.boxes.grey import as_grey as as_grey, read_map as read_map
    from camcompat.boxes.rule import (
        Box as Box,
        Rule as Rule,
        find_boxes as find_boxes,
        release_corners as release_corners,
    )
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
