"""Heat maps as the box rules want them: checked, and as 8-bit grey."""

from __future__ import annotations

import io
import os
import warnings

import numpy as np
from PIL import Image

from camcompat.pictures.images import DAMAGE, check_opened
from prototxt.errors import CamcompatError

__all__ = ["as_grey", "check_map", "check_quality", "read_map", "through_jpeg"]

COLOURFUL = 32
"""A difference between the channels of a pixel that no grey JPEG has."""


def check_map(heatmap: np.ndarray) -> np.ndarray:
    """Return the map, uint8 as it is and all else as float64.

    Raises:
        CamcompatError: not two-dimensional, empty, or with values that are not finite numbers.

    >>> check_map(np.ones((2, 3), np.float32)).dtype
    dtype('float64')
    """
    array = np.asarray(heatmap)
    if array.ndim != 2 or not array.size:
        raise CamcompatError(
            f"found an array of shape {array.shape}, expected (H, W)", where="heatmap", remedy="pass one map at a time"
        )
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind not in "biuf":
        raise CamcompatError(f"found values of type {array.dtype}", where="heatmap", remedy="pass real numbers")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise CamcompatError("holds NaN or infinity", where="heatmap", remedy="check the weights and the picture")
    return array


def as_grey(heatmap: np.ndarray) -> np.ndarray:
    """Return the map as 8-bit grey, as the release's ILSVRC script writes it.

    grey = floor(255 · x / max(x) + 0.5), at least 0; the minimum is not subtracted. uint8 stays as it is. A map
    without a positive value is black.

    Args:
        heatmap: (H, W), of any real type.

    Returns:
        (H, W) uint8.

    Raises:
        CamcompatError: see ``check_map``.

    Source: ``ILSVRC_generate_heatmap.m`` (and the rounding of MATLAB's ``imwrite``).

    >>> as_grey(np.array([[-1.0, 0.0, 0.25, 0.5]]))
    array([[  0,   0, 128, 255]], dtype=uint8)
    """
    array = check_map(heatmap)
    if array.dtype == np.uint8:
        return array
    top = array.max()
    if top <= 0:
        return np.zeros(array.shape, np.uint8)
    grey: np.ndarray = np.floor(np.maximum(array / top, 0) * 255 + 0.5)
    return grey.astype(np.uint8)


def check_quality(quality: int) -> None:
    """Refuse a JPEG quality out of range.

    Raises:
        CamcompatError: below 1 or above 100.
    """
    if not 1 <= quality <= 100:
        raise CamcompatError(f"jpeg_quality is {quality}", where="dt-box", remedy="use 1 to 100 (MATLAB has 75)")


def through_jpeg(grey: np.ndarray, quality: int = 75) -> np.ndarray:
    """Return what is left of an 8-bit map once it has been a JPEG file.

    Raises:
        CamcompatError: a quality out of range.

    >>> bool(np.array_equal(through_jpeg(np.full((8, 8), 200, np.uint8)), np.full((8, 8), 200)))
    True
    """
    check_quality(quality)
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))


def read_map(path: str | os.PathLike[str]) -> np.ndarray:
    """Return a heat map file: a picture as (H, W) uint8, an ``.npy`` file as the array that it holds.

    Colours become grey as in OpenCV's ``imread(..., 0)``: of a JPEG the luma as it is stored, else
    0.299 R + 0.587 G + 0.114 B; of 16 bits the upper eight. Transparency and orientation are not looked at.

    Raises:
        CamcompatError: a file that is neither, or that is damaged.

    >>> read_map("nothing.png")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: nothing.png: no such file; name a heat map: a picture or an .npy file
    """
    where, remedy = os.fspath(path), "name a heat map: a picture or an .npy file"
    try:
        if where.lower().endswith(".npy"):
            return check_map(np.load(where, allow_pickle=False))
        with Image.open(where) as picture:
            check_opened(picture, os.path.getsize(where), where)
            _tell_colours(picture, where)
        with Image.open(where) as picture:  # anew: JPEGs can be asked for their luma only before they are decoded
            return _luma(picture)
    except FileNotFoundError:
        raise CamcompatError("no such file", where=where, remedy=remedy) from None
    except CamcompatError as error:
        raise CamcompatError(error.message, where=where, remedy=remedy) from None
    except (Image.DecompressionBombError, *DAMAGE) as error:
        reason = f"cannot be read as a heat map: {error}".replace(repr(where), "it")
        raise CamcompatError(reason, where=where, remedy=remedy) from None


def _tell_colours(picture: Image.Image, where: str) -> None:
    """Say so where somebody may have given a photograph."""
    if picture.mode in ("RGB", "RGBA", "P", "CMYK", "YCbCr", "LAB", "HSV"):
        pixels = np.asarray(picture.convert("RGB"))
        if int(np.ptp(pixels, axis=2).max()) > COLOURFUL:
            warnings.warn(
                f"{where}: is a picture in colours; its brightness is taken as the map "
                "(for the maps of a network: `camcompat cam MODEL PICTURE --boxes RULE`)",
                stacklevel=3,
            )


def _luma(picture: Image.Image) -> np.ndarray:
    if picture.mode == "F":
        return as_grey(np.asarray(picture))
    if picture.mode == "I" or picture.mode.startswith("I;16"):  # 16-bit PNGs are "I" in older releases of Pillow
        upper: np.ndarray = np.asarray(picture).clip(0, 65535) >> 8
        return upper.astype(np.uint8)
    picture.draft("L", None)
    return np.asarray(picture.convert("L"))
