"""The pipeline that people want today: the aspect kept where the recipe keeps it, one crop or the mean of ten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np
from PIL import Image

from camcompat.cam.pipelines.base import PIPELINES, Panel, Pipeline, Style
from camcompat.pictures.preprocess import Area, Size
from camcompat.pictures.render import Cell, overlay, sheet
from prototxt.errors import CamcompatError

__all__ = ["Plain", "average", "place", "stretched"]

_ALPHA, _PANEL, _COLUMNS = 0.5, 320, 6


@dataclass(frozen=True, eq=False)
class Plain(Pipeline):
    """The picture is resized and cropped by the network's own recipe; maps are averaged where crops overlap."""

    name: ClassVar[str] = "plain"
    title: ClassVar[str] = "today's way"
    jpeg_quality: ClassVar[int] = 92
    default_crops: ClassVar[int] = 1

    def blobs(self, image: Image.Image) -> np.ndarray:
        return self.preprocess.blobs(image, self.preprocess.layout(self.crops, (image.height, image.width)))

    def heat(self, cams: np.ndarray, picture: Size, size: Size) -> np.ndarray:
        """Each crop's map where the crop lay, averaged over the crops that cover a pixel.

        Several are averaged at the resized picture's size, which is finer than any network's maps, and enlarged once.
        """
        layout = self.preprocess.layout(self.crops, picture)
        seen: dict[Area, list[np.ndarray]] = {}
        for crop, cam in zip(layout.crops, cams, strict=True):
            seen.setdefault(layout.box(crop, picture), []).append(cam[:, ::-1] if crop.mirrored else cam)
        if len(seen) == 1:
            ((box, maps),) = seen.items()
            return place(np.mean(maps, 0), box, picture, size)
        fine = (min(layout.canvas[0], size[0]), min(layout.canvas[1], size[1]))
        mean = average({box: np.mean(maps, 0) for box, maps in seen.items()}, picture, fine)
        return place(mean, (0.0, 0.0, float(picture[1]), float(picture[0])), picture, size)

    def normalised(self, heat: np.ndarray) -> np.ndarray:
        """Stretched to 0..1."""
        return stretched(heat)

    def overlay(self, image: Image.Image, heatmap: np.ndarray, alpha: float | None) -> Image.Image:
        return overlay(image, heatmap, alpha=_ALPHA if alpha is None else alpha)

    def figure(self, image: Image.Image, panels: Sequence[Panel], style: Style) -> Image.Image:
        """Panels with labels and scores."""
        longer = _PANEL if style.panel is None else style.panel
        columns = _COLUMNS if style.columns is None else style.columns
        if longer < 64 or columns < 1:
            raise CamcompatError(f"panel is {longer}, columns {columns}", where="figure", remedy="use 64 and 1 or more")
        scale = longer / max(image.size)
        height, width = (max(1, round(side * scale)) for side in (image.height, image.width))
        cells: list[Cell] = [(image.resize((width, height), Image.Resampling.LANCZOS), "original", None)]
        for panel in panels:
            cells.append((self.draw(image, panel, size=(height, width), alpha=style.alpha), panel.label, panel.score))
        return sheet(cells, columns=columns, font=style.font)


PIPELINES.add(Plain)


def average(maps: dict[Area, np.ndarray], picture: Size, size: Size) -> np.ndarray:
    """Return the mean, at each pixel, of the maps that cover it; where none does, of the nearest ones' edges.

    Args:
        maps: float32 (h, w) by the box that it covers, in the picture's pixels.
        picture: (height, width); ``size``: of the returned map.

    Returns: float32 of ``size``.

    >>> whole, right = np.ones((1, 2), np.float32), np.full((1, 1), 3, np.float32)
    >>> average({(0.0, 0.0, 8.0, 4.0): whole, (4.0, 0.0, 8.0, 4.0): right}, (4, 8), (1, 4)).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    y = (np.arange(size[0]) + 0.5) * picture[0] / size[0]
    x = (np.arange(size[1]) + 0.5) * picture[1] / size[1]
    total, count = np.zeros(size, np.float32), np.zeros(size, np.float32)
    nearest = np.full(size, np.inf, np.float32)
    for box, cam in maps.items():
        across = np.maximum(np.maximum(box[0] - x, x - box[2]), 0)
        down = np.maximum(np.maximum(box[1] - y, y - box[3]), 0)
        distance = np.hypot(across[np.newaxis], down[:, np.newaxis]).astype(np.float32)  # 0 where the box covers
        closer, equal = distance < nearest, distance == nearest
        placed = place(cam, box, picture, size)
        total = np.where(closer, placed, total + np.where(equal, placed, 0))
        count = np.where(closer, 1, count + equal).astype(np.float32)
        nearest = np.minimum(nearest, distance)
    mean: np.ndarray = total / count
    return mean


def stretched(heatmap: np.ndarray) -> np.ndarray:
    """Return (map - minimum) / (maximum - minimum), float32; a constant or broken map is all 0.

    >>> stretched(np.array([[-1.0, 0.0, 1.0]])).tolist()
    [[0.0, 0.5, 1.0]]
    """
    low, high = float(heatmap.min()), float(heatmap.max())
    if not high > low:  # constant, or not a number
        return np.zeros(heatmap.shape, np.float32)
    heatmap = heatmap.astype(np.float32) - np.float32(low)
    heatmap /= heatmap.max()
    return heatmap


def place(cam: np.ndarray, box: Area, picture: Size, size: Size) -> np.ndarray:
    """Resample a map that covers ``box`` of a picture to the whole picture, continuing its edge values outside.

    Args:
        cam: (h, w) float32.
        box: (left, top, right, bottom) in the picture's pixels.
        picture: (height, width).
        size: (height, width) wanted.

    Returns:
        ``size`` float32, bicubic with a = -0.5 and half-pixel centres (antialiased where it shrinks), not rescaled.

    >>> place(np.array([[1, 2]], np.float32), (20.0, 0.0, 60.0, 40.0), (40, 80), (1, 4)).round(2).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    rows, columns = cam.shape
    across, down = columns / (box[2] - box[0]), rows / (box[3] - box[1])
    left, right = -box[0] * across, (picture[1] - box[0]) * across
    top, bottom = -box[1] * down, (picture[0] - box[1]) * down
    # Pillow renormalises its filter at borders, so the pad leaves it two cells more than it reaches when it enlarges.
    x, y = (ceil(max(-low, high - cells, 0)) + 4 for low, high, cells in ((left, right, columns), (top, bottom, rows)))
    padded = Image.fromarray(np.pad(np.asarray(cam, np.float32), ((y, y), (x, x)), "edge"))
    area = (left + x, top + y, right + x, bottom + y)
    return np.array(padded.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=area))
