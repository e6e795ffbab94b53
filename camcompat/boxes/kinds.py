"""What a box is, and the corners that the release makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

__all__ = ["RULES", "Box", "Corners", "Rule", "release_corners"]

Rule = Literal["dt-box", "paper"]
RULES: tuple[Rule, ...] = ("dt-box", "paper")

Corners = tuple[int, int, int, int]
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
