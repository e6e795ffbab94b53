"""The release's box program (``bboxgenerator/dt_box.cpp`` and ``dt.c``), peculiarities included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from camcompat.boxes.contours import contour_boxes
from camcompat.boxes.grey import through_jpeg
from camcompat.boxes.introsort import introsort
from camcompat.boxes.kinds import Box
from prototxt.errors import CamcompatError

__all__ = ["OLD_THRESHOLDS", "PAPER_THRESHOLDS", "check_thresholds", "dt_boxes"]

PAPER_THRESHOLDS = (20, 100, 110)
"""What the paper's evaluation used."""

OLD_THRESHOLDS = (30, 90, 150)
"""What the original program takes in silence where the given ones are invalid."""

CORE = 10
"""A pixel counts where its scaled distance to the background is above this."""

MARGIN = 5
"""Boxes are cut off this many pixels before the right and the lower border."""


def check_thresholds(thresholds: Sequence[int], *, replace_invalid: bool = False) -> tuple[int, int, int]:
    """Return three thresholds with 0 < t0 < t1 < t2 < 255.

    Args:
        thresholds: three whole numbers.
        replace_invalid: take 30, 90, 150 where the order or the range is wrong, as the original program does.

    Raises:
        CamcompatError: another number of them, not whole, or (without ``replace_invalid``) out of order or range.

    >>> check_thresholds([110, 100, 20], replace_invalid=True)
    (30, 90, 150)
    """
    values = tuple(thresholds)
    remedy = "give three whole numbers with 0 < t0 < t1 < t2 < 255, such as 20 100 110"
    found = " ".join(map(str, values)) or "nothing"
    if len(values) != 3 or not all(isinstance(value, (int, np.integer)) for value in values):
        raise CamcompatError(f"found {found}", where="thresholds", remedy=remedy)
    first, second, third = map(int, values)
    if 0 < first < second < third < 255:
        return first, second, third
    if replace_invalid:
        return OLD_THRESHOLDS
    raise CamcompatError(f"found {found}", where="thresholds", remedy=f"{remedy} (the original takes 30 90 150 here)")


def dt_boxes(
    grey: np.ndarray,
    thresholds: Sequence[int] = PAPER_THRESHOLDS,
    *,
    replace_invalid: bool = False,
    jpeg_quality: int | None = None,
) -> list[Box]:
    """Return the boxes that the release's ``dt_box`` prints for an 8-bit map.

    For each threshold: the pixels above it; of these the core, far enough from the background; the boxes of the core's
    contours, cut off near the right and the lower border. Then all boxes by descending area, without those that share
    more than half of a larger one's area.

    Args:
        grey: (H, W) uint8.
        thresholds: three grey values, ascending.
        replace_invalid: see ``check_thresholds``.
        jpeg_quality: pass the map through JPEG first, as the release's ILSVRC scripts do (MATLAB's own is 75).

    Returns:
        0-based boxes. On maps narrower or lower than about 5 pixels, sizes and even positions can be negative.

    Raises:
        CamcompatError: bad thresholds.

    >>> grey = np.zeros((48, 64), np.uint8)
    >>> grey[10:30, 20:50] = 200
    >>> dt_boxes(grey)
    [Box(x=20, y=10, width=30, height=20), Box(x=20, y=10, width=30, height=20)]

    The same box twice: each threshold found it, and after one is dropped the next candidate is passed over.
    """
    height, width = grey.shape
    levels = check_thresholds(thresholds, replace_invalid=replace_invalid)
    if jpeg_quality is not None:
        grey = through_jpeg(grey, jpeg_quality)
    found = [
        Box(
            _limit(x, 0, width - MARGIN),
            _limit(y, 0, height - MARGIN),
            _limit(w, 0, width - x - MARGIN),
            _limit(h, 0, height - y - MARGIN),
        )
        for level in levels
        for x, y, w, h in contour_boxes(_core(grey > level))
    ]
    return _merged(introsort(found, lambda a, b: _area(a) > _area(b)))


def _limit(value: int, low: int, high: int) -> int:
    """As the original: where the limits cross, the upper one decides, so that sizes can be negative."""
    if value < low:
        return low
    return min(value, high)


def _area(box: Box) -> int:
    return box.width * box.height


def _core(mask: np.ndarray) -> np.ndarray:
    """The pixels whose distance to the background, scaled so that the largest is 255, is above ``CORE``.

    The border of the map is no background. A map that is all set stays so: there is no distance to scale.
    """
    if mask.all() or not mask.any():
        return mask
    distance = ndimage.distance_transform_edt(mask)
    core: np.ndarray = (distance * (255.0 / distance.max()) + 0.5).astype(int) > CORE
    return core


def _merged(boxes: list[Box]) -> list[Box]:
    """Drop what shares more than half of a larger box's area (the half rounded towards 0).

    As in the original, whose loop does not step back after it drops a box: the next candidate is passed over. So of
    covered boxes in a row the first, the third, the fifth … go.
    """
    x, y, width, height = np.array(boxes, np.int64).reshape(-1, 4).T
    right, low, area = x + width, y + height, width * height
    kept = np.arange(len(boxes))
    i = 0
    while i < len(kept):
        a, rest = kept[i], kept[i + 1 :]
        across = np.minimum(right[a], right[rest]) - np.maximum(x[a], x[rest])
        down = np.minimum(low[a], low[rest]) - np.maximum(y[a], y[rest])
        half = np.trunc(np.maximum(area[a], area[rest]) * 0.5)
        covered = np.maximum(across, 0) * np.maximum(down, 0) > half
        if covered.any():
            places = np.arange(len(rest))
            before = np.maximum.accumulate(np.where(covered, -1, places))  # the last box that is not covered
            kept = np.concatenate([kept[: i + 1], rest[~covered | ((places - before) % 2 == 0)]])
        i += 1
    return [boxes[place] for place in kept]
