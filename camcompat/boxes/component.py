"""The paper's own rule: the largest connected part above a fraction of the map's maximum."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from camcompat.boxes.kinds import Box
from prototxt.errors import CamcompatError

__all__ = ["check_fraction", "component_boxes"]


def check_fraction(fraction: float) -> None:
    """Refuse a fraction out of range.

    Raises:
        CamcompatError: below 0, or 1 and above.
    """
    if not 0 <= fraction < 1:
        raise CamcompatError(f"fraction is {fraction}", where="paper", remedy="use at least 0 and less than 1")


def component_boxes(heatmap: np.ndarray, fraction: float = 0.2) -> list[Box]:
    """Return the box of the largest 8-connected part of the pixels above ``fraction`` of the map's maximum.

    Of parts of equal size the first in raster order wins. Pixels that touch at a corner only belong together (the paper
    does not say; ``dt-box`` has it so too).

    Args:
        heatmap: (H, W), real numbers of any scale.
        fraction: at least 0, below 1.

    Returns:
        One box; none where no value is above zero.

    Raises:
        CamcompatError: a fraction out of range.

    Source: Zhou et al., CVPR 2016, section 3.2.

    >>> component_boxes(np.array([[9, 1, 0, 0], [0, 1, 9, 9]]))
    [Box(x=2, y=1, width=2, height=1)]
    >>> component_boxes(np.zeros((3, 3)))
    []
    """
    check_fraction(fraction)
    top = heatmap.max()
    if top <= 0:
        return []
    parts, _ = ndimage.label(heatmap > fraction * float(top), np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # the background
    first = (sizes[parts] == sizes.max()).argmax()  # in raster order
    rows, columns = ndimage.find_objects(parts)[parts.ravel()[first] - 1]
    return [Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)]
