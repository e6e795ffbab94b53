"""Mean files: what is subtracted from a picture before it enters a net.

Source: ``compute_image_mean.cpp`` and ``data_transformer.cpp`` of BVLC Caffe (.binaryproto), pycaffe's examples
(.npy), Caffe's MATLAB demo and the CAM release (``ilsvrc_2012_mean.mat``).
"""

from __future__ import annotations

import math
import os
import tokenize
from io import BytesIO
from pathlib import Path

import numpy as np

from prototxt.errors import WeightsError
from prototxt.foreign import HDF5, MATLAB, NPY, kind_of
from prototxt.limits import get_limits, raise_hint
from weights.files.blob import read_blob, to_float32
from weights.files.foreign import HEAD, refuse_foreign
from weights.files.mat import MatError, read_mat
from weights.files.wire import LEN, WireError, fields

__all__ = ["read_mean"]

_GIVE = "give a mean image as .binaryproto, .npy or .mat"
_KEYS = ("mean_data", "image_mean")  # the CAM release's name, and that of Caffe's MATLAB demo

# What NumPy lets through on damaged headers, which it reads as a Python literal.
_HEADER_DAMAGE = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError, OverflowError, tokenize.TokenError)


def _npy_header(file: BytesIO) -> tuple[tuple[int, ...], np.dtype]:
    """What a .npy file declares; NumPy would make the array before it finds that the file is too short for it."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    else:  # 3.0 differs in the encoding of field names, and structured arrays are refused anyway
        shape, _, dtype = np.lib.format.read_array_header_2_0(file)
    return shape, dtype


def _check_bytes(shape: tuple[int, ...], itemsize: int, size: int, where: str) -> None:
    """Refuse an array that takes far more memory than its file, or that has an impossible shape, before it is made."""
    limits = get_limits()
    spelt = "x".join(map(str, shape[: limits.axes]))
    if any(dim < 0 for dim in shape):
        raise WeightsError(f"the shape {spelt} is impossible", where=where, remedy=_GIVE)
    if math.prod(shape) * itemsize > limits.expansion * size + limits.expansion_free:
        message = f"its shape {spelt} takes far more bytes than the file has"
        raise WeightsError(message, where=where, remedy=f"{_GIVE}; {raise_hint('expansion')}")


def _npy(data: bytes, where: str) -> np.ndarray:
    try:
        shape, dtype = _npy_header(BytesIO(data))
        _check_bytes(shape, dtype.itemsize, len(data), where)
        array = np.load(BytesIO(data), allow_pickle=False)
    except (*_HEADER_DAMAGE, EOFError, OSError) as error:
        raise WeightsError(f"the .npy file is damaged or holds objects ({error})", where=where, remedy=_GIVE) from error
    return np.asarray(array)


def _mat(data: bytes, where: str) -> np.ndarray:
    limits = get_limits()
    try:
        array = read_mat(data, _KEYS, limits.expansion * len(data) + limits.expansion_free)
    except MatError as error:
        remedy = f"save it with MATLAB's -v7 or -v6; {raise_hint('expansion')}"
        if "unpack" not in str(error):
            remedy = "save it with MATLAB's -v7 or -v6"
        raise WeightsError(f"the .mat file cannot be read ({error})", where=where, remedy=remedy) from error
    if array is None:
        raise WeightsError(f"the .mat file has no variable {' or '.join(_KEYS)}", where=where, remedy=_GIVE)
    return array.transpose(2, 1, 0) if array.ndim == 3 else array  # MATLAB keeps WxHxC


def _binaryproto(data: bytes, where: str) -> np.ndarray:
    view = memoryview(data)
    try:
        if any((field.number, field.wire) in ((1, LEN), (2, LEN), (100, LEN)) for field in fields(view, 0, len(view))):
            raise WeightsError("it is no mean file, perhaps a .caffemodel", where=where, remedy=_GIVE)
        return read_blob(view, 0, len(view))
    except WireError as error:
        raise WeightsError(f"it is no mean file, or damaged ({error})", where=where, remedy=_GIVE) from error


def _shaped(array: np.ndarray, where: str) -> np.ndarray:
    """(C, H, W) from what is stored; anything that is not a picture in this order is refused."""
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
    mean = np.ascontiguousarray(to_float32(array, where=where))
    odd = mean.size - np.count_nonzero(np.isfinite(mean))
    if odd:
        raise WeightsError(f"{odd:,} of its {mean.size:,} values are NaN or infinite", where=where, remedy=_GIVE)
    return mean


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
        with Path(path).open("rb") as file:
            most = get_limits().mean_bytes
            data = file.read(most + 1)
            if len(data) > most:
                raise WeightsError(f"it has more than {most:,} bytes", where=where, remedy=raise_hint("mean_bytes"))
    except FileNotFoundError:
        raise WeightsError("no such file", where=where, remedy="check the path") from None
    except OSError as error:
        raise WeightsError(f"it cannot be read ({error.strerror})", where=where, remedy=_GIVE) from error
    kind = kind_of(data[:HEAD])
    if kind == NPY:
        return _shaped(_npy(data, where), where)
    if kind == MATLAB:
        return _shaped(_mat(data, where), where)
    if kind == HDF5:
        raise WeightsError("it is an HDF5 file, not a mean file", where=where, remedy=_GIVE)
    try:
        refuse_foreign(data[:HEAD], where)
    except WeightsError as error:
        raise WeightsError(
            error.message.replace("not weights", "not a mean file"), where=where, remedy=_GIVE
        ) from error
    return _shaped(_binaryproto(data, where), where)
