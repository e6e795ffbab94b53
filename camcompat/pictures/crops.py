"""Where the crops lie that a network sees of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prototxt.errors import CamcompatError

__all__ = ["Box", "Crop", "Layout", "Size", "layout_of"]

Size = tuple[int, int]
"""height, width."""

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels of the picture; may lie between pixels."""


@dataclass(frozen=True)
class Crop:
    """One window of the resized picture.

    Attributes:
        top, left: its first row and column, 0-based.
        mirrored: whether the network sees it turned left for right.
    """

    top: int
    left: int
    mirrored: bool = False


@dataclass(frozen=True)
class Layout:
    """The crops of one picture.

    Attributes:
        canvas: (height, width) of the resized picture that they are cut from.
        size: (height, width) of each of them, the network's input.
        crops: the windows.
    """

    canvas: Size
    size: Size
    crops: tuple[Crop, ...]

    def box(self, crop: Crop, picture: Size) -> Box:
        """Return where a crop lies in the picture itself, in its own pixels.

        >>> Layout((112, 112), (96, 96), (Crop(8, 8),)).box(Crop(8, 8), (112, 224))
        (16.0, 8.0, 208.0, 104.0)
        """
        y, x = picture[0] / self.canvas[0], picture[1] / self.canvas[1]
        return (crop.left * x, crop.top * y, (crop.left + self.size[1]) * x, (crop.top + self.size[0]) * y)


def layout_of(count: int, canvas: Size, size: Size, *, odd: Literal["down", "up"] = "down") -> Layout:
    """Return one or ten crops, in the CAM release's order.

    Ten: (left, top), (left, bottom), (right, top), (right, bottom), centre, then the same five mirrored (the order of
    ``prepare_image.m``: x is the outer loop). One: the centre.

    Args:
        count: 1 or 10.
        canvas: (height, width) of the resized picture; ``size``: that of the network's input.
        odd: how an odd margin is halved for the centre: "down" as Caffe's ``DataTransformer``, or "up" as MATLAB's rule
            does (227 of 256 begin at 14 in Caffe, at 15 there).

    Raises:
        CamcompatError: another number of crops, or a crop that is larger than the canvas.

    >>> [(crop.left, crop.top) for crop in layout_of(10, (256, 256), (224, 224)).crops[:5]]
    [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    """
    down, across = canvas[0] - size[0], canvas[1] - size[1]
    if min(down, across) < 0:
        raise CamcompatError(f"crops of {size} from {canvas}", where="crops", remedy="resize to at least the crop")
    more = int(odd == "up")
    middle = Crop((down + more) // 2, (across + more) // 2)
    if count == 1:
        return Layout(canvas, size, (middle,))
    if count != 10:
        raise CamcompatError(f"crops is {count!r}", where="crops", remedy="use 1 or 10")
    five = (*(Crop(top, left) for left in (0, across) for top in (0, down)), middle)
    return Layout(canvas, size, five + tuple(Crop(crop.top, crop.left, mirrored=True) for crop in five))
