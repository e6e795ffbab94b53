"""`caffe.io`: pictures, and arrays as Caffe's messages (after pycaffe's io.py; SciPy and Pillow read and resize)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from camcompat.pictures.images import check_opened
from camcompat.pycaffe.errors import CaffeError
from camcompat.pycaffe.proto import caffe_pb2

__all__ = [
    "Transformer", "array_to_blobproto", "array_to_datum", "arraylist_to_blobprotovector_str", "blobproto_to_array",
    "blobprotovector_str_to_arraylist", "datum_to_array", "load_image", "oversample", "resize_image",
]  # fmt: skip

LUMA = np.array([0.2125, 0.7154, 0.0721], np.float32)  # scikit-image's rgb2gray


def load_image(filename: str | os.PathLike[str], color: bool = True) -> np.ndarray:
    """A picture as float32 (H, W, 3) RGB in [0, 1]; with `color` false as (H, W, 1).

    Grey pictures are repeated to three channels, alpha is dropped, EXIF orientation is ignored, as in pycaffe.
    """
    with Image.open(filename) as picture:
        check_opened(picture, os.path.getsize(filename), os.fspath(filename))
        values = _pixels(picture)
    if not color and values.shape[2] == 3:
        values = (values @ LUMA)[:, :, None]
    if color and values.shape[2] == 1:
        values = np.repeat(values, 3, axis=2)
    return values


def _pixels(picture: Image.Image) -> np.ndarray:
    """float32 (H, W, 1) or (H, W, 3) in [0, 1]."""
    if picture.mode.startswith("I"):
        return (np.asarray(picture, np.float32) / 65535)[:, :, None]
    if picture.mode == "F":
        return np.asarray(picture, np.float32)[:, :, None]
    grey = picture.mode in ("1", "L", "LA", "La") or (picture.mode == "P" and _grey_palette(picture))
    pixels = np.asarray(picture.convert("L" if grey else "RGB"), np.float32) / np.float32(255)
    return pixels[:, :, None] if grey else pixels


def _grey_palette(picture: Image.Image) -> bool:
    colours = np.asarray(picture.getpalette() or [0, 0, 0]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def resize_image(im: np.ndarray, new_dims: Sequence[int] | np.ndarray, interp_order: int = 1) -> np.ndarray:
    """An image (H, W, K) resized to `new_dims` (height, width), float32.

    One or three channels are resized as `skimage.transform.resize` did it in pycaffe's time: half-pixel centres, no
    antialiasing, and the image's minimum beyond its border. Other numbers of channels are resized as
    `scipy.ndimage.zoom` does it: the corners of both grids coincide.

    Args:
        im: any dtype and range.
        new_dims: height and width.
        interp_order: of the spline; 1 is bilinear.

    >>> resize_image(np.arange(4.0).reshape(1, 4, 1), (1, 2))[0, :, 0].tolist()
    [0.5, 2.5]
    """
    height, width = (int(size) for size in new_dims)
    factors = (height / im.shape[0], width / im.shape[1], 1)
    if im.shape[-1] not in (1, 3):
        return np.asarray(ndimage.zoom(im, factors, order=interp_order), np.float32)
    low, high = im.min(), im.max()
    if not high > low:
        return np.full((height, width, im.shape[-1]), low, np.float32)
    span = float(high) - float(low)
    normal = (np.asarray(im, np.float64) - low) / span
    options: dict[str, Any] = {"order": interp_order, "mode": "grid-constant", "cval": 0.0, "grid_mode": True}
    resized = np.clip(ndimage.zoom(normal, factors, **options), 0, 1)
    return np.asarray(resized * span + low, np.float32)


def oversample(images: Sequence[np.ndarray], crop_dims: Sequence[int] | np.ndarray) -> np.ndarray:
    """Ten crops of each image (H, W, K): the four corners, the centre, then those five mirrored.

    Order: top left, top right, bottom left, bottom right, centre. The centre begins at half the margin, rounded down
    (MATLAB's rule, which the CAM release follows, rounds it up where the margin is odd).

    Args:
        images: all of one shape.
        crop_dims: height and width of a crop.

    Returns: float32 (10 · images, height, width, K).

    >>> crops = oversample([np.arange(25.0).reshape(5, 5, 1)], (2, 2))
    >>> crops[:5, 0, 0, 0].tolist(), crops[9, 0, :, 0].tolist()
    ([0.0, 3.0, 15.0, 18.0, 6.0], [7.0, 6.0])
    """
    height, width = (int(size) for size in crop_dims)
    rows, columns = (images[0].shape[axis] - size for axis, size in enumerate((height, width)))
    if rows < 0 or columns < 0:
        message = f"crops of {height}x{width} do not fit into images of {images[0].shape[0]}x{images[0].shape[1]}"
        raise CaffeError(message, remedy="resize the images first: caffe.io.resize_image")
    corners = [(0, 0), (0, columns), (rows, 0), (rows, columns), (rows // 2, columns // 2)]
    crops = []
    for image in images:
        five = [image[y : y + height, x : x + width] for y, x in corners]
        crops += five + [crop[:, ::-1] for crop in five]
    return np.array(crops, np.float32)


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """The values (or gradients) of a BlobProto, float64, in its shape; the legacy four dims where it has those."""
    values = np.array(blob.diff if return_diff else blob.data)
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        return values.reshape(blob.num, blob.channels, blob.height, blob.width)
    return values.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto with the values (and gradients) of arrays of any shape."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(np.asarray(arr, float).flat)
    if diff is not None:
        blob.diff.extend(np.asarray(diff, float).flat)
    return blob


def arraylist_to_blobprotovector_str(arraylist: Sequence[np.ndarray]) -> bytes:
    """Arrays as a serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector()
    vector.blobs.extend([array_to_blobproto(array) for array in arraylist])
    return bytes(vector.SerializeToString())


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """The arrays in a serialized BlobProtoVector."""
    return [blobproto_to_array(blob) for blob in caffe_pb2.BlobProtoVector.FromString(str).blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Any:
    """A Datum of an array (C, H, W): uint8 as bytes, anything else as floats."""
    if arr.ndim != 3:
        raise ValueError("Incorrect array shape.")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).flat)
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """The array (C, H, W) of a Datum: uint8 where it holds bytes, else float64; its label is `datum.label`."""
    if datum.encoded:
        raise CaffeError("the Datum holds an encoded picture", remedy="decode datum.data with PIL.Image.open")
    values = np.frombuffer(datum.data, np.uint8) if len(datum.data) else np.array(datum.float_data, float)
    return values.reshape(datum.channels, datum.height, datum.width)


def __getattr__(name: str) -> Any:
    if name == "arraylist_to_blobprotovecor_str":  # as pycaffe spells it
        return arraylist_to_blobprotovector_str
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def transformer_for(blobs: Mapping[str, Any], name: str, **settings: Any) -> Transformer:
    """The Transformer of one input that `Classifier` and `Detector` use: RGB pictures (H, W, K) → (K, H, W)."""
    transformer = Transformer({name: blobs[name].data.shape})
    transformer.set_transpose(name, (2, 0, 1))
    for setting, value in settings.items():
        if value is not None:
            getattr(transformer, f"set_{setting}")(name, value)
    return transformer


class Transformer:
    """Prepares pictures for the inputs of a net.

    The order of `preprocess`: resize to the input's height and width, transpose, swap channels, times the raw scale,
    minus the mean, times the input scale. What was not set is left out. Unlike pycaffe's, it never writes into the
    array that it is given.

    Args:
        inputs: input name → shape of its blob (N, C, H, W).

    >>> transformer = Transformer({"data": (1, 3, 1, 1)})
    >>> transformer.set_transpose("data", (2, 0, 1))
    >>> transformer.set_channel_swap("data", (2, 1, 0))
    >>> transformer.set_raw_scale("data", 255)
    >>> transformer.set_mean("data", np.array([104.0, 117.0, 123.0]))
    >>> transformer.preprocess("data", np.array([[[1.0, 0.5, 0.0]]])).ravel().tolist()
    [-104.0, 10.5, 132.0]
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def _shape(self, in_: str) -> tuple[int, ...]:
        if in_ not in self.inputs:
            raise CaffeError(f"{in_} is not one of the net inputs: {dict(self.inputs)}")
        return tuple(self.inputs[in_])

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """A picture (H, W, K), or whatever the transpose is for, as float32 for the input `in_` (no batch axis)."""
        dims = self._shape(in_)[2:]
        values = np.asarray(data).astype(np.float32)
        if values.shape[:2] != dims:
            values = resize_image(values, dims)
        if in_ in self.transpose:
            values = values.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            values = values[list(self.channel_swap[in_])]
        if in_ in self.raw_scale:
            values = values * np.float32(self.raw_scale[in_])
        if in_ in self.mean:
            values = (values - self.mean[in_]).astype(np.float32)
        if in_ in self.input_scale:
            values = values * np.float32(self.input_scale[in_])
        return values

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """What `preprocess` made of a picture, backwards; the size stays the input's."""
        self._shape(in_)
        values = np.squeeze(np.array(data))
        if in_ in self.input_scale:
            values = values / self.input_scale[in_]
        if in_ in self.mean:
            values = values + self.mean[in_]
        if in_ in self.raw_scale:
            values = values / self.raw_scale[in_]
        if in_ in self.channel_swap:
            values = values[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            values = values.transpose(np.argsort(self.transpose[in_]))
        return values.astype(np.asarray(data).dtype, copy=False)

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of axes: (2, 0, 1) makes (K, H, W) of (H, W, K)."""
        if len(order) != len(self._shape(in_)) - 1:
            raise CaffeError("Transpose order needs to have the same number of dimensions as the input.")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of channels, after the transpose: (2, 1, 0) makes BGR of RGB."""
        if len(order) != self._shape(in_)[1]:
            raise CaffeError("Channel swap needs to have the same number of dimensions as the input channels.")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """What to multiply with before the mean: 255 for nets that were trained on [0, 255]."""
        self._shape(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """What to subtract: one number per channel, or an image (C, H, W) of the input's shape.

        Raises:
            ValueError: it is neither.
        """
        shape = self._shape(in_)
        if mean.ndim == 1:
            if len(mean) != shape[1]:
                raise ValueError("Mean channels incompatible with input.")
            mean = mean[:, None, None]
        else:
            full = (1, *mean.shape) if mean.ndim == 2 else mean.shape
            if len(full) != 3:
                raise ValueError("Mean shape invalid")
            if tuple(full) != shape[1:]:
                hint = f"it is {full}, the input {shape[1:]}; use the mean of each channel: mean.mean(1).mean(1)"
                raise ValueError(f"Mean shape incompatible with input shape. ({hint})")
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """What to multiply with last, after the mean."""
        self._shape(in_)
        self.input_scale[in_] = scale
