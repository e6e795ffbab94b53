"""The paper's own rule: the largest connected part above a fraction of the map's maximum."""

from __future__ import annotations

import numpy as np

from camcompat.boxes.rule import RULES, Box, BoxRule, Option
from prototxt.errors import CamcompatError

__all__ = ["component_boxes"]


def component_boxes(heatmap: np.ndarray, fraction: float = 0.2) -> list[Box]:
    """Return the box of the largest 8-connected part of the pixels above ``fraction`` of the map's maximum.

    Of parts of equal size the first in raster order wins. Pixels that touch at a corner only belong together (the paper
    does not say; ``dt-box`` has it so too).

    Args:
        heatmap: (H, W), real numbers of any scale.
        fraction: at least 0, below 1.

    Returns:
        One box; none where no value is above zero.

    Source: Zhou et al., CVPR 2016, section 3.2.

    >>> component_boxes(np.array([[9, 1, 0, 0], [0, 1, 9, 9]]))
    [Box(x=2, y=1, width=2, height=1)]
    >>> component_boxes(np.zeros((3, 3)))
    []
    """
    from scipy import ndimage  # late: the command line reads the rules' options, and scipy takes long to load

    top = heatmap.max()
    if top <= 0:
        return []
    parts, _ = ndimage.label(heatmap > fraction * float(top), np.ones((3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0  # the background
    first = (sizes[parts] == sizes.max()).argmax()  # in raster order
    rows, columns = ndimage.find_objects(parts)[parts.ravel()[first] - 1]
    return [Box(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)]


def _check(fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise CamcompatError(f"fraction is {fraction}", where="paper", remedy="use at least 0 and less than 1")


RULES.add(
    BoxRule(
        name="paper",
        title="the largest part above 20 % of the maximum",
        find=component_boxes,
        options=(Option("fraction", float, 0.2, "Of the maximum, for the paper's rule."),),
        check=_check,
    )
)
