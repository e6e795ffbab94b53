"""The bounding boxes that OpenCV 2.4's ``findContours`` leads to, without OpenCV.

``RETR_CCOMP`` gives one contour for each 8-connected component and one for each hole in it. A hole's contour runs on
the pixels around it, so its box is one pixel larger on every side.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from camcompat.boxes.kinds import Box

__all__ = ["contour_boxes"]

EIGHT = np.ones((3, 3), bool)


def contour_boxes(mask: np.ndarray) -> list[Box]:
    """Return the boxes of all contours, in OpenCV's order.

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
    regions = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        first = columns.start + int((labels[rows.start, columns] == number).argmax())
        box = Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)
        regions.append((number, (rows.start, first), box))
    yield from sorted(regions, key=lambda region: region[1], reverse=True)
