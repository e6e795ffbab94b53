"""What a pipeline does: picture to network input, a class's low-resolution maps to one map of the picture, pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from PIL import Image

from camcompat.pictures.crops import Size
from camcompat.pictures.preprocess import Preprocess
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.cam.result import Result

__all__ = ["Pipeline", "Style"]


@dataclass(frozen=True)
class Style:
    """How a figure looks; None: as the pipeline has it.

    Attributes:
        alpha: weight of the colours, 0 to 1.
        panel: longer side of each panel in pixels.
        columns: panels in a row.
        font: a TrueType file, for labels beyond Latin letters.
    """

    alpha: float | None = None
    panel: int | None = None
    columns: int | None = None
    font: str | None = None


@dataclass(frozen=True, eq=False)
class Pipeline(ABC):
    """One way from a picture to its maps, for one network.

    Attributes:
        preprocess: the network's recipe.
        crops: how many crops of a picture the network sees.
    """

    name: ClassVar[str]
    jpeg_quality: ClassVar[int]

    preprocess: Preprocess
    crops: int

    def __post_init__(self) -> None:
        if self.crops not in (1, 10):
            raise CamcompatError(f"crops is {self.crops!r}", where=self.name, remedy="use 1 or 10")

    @property
    def rows(self) -> int:
        """How many inputs of the network a picture makes."""
        return self.crops

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of each of them."""
        return self.preprocess.shape

    @abstractmethod
    def blobs(self, image: Image.Image) -> np.ndarray:
        """Return the network's input for one RGB picture: float32 (rows, C, H, W)."""

    @abstractmethod
    def heat(self, cams: np.ndarray, picture: Size, size: Size) -> np.ndarray:
        """Return one class's map of the whole picture, in the network's own units. Boxes are found on it.

        Args:
            cams: float32 (crops, h, w), as the network gives them.
            picture: (height, width).
            size: (height, width) of the returned map.

        Returns: float32 of ``size``.
        """

    @abstractmethod
    def normalised(self, heat: np.ndarray) -> np.ndarray:
        """Return a map as it is shown, its maximum being 1."""

    @abstractmethod
    def overlay(self, image: Image.Image, heatmap: np.ndarray, alpha: float | None) -> Image.Image:
        """Return the colours of a map over an image of its size."""

    @abstractmethod
    def figure(self, result: Result, style: Style) -> Image.Image:
        """Return the picture and its maps side by side."""
