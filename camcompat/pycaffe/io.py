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
from camcompat.pycaffe.transformer import Transformer

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
