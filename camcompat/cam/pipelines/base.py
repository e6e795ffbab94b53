"""What a pipeline does: picture to network input, a class's low-resolution maps to one map of the picture, pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from camcompat.boxes.rule import Box
from camcompat.pictures.imresize import Border
from camcompat.pictures.preprocess import Preprocess, Size
from camcompat.pictures.render import draw_boxes
from camcompat.registry import Registry
from prototxt.errors import CamcompatError

__all__ = ["PIPELINES", "Panel", "Pipeline", "Style", "make_pipeline"]


@dataclass(frozen=True, eq=False)
class Panel:
    """One class of a figure.

    Attributes:
        label, score: of the class.
        cams: float32 (crops, h, w), its maps as the network gives them.
        boxes: what is drawn on it; None: boxes were not asked for.
    """

    label: str
    score: float
    cams: np.ndarray
    boxes: Sequence[Box] | None = None


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
    """A way from a picture to its maps, for one network. Each is a module of this folder that adds it to ``PIPELINES``.

    Attributes:
        name: what users call it.
        title: what it does, in a few words for ``--help``.
        jpeg_quality: of its figures.
        default_crops: how many crops it takes where nobody says.
        preprocess: the network's recipe.
        crops: how many crops of a picture the network sees.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    jpeg_quality: ClassVar[int]
    default_crops: ClassVar[int]

    preprocess: Preprocess
    crops: int

    def __post_init__(self) -> None:
        if self.crops not in (1, 10):
            raise CamcompatError(f"crops is {self.crops!r}", where=self.name, remedy="use 1 or 10")

    @classmethod
    def with_border(cls, preprocess: Preprocess, crops: int, border: Border) -> Pipeline:
        """Return the pipeline with a rule for what lies beyond the edge; only the release's has one.

        Raises:
            CamcompatError: the others.
        """
        raise CamcompatError(f"border is {border!r}", where=cls.name, remedy="only pipeline='matlab' has a border rule")

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
    def figure(self, image: Image.Image, panels: Sequence[Panel], style: Style) -> Image.Image:
        """Return the picture and its maps side by side."""

    def merged(self, cams: np.ndarray) -> np.ndarray:
        """Return the maps (..., crops, h, w) as ``mergeTenCrop.m`` leaves them; only the release's pipeline does."""
        raise CamcompatError(f"the {self.name} pipeline has none", where="merged", remedy="use pipeline='matlab'")

    def draw(self, image: Image.Image, panel: Panel, *, size: Size, alpha: float | None = None) -> Image.Image:
        """Return the picture at a size of (height, width), a class's map over it in colours, and its boxes.

        Raises:
            CamcompatError: an alpha outside of 0..1.
        """
        if alpha is not None and not 0 <= alpha <= 1:
            raise CamcompatError(f"alpha is {alpha}", where="overlay", remedy="use 0 (picture) to 1 (map)")
        heatmap = self.normalised(self.heat(panel.cams, (image.height, image.width), size))
        wanted = (size[1], size[0])
        small = image if image.size == wanted else image.resize(wanted, Image.Resampling.LANCZOS)
        picture = self.overlay(small, heatmap, alpha)
        if panel.boxes is None:
            return picture
        return draw_boxes(picture, panel.boxes, scale=(size[1] / image.width, size[0] / image.height))


PIPELINES: Registry[type[Pipeline]] = Registry(
    "camcompat.cam.pipelines", order=lambda kind: (kind.name != "plain", kind.name)
)


def make_pipeline(
    name: str, preprocess: Preprocess, *, crops: int | None = None, border: Border | None = None
) -> Pipeline:
    """Return a pipeline by name.

    Args:
        name: "plain" or "matlab".
        preprocess: the network's recipe.
        crops: how many; None: the pipeline's own, 1 (plain) or 10 (matlab).
        border: of the matlab pipeline's ``imresize``: "mirror" or "clamp"; None: "mirror".

    Raises:
        CamcompatError: an unknown name, number of crops or border, or a border of another pipeline.
    """
    if name not in PIPELINES:
        remedy = f"use {' or '.join(map(repr, PIPELINES.names()))}"
        raise CamcompatError(f"pipeline is {name!r}", where="pipeline", remedy=remedy)
    kind = PIPELINES[name]
    crops = kind.default_crops if crops is None else crops
    if border is None:
        return kind(preprocess, crops)
    return kind.with_border(preprocess, crops, border)
