"""Mean files: what is subtracted from a picture before it enters a net.

Source: ``compute_image_mean.cpp`` and ``data_transformer.cpp`` of BVLC Caffe (.binaryproto), pycaffe's examples
(.npy), Caffe's MATLAB demo and the CAM release (``ilsvrc_2012_mean.mat``).
"""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np

from prototxt.errors import WeightsError
from weights.blob import read_blob
from weights.foreign import HDF5_SIGNATURE, HEAD, refuse_foreign
from weights.shapes import to_float32
from weights.wire import LEN, WireError, fields

__all__ = ["read_mean"]

_GIVE = "give a mean image as .binaryproto, .npy or .mat"
_KEYS = ("mean_data", "image_mean")  # the CAM release's name, and that of Caffe's MATLAB demo

# What SciPy lets through on damaged files; NotImplementedError: version 7.3, which is HDF5
_MAT_DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def _npy(data: bytes, where: str) -> np.ndarray:
    try:
        array = np.load(BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise WeightsError(f"the .npy file is damaged or holds objects ({error})", where=where, remedy=_GIVE) from error
    return np.asarray(array)


def _mat(data: bytes, where: str) -> np.ndarray:
    try:
        from scipy.io.matlab import MatReadError, loadmat
    except ImportError:
        raise WeightsError("a .mat file needs SciPy", where=where, remedy="pip install scipy") from None
    try:
        found = loadmat(BytesIO(data), variable_names=list(_KEYS))
    except (MatReadError, *_MAT_DAMAGE) as error:
        remedy = "save it with MATLAB's -v7 or -v6"
        raise WeightsError(f"the .mat file cannot be read ({error})", where=where, remedy=remedy) from error
    arrays = [found[key] for key in _KEYS if key in found]
    if not arrays:
        raise WeightsError(f"the .mat file has no variable {' or '.join(_KEYS)}", where=where, remedy=_GIVE)
    array = np.asarray(arrays[0])
    return array.transpose(2, 1, 0) if array.ndim == 3 else array  # MATLAB keeps WxHxC


def _binaryproto(data: bytes, where: str) -> np.ndarray:
    view = memoryview(data)
    try:
        if any((found.number, found.wire) in ((1, LEN), (2, LEN), (100, LEN)) for found in fields(view, 0, len(view))):
            raise WeightsError("it is no mean file, perhaps a .caffemodel", where=where, remedy=_GIVE)
        return read_blob(view, 0, len(view))
    except WireError as error:
        raise WeightsError(f"it is no mean file, or damaged ({error})", where=where, remedy=_GIVE) from error


def _shaped(array: np.ndarray, where: str) -> np.ndarray:
    """(C, H, W) from what is stored; anything that is no picture in this order is refused."""
    if array.ndim == 1:
        array = array[:, None, None]
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    spelt = "x".join(map(str, array.shape)) or "one number"
    if array.ndim != 3 or not array.size:
        raise WeightsError(f"the mean has the shape {spelt}, CxHxW is wanted", where=where, remedy=_GIVE)
    if array.shape[0] not in (1, 3) and array.shape[-1] in (1, 3):
        remedy = "store it as mean.transpose(2, 0, 1)"
        raise WeightsError(f"the mean has the shape {spelt}, CxHxW is wanted", where=where, remedy=remedy)
    if array.dtype.kind in "iu":
        array = array.astype(np.float64)
    return np.ascontiguousarray(to_float32(array, where=where))


def read_mean(path: str | os.PathLike[str]) -> np.ndarray:
    """A mean file, told by content: .binaryproto, .npy of (C, H, W) or (C,), or .mat of WxHxC.

    Returns: float32 (C, H, W) in the channel order stored, BGR for nearly all nets of Caffe; (C, 1, 1) where the file
        holds one number per channel.
    Raises: WeightsError if the file is missing, damaged or something else.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "mean.npy"
    >>> np.save(path, np.array([104.0, 117.0, 123.0]))
    >>> read_mean(path).ravel().tolist()
    [104.0, 117.0, 123.0]
    """
    where = os.fspath(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise WeightsError("no such file", where=where, remedy="check the path") from None
    except OSError as error:
        raise WeightsError(f"it cannot be read ({error.strerror})", where=where, remedy=_GIVE) from error
    if data.startswith(b"\x93NUMPY"):
        return _shaped(_npy(data, where), where)
    if data.startswith(b"MATLAB "):
        return _shaped(_mat(data, where), where)
    if data.startswith(HDF5_SIGNATURE):
        raise WeightsError("it is an HDF5 file, not a mean file", where=where, remedy=_GIVE)
    try:
        refuse_foreign(data[:HEAD], where)
    except WeightsError as error:
        raise WeightsError(
            error.message.replace("not weights", "not a mean file"), where=where, remedy=_GIVE
        ) from error
    return _shaped(_binaryproto(data, where), where)
