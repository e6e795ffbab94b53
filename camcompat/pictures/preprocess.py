"""From a picture to the network's input: the recipe of resizing, cropping and subtracting, and where the crops lie."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image

from prototxt.errors import CamcompatError, nearest_names

__all__ = ["Area", "Crop", "Layout", "Preprocess", "Size", "encode_mean", "layout_of"]

Size: TypeAlias = tuple[int, int]
"""height, width."""

Area: TypeAlias = tuple[float, float, float, float]
"""left, top, right, bottom in pixels of the picture; may lie between pixels."""

_KEYS = ("resize", "crop", "mean", "scale", "channels")
_CHANNELS = {"BGR": 3, "RGB": 3, "GRAY": 1}
_LONG = 30_000
"""Pixels: a strip whose resized picture would be longer is never resized as a whole."""

_MEAN = {"BGR": (104.0, 117.0, 123.0), "RGB": (123.0, 117.0, 104.0), "GRAY": (0.0,)}  # ImageNet's, rounded


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

    def box(self, crop: Crop, picture: Size) -> Area:
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


@dataclass(frozen=True, eq=False)
class Preprocess:
    """Resize, centre crop, reorder channels, subtract the mean, scale: Caffe's ``DataTransformer`` in phase TEST.

    Attributes:
        resize: before the crop, with Pillow's bilinear filter: (height, width) the whole picture is stretched to, or
            the length of its shorter side (the aspect is kept); None: it is stretched to the crop itself.
        crop: (height, width) of the crop, the network's input; the centre's offset is (resized - crop) // 2.
        mean: float32 in the network's channel order: (C, 1, 1), or an image (C, height, width) of the crop's or the
            resized picture's size.
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
            values: any of "resize", "crop", "mean" (a number, one per channel, an array (C, H, W), a mean file as
                ``weights.read_mean`` takes it, or what ``encode_mean`` gives), "scale", "channels".
                Defaults: crop = the input's size; resize = 256 of a crop of 224 or 227, else 8/7 of
                it, rounded; BGR minus (104, 117, 123).
            input_shape: (N, C, H, W) of the network's input; entries that are not integers are unknown.
            where: the place that errors name.

        Raises:
            CamcompatError: an unknown key, a value of the wrong form, or one that contradicts the input.
        """
        for key in values:
            if key not in _KEYS:
                near = nearest_names(str(key), _KEYS)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(_KEYS)}"
                raise CamcompatError(f"unknown preprocessing key {key!r}", where=where, remedy=hint)
        gray = len(input_shape) == 4 and input_shape[1] == 1
        channels = str(values.get("channels", "GRAY" if gray else "BGR")).upper()
        if channels not in _CHANNELS:
            raise CamcompatError(f"channels {channels!r}", where=where, remedy=f"expected one of {list(_CHANNELS)}")
        crop = _crop(values.get("crop"), input_shape, where)
        resize = _resize(values.get("resize", _around(crop)), crop, where)
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

    @property
    def canvas(self) -> Size:
        """(height, width) that a picture is stretched to where its aspect is not kept: the release's 256x256.

        A recipe that resizes to the crop itself leaves no margin to crop from; then as the default of "resize".
        """
        if isinstance(self.resize, int):
            return (self.resize, self.resize)
        return self.resize or _around(self.crop)

    def layout(self, count: int, picture: Size) -> Layout:
        """Return where the crops of a picture of (height, width) lie: one, in the centre, or ten.

        Raises:
            CamcompatError: another count than 1 and 10.
        """
        return layout_of(count, self._resized(count, picture), self.crop)

    def _resized(self, count: int, picture: Size) -> Size:
        if not isinstance(self.resize, int):
            return self.resize or (self.crop if count == 1 else self.canvas)
        factor = self.resize / min(picture)
        return (max(self.resize, round(picture[0] * factor)), max(self.resize, round(picture[1] * factor)))

    def blob(self, image: Image.Image) -> np.ndarray:
        """Return the float32 (C, H, W) input for one RGB image: its centre crop."""
        blob: np.ndarray
        (blob,) = self.blobs(image, self.layout(1, (image.height, image.width)))
        return blob

    def blobs(self, image: Image.Image, layout: Layout) -> np.ndarray:
        """Return the float32 (crops, C, H, W) input for the crops of one RGB image, resized with Pillow."""
        rows, columns = layout.canvas
        blobs = np.empty((len(layout.crops), *self.shape), np.float32)
        whole = None if max(rows, columns) > _LONG else image.resize((columns, rows), Image.Resampling.BILINEAR)
        for crop, blob in zip(layout.crops, blobs, strict=True):
            if whole is None:
                box = layout.box(crop, (image.height, image.width))
                window = image.resize(self.crop[::-1], Image.Resampling.BILINEAR, box=box)
            else:
                right, bottom = crop.left + self.crop[1], crop.top + self.crop[0]
                window = whole.crop((crop.left, crop.top, right, bottom))
            self.fill(blob, np.asarray(window), crop, layout.canvas)
        return blobs

    def fill(self, blob: np.ndarray, window: np.ndarray, crop: Crop, canvas: Size) -> None:
        """Write one crop's input: channels in order, mean subtracted, scaled, then mirrored where the crop is.

        Args:
            blob: float32 (C, H, W), written to.
            window: (H, W, 3) uint8 or float32 RGB, 0..255: the crop's pixels, not mirrored.
            crop: where the window lies; ``canvas``: (height, width) of the picture that it was cut from.
        """
        if self.channels == "GRAY":
            planes = np.asarray(Image.fromarray(window.round().astype(np.uint8)).convert("L"))[np.newaxis]
        else:
            planes = (window[:, :, ::-1] if self.channels == "BGR" else window).transpose(2, 0, 1)
        np.subtract(planes, self._mean_under(crop, canvas), out=blob)
        if self.scale != 1.0:
            blob *= np.float32(self.scale)
        if crop.mirrored:
            blob[:] = blob[:, :, ::-1].copy()

    def _mean_under(self, crop: Crop, canvas: Size) -> np.ndarray:
        """The mean image at the crop; its centre, where the canvas has another size since the aspect is kept."""
        height, width = self.mean.shape[1:]
        if (height, width) in ((1, 1), self.crop):
            return self.mean
        top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
        if (height, width) == canvas:
            top, left = crop.top, crop.left
        return self.mean[:, top : top + self.crop[0], left : left + self.crop[1]]


def _around(crop: Size) -> Size:
    """What Caffe's nets are cropped from: 256 for 224 and 227, and 8/7 of any other size."""
    height, width = (256 if side in (224, 227) else round(side * 8 / 7) for side in crop)
    return (height, width)


def encode_mean(mean: np.ndarray) -> dict[str, Any]:
    """Return a mean image as plain values for a CAM file's metadata: its shape and its float32 bytes in base64.

    >>> encode_mean(np.zeros((1, 1, 2)))
    {'shape': [1, 1, 2], 'float32': 'AAAAAAAAAAA='}
    """
    data = np.ascontiguousarray(mean, "<f4").tobytes()
    return {"shape": list(mean.shape), "float32": base64.b64encode(data).decode("ascii")}


def _decoded_mean(value: Mapping[str, Any], where: str) -> np.ndarray:
    try:
        data = base64.b64decode(value["float32"], validate=True)
        return np.frombuffer(data, "<f4").reshape(value["shape"])
    except (KeyError, TypeError, ValueError):
        raise CamcompatError(
            "mean image that cannot be decoded",
            where=where,
            remedy="convert the file again, or give preprocess={'mean': …}",
        ) from None


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
    """One number, one per channel, a mean image of the crop's or the resized picture's size, or a file of one."""
    if isinstance(value, (str, os.PathLike)):
        from weights.files.mean import read_mean

        value = read_mean(value)
    if isinstance(value, Mapping):
        value = _decoded_mean(value, where)
    try:
        mean = np.asarray(value, np.float32)
    except (TypeError, ValueError):
        mean = np.full((0,), np.nan, np.float32)
    count, height, width = expected
    if mean.size in (1, count) and max((1, *mean.shape[1:])) == 1 and np.isfinite(mean).all():
        return np.broadcast_to(mean.reshape(-1, 1, 1), (count, 1, 1)).copy()
    sizes = ((height, width), (resize, resize) if isinstance(resize, int) else resize)
    if mean.ndim == 3 and mean.shape[0] == count and mean.shape[1:] in sizes and np.isfinite(mean).all():
        return mean.copy()
    raise CamcompatError(
        f"mean of shape {mean.shape}",
        where=where,
        remedy=f"expected {count} numbers in the network's channel order, or an image ({count}, height, width) of the "
        "resize's or the crop's size, or a file of one (.npy, .binaryproto, .mat)",
    )
