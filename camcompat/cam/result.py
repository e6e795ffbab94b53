"""What a CAM network says about one picture: classes, scores, maps, boxes, and pictures of them."""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from camcompat.boxes.rule import Box, ChosenRule
from camcompat.cam.pipelines.base import Panel, Pipeline, Style
from camcompat.pictures.render import save_image
from prototxt.errors import CamcompatError

__all__ = ["Result", "cam_maps"]


def cam_maps(features: np.ndarray, weights: np.ndarray, classes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return class activation maps: M_c(x, y) = sum_k w_k^c f_k(x, y), no bias, no ReLU, not normalised.

    Zhou et al., CVPR 2016, equation 2; ``returnCAMmap.m``.

    Args:
        features: (N, C, h, w) or (C, h, w), the last feature maps. (The release's files hold them as W x H x C x N:
            ``.transpose(3, 2, 1, 0)``.)
        weights: (classes, C) of the layer after the global average (the release's ``weights_LR`` transposed).
        classes: which ones, 0-based.

    Returns: float64 (k, N, h, w) or (k, h, w). (Accumulated in double, so that no colour of the published pictures
        changes by the order of a sum.)

    Raises:
        CamcompatError: shapes that do not go together.

    >>> cam_maps(np.ones((4, 2, 3)), np.arange(8.0).reshape(2, 4), [1]).tolist()
    [[[22.0, 22.0, 22.0], [22.0, 22.0, 22.0]]]
    """
    if weights.ndim != 2 or features.ndim not in (3, 4) or features.shape[-3] != weights.shape[1]:
        raise CamcompatError(
            f"features {features.shape}, weights {weights.shape}",
            where="cam_maps",
            remedy="expected (N, C, h, w) and (classes, C)",
        )
    chosen = weights[np.asarray(classes)].astype(np.float64)
    maps: np.ndarray = np.tensordot(chosen, features.astype(np.float64), axes=([1], [features.ndim - 3]))
    return maps


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Class activation maps of one picture.

    Attributes:
        image: the picture, upright, RGB.
        classes: (k,) int64, indices, the best first (or as they were asked for).
        scores: (k,) float32, their probabilities, the mean over the crops.
        labels: k names.
        stack: (k, crops, h, w) float32, the maps as the network gives them.
        pipeline: what made it, and makes pictures of it.
        source: the picture's path, as far as it is known.
        rule: how boxes are found; None: they were not asked for.

    >>> from camcompat.cam.pipelines.base import make_pipeline
    >>> from camcompat.pictures.preprocess import Preprocess
    >>> recipe = Preprocess.from_mapping({"resize": None}, input_shape=(1, 3, 96, 96))
    >>> maps = np.array([[[[0, 1], [0, 0]]]], np.float32)
    >>> image, way = Image.new("RGB", (64, 48)), make_pipeline("plain", recipe)
    >>> result = Result(image, np.array([3]), np.array([0.98], np.float32), ("cup",), maps, way)
    >>> result
    <Result of 64x48: 0.98 cup>
    >>> result.maps.shape
    (1, 48, 64)
    """

    image: Image.Image
    classes: np.ndarray
    scores: np.ndarray
    labels: tuple[str, ...]
    stack: np.ndarray
    pipeline: Pipeline
    source: str = ""
    rule: ChosenRule | None = None

    def __repr__(self) -> str:
        return f"<Result of {self.image.width}x{self.image.height}: {', '.join(self.lines())}>"

    def __str__(self) -> str:
        return self.table()

    def __len__(self) -> int:
        return len(self.labels)

    def lines(self) -> list[str]:
        """Return ``0.98 cup`` of each class."""
        return [f"{score:.2f} {label}" for score, label in zip(self.scores.tolist(), self.labels, strict=True)]

    def table(self) -> str:
        """Return the lines of all classes as one text."""
        return "\n".join(self.lines())

    @property
    def cams(self) -> np.ndarray:
        """The network's own maps, low-resolution: float32 (k, h, w), or (k, crops, h, w) where there are several."""
        return self.stack[:, 0] if self.stack.shape[1] == 1 else self.stack

    @cached_property
    def maps(self) -> np.ndarray:
        """The maps of the whole picture: float32 (k, H, W), made when first asked for.

        plain: each from 0 (its minimum) to 1 (its maximum). matlab: each divided by its maximum.
        """
        return np.stack([self.heatmap(rank) for rank in range(len(self))])

    @cached_property
    def merged(self) -> np.ndarray:
        """The maps as ``mergeTenCrop.m`` leaves them: float32 (k, 256, 256). Of the matlab pipeline only."""
        return self.pipeline.merged(self.stack)

    @cached_property
    def boxes(self) -> tuple[list[Box], ...]:
        """The boxes of each class in the picture's pixels, (x, y, width, height), the largest first.

        By the rule asked for, else by the paper's. They are found on the maps before these are normalised: 20 % of the
        maximum is meant from zero, not from the map's minimum.
        """
        rule = self.rule or ChosenRule("paper")
        return tuple(rule.find(self._heat(rank)) for rank in range(len(self)))

    def heatmap(self, rank: int = 0, size: tuple[int, int] | None = None) -> np.ndarray:
        """Return the map of one class, as in ``maps``.

        Args:
            rank: 0 is the first class.
            size: (height, width) of the returned map; None: the picture's.

        Returns: float32 (H, W).

        Raises:
            CamcompatError: no such rank, or a size under 1.
        """
        return self.pipeline.normalised(self._heat(rank, size))

    def _heat(self, rank: int, size: tuple[int, int] | None = None) -> np.ndarray:
        size = self._checked(rank, size)
        return self.pipeline.heat(self.stack[rank], (self.image.height, self.image.width), size)

    def _checked(self, rank: int, size: tuple[int, int] | None) -> tuple[int, int]:
        """The size that is wanted, the picture's where none is given."""
        if not -len(self) <= rank < len(self):
            raise CamcompatError(f"rank {rank} of {len(self)} classes", where="heatmap", remedy="ask for a larger top")
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise CamcompatError(f"size is {size}", where="heatmap", remedy="use (height, width), 1 or more")
        return (self.image.height, self.image.width) if size is None else size

    def _panel(self, rank: int) -> Panel:
        boxes = None if self.rule is None else self.boxes[rank]
        return Panel(self.labels[rank], float(self.scores[rank]), self.stack[rank], boxes)

    def overlay(self, rank: int = 0, *, alpha: float | None = None, size: tuple[int, int] | None = None) -> Image.Image:
        """Return the picture with the map of one class over it in colours, and its boxes where they were asked for.

        Args:
            rank: 0 is the first class.
            alpha: weight of the colours, 0 to 1, that of the picture being 1 - alpha; None: as the pipeline has it
                (plain: 0.5; matlab: 0.7, over 0.2 of the picture).
            size: (height, width) of the returned image; None: the picture's.

        Raises:
            CamcompatError: no such rank, or an alpha outside of 0..1.
        """
        size = self._checked(rank, size)
        return self.pipeline.draw(self.image, self._panel(rank), size=size, alpha=alpha)

    def figure(
        self,
        *,
        alpha: float | None = None,
        panel: int | None = None,
        columns: int | None = None,
        font: str | None = None,
    ) -> Image.Image:
        """Return the picture and the overlays of all classes in one image.

        plain: panels with labels and scores. matlab: the result picture of ``demo.m``, pixel by pixel, which has no
        options.

        Args:
            alpha: weight of the colours, 0 to 1 (0.5).
            panel: longer side of each panel in pixels (320).
            columns: panels in a row (6).
            font: a TrueType file, for labels beyond Latin letters; None: Pillow's own.

        Raises:
            CamcompatError: a value out of range, or a font that cannot be read.
        """
        panels = [self._panel(rank) for rank in range(len(self))]
        return self.pipeline.figure(self.image, panels, Style(alpha, panel, columns, font))

    def save(self, path: str | os.PathLike[str], **style: Any) -> None:
        """Write ``figure(**style)`` as PNG, JPEG, WebP … by the suffix of ``path``.

        Raises:
            CamcompatError: a suffix that Pillow cannot write, a folder that does not exist.
        """
        save_image(self.figure(**style), path, quality=self.pipeline.jpeg_quality)

    def as_dict(self) -> dict[str, Any]:
        """Return what was found, in plain values: the picture, its classes and scores, boxes where asked for.

        A box is [x, y, width, height] in the picture's pixels.
        """
        return {
            "picture": self.source,
            "width": self.image.width,
            "height": self.image.height,
            "pipeline": self.pipeline.name,
            "crops": self.pipeline.crops,
            "boxes": None if self.rule is None else self.rule.name,
            "classes": [self._class_dict(rank) for rank in range(len(self))],
        }

    def _class_dict(self, rank: int) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "rank": rank + 1,
            "class": int(self.classes[rank]),
            "label": self.labels[rank],
            "score": float(f"{self.scores[rank]:.7g}"),
        }
        if self.rule is not None:
            entry["boxes"] = [[int(side) for side in box] for box in self.boxes[rank]]
        return entry

    def to_json(self, *, indent: int | None = None) -> str:
        """Return ``as_dict`` as JSON text, on one line unless ``indent`` is given.

        Bytes of a file's name that are not UTF-8 stand as JSON's escapes, as in ``"cup\\udcff.jpg"``.
        """
        text = json.dumps(self.as_dict(), indent=indent, ensure_ascii=False)
        return text.encode("utf-8", "backslashreplace").decode("utf-8")

    def _repr_png_(self) -> bytes:
        """The figure, for notebooks."""
        buffer = io.BytesIO()
        self.figure().save(buffer, "PNG")
        return buffer.getvalue()

    def _repr_html_(self) -> str:
        """The classes and the figure, for notebooks."""
        rows = "".join(
            f"<tr><td>{score:.3f}</td><td>{escape(label)}</td></tr>"
            for score, label in zip(self.scores.tolist(), self.labels, strict=True)
        )
        picture = base64.b64encode(self._repr_png_()).decode("ascii")
        head = "<tr><th>score</th><th>class</th></tr>"
        return f'<table>{head}{rows}</table><img alt="class activation maps" src="data:image/png;base64,{picture}">'
