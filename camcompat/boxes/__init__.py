"""Boxes out of heat maps: the release's ``dt-box`` and the paper's own rule.

>>> import numpy as np
>>> from camcompat.boxes import find_boxes
>>> heat = np.zeros((48, 64), np.float32)
>>> heat[10:30, 20:50] = 1
>>> find_boxes(heat, rule="paper")
[Box(x=20, y=10, width=30, height=20)]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camcompat.boxes.grey import as_grey, read_map
    from camcompat.boxes.rule import Box, Rule, find_boxes, release_corners

__all__ = ["Box", "Rule", "as_grey", "find_boxes", "read_map", "release_corners"]

_HOME = {
    "Box": "rule",
    "Rule": "rule",
    "as_grey": "grey",
    "find_boxes": "rule",
    "read_map": "grey",
    "release_corners": "rule",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
