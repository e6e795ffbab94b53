"""The release's box program (``bboxgenerator/dt_box.cpp`` and ``dt.c``), peculiarities included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from camcompat.boxes.grey import as_grey, check_quality, through_jpeg
from camcompat.boxes.introsort import introsort
from camcompat.boxes.rule import RULES, Box, BoxRule, Corners, Option, release_corners
from prototxt.errors import CamcompatError

__all__ = ["OLD_THRESHOLDS", "PAPER_THRESHOLDS", "check_thresholds", "contour_boxes", "dt_boxes"]

PAPER_THRESHOLDS = (20, 100, 110)
"""What the paper's evaluation used."""

OLD_THRESHOLDS = (30, 90, 150)
"""What the original program takes in silence where the given ones are invalid."""

CORE = 10
"""A pixel counts where its scaled distance to the background is above this."""

MARGIN = 5
"""Boxes are cut off this many pixels before the right and the lower border."""

EIGHT = np.ones((3, 3), bool)
"""Pixels that touch at a corner belong together."""


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
    message = f"found {' '.join(map(str, values)) or 'nothing'}"
    if len(values) != 3 or not all(isinstance(value, (int, np.integer)) for value in values):
        raise CamcompatError(message, where="thresholds", remedy=remedy)
    first, second, third = map(int, values)
    if 0 < first < second < third < 255:
        return first, second, third
    if replace_invalid:
        return OLD_THRESHOLDS
    raise CamcompatError(message, where="thresholds", remedy=f"{remedy} (the original takes 30 90 150 here)")


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
    boxes = [
        Box(
            _limit(x, 0, width - MARGIN),
            _limit(y, 0, height - MARGIN),
            _limit(w, 0, width - x - MARGIN),
            _limit(h, 0, height - y - MARGIN),
        )
        for level in levels
        for x, y, w, h in contour_boxes(_core(grey > level))
    ]
    return _merged(introsort(boxes, lambda a, b: _area(a) > _area(b)))


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
    from scipy import ndimage  # late: the command line reads the rules' options, and scipy takes long to load

    if mask.all() or not mask.any():
        return mask
    distance = ndimage.distance_transform_edt(mask)
    core: np.ndarray = (distance * (255.0 / distance.max()) + 0.5).astype(int) > CORE
    return core


def contour_boxes(mask: np.ndarray) -> list[Box]:
    """Return the bounding boxes of what OpenCV 2.4's ``findContours`` finds, in its order, without OpenCV.

    ``RETR_CCOMP`` gives one contour for each 8-connected component and one for each hole in it. A hole's contour runs
    on the pixels around it, so its box is one pixel larger on every side.

    The outermost frame of one pixel counts as background, as OpenCV 2.4 has it. Components come in reverse raster order
    of their first pixels; each is followed by its holes, in reverse raster order too.

    Args:
        mask: (H, W) bool.

    >>> ring = np.zeros((7, 9), bool)
    >>> ring[1:6, 2:7] = True
    >>> ring[3, 4] = False
    >>> contour_boxes(ring)
    [Box(x=2, y=1, width=5, height=5), Box(x=3, y=2, width=3, height=3)]
    """
    from scipy import ndimage

    inner = np.zeros(mask.shape, bool)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1]
    if not inner.any():
        return []
    parts, _ = ndimage.label(inner, EIGHT)
    background, _ = ndimage.label(~inner)  # 4-connected, as the components are 8-connected
    holes: dict[int, list[Box]] = {}
    for number, (row, column), (x, y, width, height) in _regions(background):
        if number != background[0, 0]:  # the left neighbour of a hole's first pixel belongs to the component around it
            around = Box(x - 1, y - 1, width + 2, height + 2)
            holes.setdefault(int(parts[row, column - 1]), []).append(around)
    ordered: list[Box] = []
    for number, _, box in _regions(parts):
        ordered += [box, *holes.get(number, [])]
    return ordered


def _regions(labels: np.ndarray) -> Iterator[tuple[int, tuple[int, int], Box]]:
    """Number, first pixel (row, column) and box of each region, in reverse raster order of the first pixels."""
    from scipy import ndimage

    regions = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        first = columns.start + int((labels[rows.start, columns] == number).argmax())
        box = Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        regions.append((number, (rows.start, first), box))
    yield from sorted(regions, key=lambda region: region[1], reverse=True)


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


def _find(heatmap: np.ndarray, **options: Any) -> list[Box]:
    return dt_boxes(as_grey(heatmap), **options)


def _check(thresholds: Sequence[int], replace_invalid: bool, jpeg_quality: int | None) -> None:
    check_thresholds(thresholds, replace_invalid=replace_invalid)
    if jpeg_quality is not None:
        check_quality(jpeg_quality)


def _corners(box: Box) -> Corners:
    return release_corners([box])[0]


RULES.add(
    BoxRule(
        name="dt-box",
        title="the release's program",
        find=_find,
        options=(
            Option("thresholds", int, PAPER_THRESHOLDS, "Grey values for dt-box.", metavar="T0 T1 T2", count=3),
            Option(
                "replace_invalid", bool, False, "Take 30 90 150 where the thresholds are invalid, as the original does."
            ),
            Option(
                "jpeg_quality", int, None, "Pass maps through JPEG before dt-box; the release's scripts had 75.", "Q"
            ),
        ),
        check=_check,
        corners=_corners,
        second=True,
    )
)
