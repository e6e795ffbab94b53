"""What a CAM network says about one picture: classes, scores, maps, and pictures of the maps."""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np
from PIL import Image

from camcompat.preprocess import Box
from camcompat.render import overlay, save_image, sheet
from prototxt.errors import CamcompatError

__all__ = ["Outside", "Result", "place"]

Outside = Literal["extend", "zero"]


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Class activation maps of one picture (Zhou et al., CVPR 2016, equation 2: M_c(x, y) = sum_k w_k^c f_k(x, y)).

    Attributes:
        image: the picture, upright, RGB.
        classes: (k,) int64, indices.
        scores: (k,) float32, their probabilities.
        maps: (k, h, w) float32, the maps as the network gives them: no bias, no ReLU, not normalised.
        labels: k names.
        crop_box: (left, top, right, bottom) in pixels of ``image``: the part that the network saw and that the maps
            cover; None: all of it.

    >>> cams = np.array([[[0, 1], [0, 0]]], np.float32)
    >>> result = Result(Image.new("RGB", (64, 48)), np.array([3]), np.array([0.98], np.float32), cams, ("cup",))
    >>> result
    <Result of 64x48: 0.98 cup>
    >>> result.heatmaps().shape
    (1, 48, 64)
    """

    image: Image.Image
    classes: np.ndarray
    scores: np.ndarray
    maps: np.ndarray
    labels: tuple[str, ...]
    crop_box: Box | None = None

    def __repr__(self) -> str:
        return f"<Result of {self.image.width}x{self.image.height}: {', '.join(self._lines())}>"

    def __str__(self) -> str:
        return self.table()

    def __len__(self) -> int:
        return len(self.labels)

    def _lines(self) -> list[str]:
        return [f"{score:.2f} {label}" for score, label in zip(self.scores.tolist(), self.labels, strict=True)]

    def table(self) -> str:
        """Return a line per class: ``0.98 cup``."""
        return "\n".join(self._lines())

    def heatmaps(self, size: tuple[int, int] | None = None, *, outside: Outside = "extend") -> np.ndarray:
        """Return the maps in the picture's own geometry, each stretched to 0..1.

        The network saw the picture's centre crop only. There each map lies where its cells were (bicubic, a = -0.5,
        cell centres aligned). Around it nothing is known: "extend" continues the values at the crop's edge, which
        leaves no frame in a picture; "zero" puts 0 there.

        Args:
            size: (height, width) of the returned maps; None: the picture's.
            outside: "extend" or "zero".

        Returns:
            (k, height, width) float32; 0 is the map's minimum and 1 its maximum; a constant map is all 0.
        """
        if outside not in ("extend", "zero"):
            raise CamcompatError(f"outside is {outside!r}", where="heatmaps", remedy="use 'extend' or 'zero'")
        return np.stack([self._heatmap(index, size, outside) for index in range(len(self))])

    def _heatmap(self, index: int, size: tuple[int, int] | None = None, outside: Outside = "extend") -> np.ndarray:
        height, width = size or (self.image.height, self.image.width)
        if height < 1 or width < 1:
            raise CamcompatError(f"size is {size}", where="heatmaps", remedy="use (height, width), 1 or more")
        picture = (self.image.width, self.image.height)
        box = self.crop_box or (0.0, 0.0, float(picture[0]), float(picture[1]))
        heatmap = place(self.maps[index], box, picture, (height, width))
        low, high = float(heatmap.min()), float(heatmap.max())
        if not high > low:  # constant, or not a number
            return np.zeros((height, width), np.float32)
        heatmap -= np.float32(low)
        heatmap /= heatmap.max()
        if outside == "zero":
            x = (np.arange(width) + 0.5) * picture[0] / width
            y = (np.arange(height) + 0.5) * picture[1] / height
            heatmap[:, (x < box[0]) | (x > box[2])] = 0
            heatmap[(y < box[1]) | (y > box[3])] = 0
        return heatmap

    def overlay(self, index: int = 0, *, alpha: float = 0.5, size: tuple[int, int] | None = None) -> Image.Image:
        """Return the picture with the map of class ``index`` (its rank in this result) over it in colours.

        Args:
            index: 0 is the first class.
            alpha: weight of the colours, 0 to 1.
            size: (height, width) of the returned image; None: the picture's.

        Raises:
            CamcompatError: no such rank, or an alpha outside of 0..1.
        """
        if not -len(self) <= index < len(self):
            raise CamcompatError(f"rank {index} of {len(self)} classes", where="overlay", remedy="ask for a larger top")
        image = self.image
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.LANCZOS)
        return overlay(image, self._heatmap(index, (image.height, image.width)), alpha=alpha)

    def picture(
        self, *, alpha: float = 0.5, panel: int = 320, columns: int = 6, font: str | None = None
    ) -> Image.Image:
        """Return the picture and the overlays of all classes side by side, with labels and scores.

        Args:
            alpha: weight of the colours, 0 to 1.
            panel: longer side of each panel in pixels.
            columns: panels in a row.
            font: a TrueType file, for labels beyond Latin letters; None: Pillow's own.

        Raises:
            CamcompatError: a value out of range, or a font that cannot be read.
        """
        if panel < 64 or columns < 1:
            raise CamcompatError(f"panel is {panel}, columns {columns}", where="picture", remedy="use 64 and 1 or more")
        scale = panel / max(self.image.size)
        height, width = (max(1, round(side * scale)) for side in (self.image.height, self.image.width))
        panels = [(self.image.resize((width, height), Image.Resampling.LANCZOS), "original", None)]
        for index, (label, score) in enumerate(zip(self.labels, self.scores.tolist(), strict=True)):
            panels.append((self.overlay(index, alpha=alpha, size=(height, width)), label, score))
        return sheet(panels, columns=columns, font=font)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        alpha: float = 0.5,
        panel: int = 320,
        columns: int = 6,
        font: str | None = None,
    ) -> None:
        """Write ``picture(...)`` as PNG, JPEG, WebP … by the suffix of ``path``.

        Raises:
            CamcompatError: a suffix that Pillow cannot write, a folder that does not exist.
        """
        save_image(self.picture(alpha=alpha, panel=panel, columns=columns, font=font), path)


def place(cam: np.ndarray, box: Box, picture: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Resample a map that covers ``box`` of a picture to the whole picture, continuing its edge values outside.

    Args:
        cam: (h, w) float32.
        box: (left, top, right, bottom) in the picture's pixels.
        picture: (width, height).
        size: (height, width) wanted.

    Returns:
        ``size`` float32, bicubic with a = -0.5 and half-pixel centres (antialiased where it shrinks), not rescaled.

    >>> place(np.array([[1, 2]], np.float32), (20.0, 0.0, 60.0, 40.0), (80, 40), (1, 4)).round(2).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    rows, columns = cam.shape
    across, down = columns / (box[2] - box[0]), rows / (box[3] - box[1])
    left, right = -box[0] * across, (picture[0] - box[0]) * across
    top, bottom = -box[1] * down, (picture[1] - box[1]) * down
    # Pillow renormalises its filter at borders, so the pad leaves it two cells more than it reaches when it enlarges.
    x, y = (ceil(max(-low, high - cells, 0)) + 4 for low, high, cells in ((left, right, columns), (top, bottom, rows)))
    padded = Image.fromarray(np.pad(np.asarray(cam, np.float32), ((y, y), (x, x)), "edge"))
    area = (left + x, top + y, right + x, bottom + y)
    return np.array(padded.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=area))
