"""The recipe between a picture and the network's input blob, and the way back from the blob to the picture."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from prototxt.errors import CamcompatError

__all__ = ["Box", "Preprocess"]

Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels of the picture; may lie between pixels."""

_KEYS = ("resize", "crop", "mean", "scale", "channels")
_CHANNELS = {"BGR": 3, "RGB": 3, "GRAY": 1}
_ELONGATED = 100  # keeping the aspect of a longer strip would make a picture of a hundred inputs
_MEAN = {"BGR": (104.0, 117.0, 123.0), "RGB": (123.0, 117.0, 104.0), "GRAY": (0.0,)}  # ImageNet's, rounded


@dataclass(frozen=True, eq=False)
class Preprocess:
    """Resize, centre crop, reorder channels, subtract the mean, scale: Caffe's ``DataTransformer`` in phase TEST.

    Attributes:
        resize: before the crop, with Pillow's bilinear filter: (height, width) the whole picture is stretched to, or
            the length of its shorter side (the aspect is kept); None: it is stretched to the crop itself.
        crop: (height, width) of the centre crop, the network's input; its offset is (resized - crop) // 2.
        mean: float32, (C, 1, 1) or (C, height, width), in the network's channel order.
        scale: factor applied after the mean is subtracted.
        channels: "BGR" (Caffe's habit), "RGB" or "GRAY".

    >>> recipe = Preprocess.from_mapping({"resize": [112, 112]}, input_shape=("N", 3, 96, 96))
    >>> recipe.blob(Image.new("RGB", (300, 200), "white"))[:, 0, 0].tolist()
    [151.0, 138.0, 132.0]
    """

    resize: tuple[int, int] | int | None
    crop: tuple[int, int]
    mean: np.ndarray
    scale: float = 1.0
    channels: str = "BGR"

    @classmethod
    def from_mapping(
        cls, values: Mapping[str, Any], *, input_shape: Sequence[object], where: str = "preprocess"
    ) -> Preprocess:
        """Build the recipe from plain values; what is absent gets a default.

        Args:
            values: any of "resize", "crop", "mean" (a number, one per channel, or an array (C, H, W)), "scale",
                "channels". Defaults: crop = the input's size; resize = 256/224 of the crop, rounded; BGR minus
                (104, 117, 123).
            input_shape: (N, C, H, W) of the network's input; entries that are not integers are unknown.
            where: the place that errors name.

        Raises:
            CamcompatError: an unknown key, a value of the wrong form, or one that contradicts the input.
        """
        for key in values:
            if key not in _KEYS:
                near = difflib.get_close_matches(str(key), _KEYS, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_KEYS)}"
                raise CamcompatError(f"unknown preprocessing key {key!r}", where=where, remedy=hint)
        gray = len(input_shape) == 4 and input_shape[1] == 1
        channels = str(values.get("channels", "GRAY" if gray else "BGR")).upper()
        if channels not in _CHANNELS:
            raise CamcompatError(f"channels {channels!r}", where=where, remedy=f"expected one of {list(_CHANNELS)}")
        crop = _crop(values.get("crop"), input_shape, where)
        default = (round(crop[0] * 256 / 224), round(crop[1] * 256 / 224))
        resize = _resize(values.get("resize", default), crop, where)
        expected = (_CHANNELS[channels], *crop)
        for name, got, want in zip(("channels", "height", "width"), input_shape[1:], expected, strict=False):
            if isinstance(got, int) and got != want:
                raise CamcompatError(
                    f"{name} {want} differs from the network's input {_shown(input_shape)}",
                    where=where,
                    remedy="change channels or crop to the network's input",
                )
        mean = _mean(values.get("mean", _MEAN[channels]), expected, resize, where)
        return cls(resize, crop, mean, _scale(values.get("scale", 1.0), where), channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the blob of one picture."""
        return (_CHANNELS[self.channels], *self.crop)

    def blob(self, image: Image.Image, out: np.ndarray | None = None) -> np.ndarray:
        """Return the float32 (C, H, W) input for one RGB image, written into ``out`` where given.

        Raises:
            CamcompatError: the aspect is to be kept and the picture is a thin strip.
        """
        (height, width), (rows, columns) = self.crop, self._resized(image.width, image.height)
        image = image.resize((columns, rows), Image.Resampling.BILINEAR)
        top, left = (rows - height) // 2, (columns - width) // 2
        image = image.crop((left, top, left + width, top + height))
        if self.channels == "GRAY":
            planes = np.asarray(image.convert("L"))[np.newaxis]
        else:
            pixels = np.asarray(image)
            planes = (pixels[:, :, ::-1] if self.channels == "BGR" else pixels).transpose(2, 0, 1)
        blob = np.empty(self.shape, np.float32) if out is None else out
        np.subtract(planes, self.mean, out=blob)
        if self.scale != 1.0:
            blob *= np.float32(self.scale)
        return blob

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """(rows, columns) of a picture before the crop."""
        if not isinstance(self.resize, int):
            return self.resize or self.crop
        short, long = sorted((width, height))
        if long > _ELONGATED * short:
            raise CamcompatError(
                f"is {width}x{height} pixels (width x height), a strip", where="image", remedy="cut the picture first"
            )
        factor = self.resize / short
        return (max(self.resize, round(height * factor)), max(self.resize, round(width * factor)))

    def crop_box(self, width: int, height: int) -> Box:
        """Return the part of a ``width`` x ``height`` picture that the network sees, in the picture's own pixels.

        >>> recipe = Preprocess.from_mapping({"resize": [112, 112]}, input_shape=("N", 3, 96, 96))
        >>> recipe.crop_box(224, 112)
        (16.0, 8.0, 208.0, 104.0)
        """
        rows, columns = self._resized(width, height)
        top, left = (rows - self.crop[0]) // 2, (columns - self.crop[1]) // 2
        x, y = width / columns, height / rows
        return (left * x, top * y, (left + self.crop[1]) * x, (top + self.crop[0]) * y)


def _crop(value: object, input_shape: Sequence[object], where: str) -> tuple[int, int]:
    if value is not None:
        return _pair(value, "crop", where)
    sizes = [size for size in input_shape[2:] if isinstance(size, int)]
    if len(input_shape) != 4 or len(sizes) != 2:
        raise CamcompatError(
            f"the network's input {_shown(input_shape)} has no fixed size",
            where=where,
            remedy="say which: preprocess={'crop': [height, width]}",
        )
    return (sizes[0], sizes[1])


def _shown(shape: Sequence[object]) -> str:
    return f"({', '.join(str(size) for size in shape)})"


def _pair(value: object, key: str, where: str) -> tuple[int, int]:
    items = list(value) if isinstance(value, (list, tuple, np.ndarray)) else []
    if len(items) != 2 or not all(isinstance(item, (int, np.integer)) and item > 0 for item in items):
        raise CamcompatError(f"{key} is {value!r}", where=where, remedy="expected [height, width], positive integers")
    return (int(items[0]), int(items[1]))


def _resize(value: object, crop: tuple[int, int], where: str) -> tuple[int, int] | int | None:
    if value is None:
        return None
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        resize: tuple[int, int] | int = int(value)
        enough = value >= max(crop)
    else:
        resize = _pair(value, "resize", where)
        enough = resize[0] >= crop[0] and resize[1] >= crop[1]
    if not enough:
        raise CamcompatError(
            f"resize {value!r} is smaller than crop {list(crop)}", where=where, remedy="resize to at least the crop"
        )
    return resize


def _scale(value: object, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and np.isfinite(value) and value != 0:
        return float(value)
    raise CamcompatError(f"scale is {value!r}", where=where, remedy="expected a number other than 0")


def _mean(
    value: object, expected: tuple[int, int, int], resize: tuple[int, int] | int | None, where: str
) -> np.ndarray:
    """One number, one per channel, or a mean image of the crop's or the resized picture's size."""
    try:
        mean = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        mean = np.full((0,), np.nan, np.float32)
    count, height, width = expected
    if mean.ndim <= 1 and mean.size in (1, count) and np.isfinite(mean).all():
        return np.broadcast_to(mean.reshape(-1, 1, 1), (count, 1, 1)).copy()
    image = mean.ndim == 3 and mean.shape[0] == count and mean.shape[1:] in ((height, width), resize)
    if image and np.isfinite(mean).all():
        top, left = (mean.shape[1] - height) // 2, (mean.shape[2] - width) // 2
        return mean[:, top : top + height, left : left + width].copy()
    raise CamcompatError(
        f"mean of shape {mean.shape}",
        where=where,
        remedy=f"expected {count} numbers in the network's channel order, or an image ({count}, height, width) of the "
        "resize's or the crop's size",
    )
