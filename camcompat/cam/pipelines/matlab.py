"""The published pipeline (Zhou et al., CVPR 2016), number by number, without MATLAB.

After the release's ``demo.m``, ``prepare_image.m``, ``returnCAMmap.m``, ``mergeTenCrop.m``, ``map2jpg.m`` and
``ILSVRC_generate_heatmap.m``. Each step is a function of arrays, so that it can be checked against the release's cached
activations without any network. ``docs/cam.md`` gives the formulas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from PIL import Image

from camcompat.cam.pipelines.base import PIPELINES, Panel, Pipeline, Style
from camcompat.pictures.imresize import Border, resize
from camcompat.pictures.preprocess import Crop, Layout, Preprocess, Size, layout_of
from camcompat.pictures.render import colour_index, draw_boxes, jet
from prototxt.errors import CamcompatError

__all__ = ["Matlab", "blend", "demo_image", "merge_ten_crop", "prepare_image", "result_picture"]

_GAP = 8
"""White columns between two panels."""


def demo_image(image: np.ndarray, size: Size = (256, 256), *, border: Border = "mirror") -> np.ndarray:
    """Return the picture as ``demo.m`` first stretches it: bicubic, in uint8.

    Args:
        image: (H, W, 3) uint8 RGB.
        size: (height, width).

    >>> demo_image(np.full((20, 30, 3), 7, np.uint8)).shape
    (256, 256, 3)
    """
    return resize(image, size, "bicubic", border=border)


def prepare_image(
    image: np.ndarray, preprocess: Preprocess, *, count: int = 10, border: Border = "mirror"
) -> np.ndarray:
    """Return the network's input for one picture, as ``prepare_image.m`` makes it.

    The picture becomes single, is stretched bilinearly (antialiased where it shrinks) to 256x256, which changes nothing
    after ``demo_image``; the mean image is subtracted as a whole; then it is cut into crops.

    Args:
        image: (H, W, 3) uint8 RGB: of any size, or ``demo_image``'s.
        preprocess: the network's recipe, with the mean image where it has one.
        count: 10 crops in the release's order, or 1, the centre.
        border: of the resampling.

    Returns: float32 (count, C, H, W).

    >>> recipe = Preprocess.from_mapping({"resize": [256, 256]}, input_shape=(10, 3, 224, 224))
    >>> prepare_image(np.zeros((256, 256, 3), np.uint8), recipe).shape
    (10, 3, 224, 224)
    """
    layout = _layout(preprocess, count)
    pixels = resize(image.astype(np.float32), layout.canvas, "bilinear", border=border)
    blobs = np.empty((count, *preprocess.shape), np.float32)
    for blob, crop in zip(blobs, layout.crops, strict=True):
        window = pixels[crop.top : crop.top + layout.size[0], crop.left : crop.left + layout.size[1]]
        preprocess.fill(blob, window, crop, layout.canvas)
    return blobs


def _layout(preprocess: Preprocess, count: int) -> Layout:
    return layout_of(count, preprocess.canvas, preprocess.crop, odd="up")


def merge_ten_crop(
    cams: np.ndarray, *, crop: Size = (224, 224), canvas: Size = (256, 256), border: Border = "mirror"
) -> np.ndarray:
    """Return the crops' low-resolution maps merged to one map of the resized picture, as ``mergeTenCrop.m`` does it.

    Each is enlarged to the crop's size (bicubic, in double), turned back where the crop was mirrored, and laid on a
    canvas in single at the crop's place. The absolute values are summed over the crops and over three equal colour
    channels: a sum, not a mean, and not divided by coverage (so borders are dimmer).

    Args:
        cams: (..., 10, h, w), in the release's order of crops, h being the vertical axis; or (..., 1, h, w).
        crop: (height, width) of the network's input; ``canvas``: of the resized picture.
        border: of ``imresize``: "mirror" (MATLAB today) or "clamp" (MATLAB of old).

    Returns: float32 (..., *canvas).

    >>> merge_ten_crop(np.full((10, 7, 7), -1.0))[[0, 0, 128], [0, 128, 128]].tolist()
    [6.0, 12.0, 30.0]
    """
    cams = np.asarray(cams)
    if cams.ndim < 3 or cams.shape[-3] not in (1, 10) or 0 in cams.shape:
        raise CamcompatError(f"maps of shape {cams.shape}", where="merge_ten_crop", remedy="expected (..., 10, h, w)")
    layout = layout_of(cams.shape[-3], canvas, crop, odd="up")
    stacks = cams.reshape(-1, *cams.shape[-3:])
    merged = np.stack([_merged(stack, layout, border) for stack in stacks])
    return merged.reshape(*cams.shape[:-3], *canvas)


def _merged(stack: np.ndarray, layout: Layout, border: Border) -> np.ndarray:
    enlarged = resize(stack.transpose(1, 2, 0).astype(np.float64), layout.size, "bicubic", border=border)
    merged = np.zeros(layout.canvas, np.float32)
    for index, crop in enumerate(layout.crops):
        large = enlarged[:, ::-1, index] if crop.mirrored else enlarged[:, :, index]
        value = np.abs(large.astype(np.float32))
        merged[_window(crop, layout)] += value + value + value
    return merged


def _window(crop: Crop, layout: Layout) -> tuple[slice, slice]:
    return (slice(crop.top, crop.top + layout.size[0]), slice(crop.left, crop.left + layout.size[1]))


def blend(image: np.ndarray, heatmap: np.ndarray, weights: tuple[float, float] = (0.2, 0.7)) -> np.ndarray:
    """Return weights[0] * image + weights[1] * jet colours of the map: float64 (H, W, 3), 0..1.

    Args:
        image: (H, W, 3) uint8 RGB.
        heatmap: (H, W) of any scale; its minimum is dark blue, its maximum dark red (``map2jpg.m``).

    >>> blend(np.zeros((1, 2, 3), np.uint8), np.array([[0, 1]]))[0, 1].tolist()
    [0.35, 0.0, 0.0]
    """
    blended: np.ndarray = image / 255 * weights[0] + jet()[colour_index(heatmap)] * weights[1]
    return blended


def result_picture(image: np.ndarray, merged: np.ndarray) -> np.ndarray:
    """Return ``demo.m``'s result: the picture and an overlay per map side by side, 8 white columns between them.

    Args:
        image: (H, W, 3) uint8 RGB: ``demo_image``'s.
        merged: (k, H, W).

    Returns: uint8 (H, W + k * (8 + W), 3); for five maps of 256x256, the release's 256x1576.

    >>> result_picture(np.zeros((256, 256, 3), np.uint8), np.zeros((5, 256, 256))).shape
    (256, 1576, 3)
    """
    gap = np.ones((image.shape[0], _GAP, 3))
    panels = [image / 255]
    for heatmap in merged:
        panels += [gap, blend(image, heatmap)]
    return _bytes(np.concatenate(panels, 1))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.floor(255 * values.clip(0, 1) + 0.5).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Matlab(Pipeline):
    """The release's way. One crop instead of ten is an addition of ours.

    Attributes:
        border: of ``imresize``.
    """

    name: ClassVar[str] = "matlab"
    title: ClassVar[str] = "the published release's, number by number"
    jpeg_quality: ClassVar[int] = 75
    default_crops: ClassVar[int] = 10

    border: Border = "mirror"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.border not in ("mirror", "clamp"):
            raise CamcompatError(f"border is {self.border!r}", where=self.name, remedy="use 'mirror' or 'clamp'")

    @classmethod
    def with_border(cls, preprocess: Preprocess, crops: int, border: Border) -> Matlab:
        return cls(preprocess, crops, border)

    def demo_image(self, image: Image.Image) -> np.ndarray:
        """Return the picture stretched to the canvas: uint8 (H, W, 3)."""
        return demo_image(np.asarray(image), self.preprocess.canvas, border=self.border)

    def blobs(self, image: Image.Image) -> np.ndarray:
        return prepare_image(self.demo_image(image), self.preprocess, count=self.crops, border=self.border)

    def merged(self, cams: np.ndarray) -> np.ndarray:
        """Return ``merge_ten_crop`` of (..., crops, h, w), for this network's sizes."""
        return merge_ten_crop(cams, crop=self.preprocess.crop, canvas=self.preprocess.canvas, border=self.border)

    def heat(self, cams: np.ndarray, picture: Size, size: Size) -> np.ndarray:
        """The merged map, bicubically at the picture's size (``ILSVRC_generate_heatmap.m``)."""
        return resize(self.merged(cams), size, "bicubic", border=self.border)

    def normalised(self, heat: np.ndarray) -> np.ndarray:
        """Divided by the maximum, the minimum not being subtracted (``ILSVRC_generate_heatmap.m``)."""
        top = heat.max()
        return heat / top if top > 0 else np.zeros_like(heat)

    def overlay(self, image: Image.Image, heatmap: np.ndarray, alpha: float | None) -> Image.Image:
        weights = (0.2, 0.7) if alpha is None else (1 - alpha, alpha)
        return Image.fromarray(_bytes(blend(np.asarray(image), heatmap, weights)))

    def figure(self, image: Image.Image, panels: Sequence[Panel], style: Style) -> Image.Image:
        """The picture of ``demo.m`` with its panels, pixel by pixel; asked-for boxes are drawn on it."""
        if style != Style():
            raise CamcompatError(
                "the release's result picture has a fixed look", where="figure", remedy="leave alpha, panel … out"
            )
        small = self.demo_image(image)
        picture = Image.fromarray(result_picture(small, self.merged(np.stack([panel.cams for panel in panels]))))
        height, width = small.shape[:2]
        scale = (width / image.width, height / image.height)
        for rank, panel in enumerate(panels):
            if panel.boxes is not None:
                left = (rank + 1) * (width + _GAP)
                drawn = picture.crop((left, 0, left + width, height))
                picture.paste(draw_boxes(drawn, panel.boxes, scale=scale), (left, 0))
        return picture


PIPELINES.add(Matlab)
