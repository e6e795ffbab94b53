"""One array of a weight or mean file: the bytes of a BlobProto, Caffe's rule for shapes, and float32 for every float.

Source: ``BlobProto``, ``Blob::FromProto`` (legacy dims win over ``shape``, ``double_data`` over ``data``) and
``Blob::ShapeEquals`` of BVLC Caffe; ``raw_data`` is NVIDIA's addition for half precision.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from prototxt.errors import WeightsError
from prototxt.limits import get_limits
from weights.files.wire import FIXED32, FIXED64, LEN, VARINT, Field, WireError, fields, read_field, read_varint, run

__all__ = ["fit", "read_blob", "to_float32"]

_SHAPE, _DATA, _DOUBLE_DATA, _RAW_TYPE, _RAW = 7, 5, 8, 10, 12
_FLOATS = {5: "data", 6: "diff", 8: "double_data", 9: "double_diff"}
_MANY = 1024  # bytes of dims that are counted before they are read
_PIECES = 4096  # runs of numbers in one blob; every writer makes one
_RAW_DTYPES = {0: "<f8", 1: "<f4", 2: "<f2"}  # enum Type: DOUBLE, FLOAT, FLOAT16 (3 INT and 4 UINT hold no weights)


@dataclasses.dataclass
class _Parts:
    """What was met so far of one BlobProto."""

    legacy: dict[int, int] = dataclasses.field(default_factory=dict)  # num, channels, height, width
    shape: list[int] = dataclasses.field(default_factory=list)
    data: list[np.ndarray] = dataclasses.field(default_factory=list)
    double_data: list[np.ndarray] = dataclasses.field(default_factory=list)
    raw: np.ndarray | None = None
    raw_type: int = 0

    def dims(self) -> tuple[int, ...]:
        if self.legacy:
            return tuple(self.legacy.get(number, 0) for number in (1, 2, 3, 4))
        return tuple(self.shape)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _packed(data: memoryview, field: Field, dtype: str) -> np.ndarray:
    size = np.dtype(dtype).itemsize
    count, rest = divmod(field.end - field.start, size)
    if rest:
        raise WireError(f"{field.end - field.start:,} bytes of numbers are no multiple of {size}", field.tag)
    return np.frombuffer(data, dtype, count, field.start)


def _dims(data: memoryview, start: int, end: int) -> list[int]:
    dims: list[int] = []
    for field in fields(data, start, end):
        if field.number != 1:
            continue
        if field.wire == VARINT:
            dims.append(_signed(field.value))
        elif field.wire == LEN:
            if field.end - field.start > _MANY:  # a megabyte may hold a million of them
                ends = np.frombuffer(data, np.uint8, field.end - field.start, field.start) < 0x80
                _check_axes(len(dims) + int(np.count_nonzero(ends)), start)
            position = field.start
            while position < field.end:
                value, position = read_varint(data, position, field.end)
                dims.append(_signed(value))
        _check_axes(len(dims), start)
    return dims


def _check_axes(count: int, start: int) -> None:
    most = get_limits().axes
    if count > most:
        raise WireError(f"a shape of {count:,} dims is impossible, Caffe has at most {most}", start)


def _numbers(data: memoryview, field: Field, end: int) -> tuple[np.ndarray | None, int]:
    """The array of a packed or unpacked float field (None where the wire type says: something else), and its end."""
    dtype, fixed = ("<f4", FIXED32) if field.number in (5, 6) else ("<f8", FIXED64)
    if field.wire == LEN:
        return _packed(data, field, dtype), field.end
    if field.wire == fixed:
        numbers = run(data, field, end)
        return np.ascontiguousarray(numbers).view(dtype).ravel(), field.tag + len(numbers) * (field.end - field.tag)
    return None, field.end


def _collect(data: memoryview, start: int, end: int) -> _Parts:
    parts, position = _Parts(), start
    while position < end:
        field = read_field(data, position, end)
        position = field.end
        if field.number in _FLOATS:
            numbers, position = _numbers(data, field, end)
            if numbers is not None and field.number == _DATA:
                parts.data.append(numbers)
            elif numbers is not None and field.number == _DOUBLE_DATA:
                parts.double_data.append(numbers)
            if len(parts.data) + len(parts.double_data) > _PIECES:
                raise WireError(f"its numbers lie in more than {_PIECES:,} pieces", start)
        elif field.number <= 4 and field.wire == VARINT:
            parts.legacy[field.number] = _signed(field.value)
        elif field.number == _SHAPE and field.wire == LEN:
            parts.shape += _dims(data, field.start, field.end)
            _check_axes(len(parts.shape), start)
        elif field.number == _RAW_TYPE and field.wire == VARINT:
            parts.raw_type = field.value
        elif field.number == _RAW and field.wire == LEN:
            parts.raw = np.frombuffer(data, np.uint8, field.end - field.start, field.start)
    return parts


def _flat(parts: _Parts, start: int) -> np.ndarray:
    chunks = [chunk for chunk in parts.double_data if chunk.size] or [chunk for chunk in parts.data if chunk.size]
    if chunks:
        return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)
    if parts.raw is None:
        return np.empty(0, "<f4")
    dtype = _RAW_DTYPES.get(parts.raw_type)
    if dtype is None:
        raise WireError(f"raw_data_type {parts.raw_type} is none of DOUBLE (0), FLOAT (1), FLOAT16 (2)", start)
    if parts.raw.size % np.dtype(dtype).itemsize:
        raise WireError(f"raw_data has {parts.raw.size:,} bytes, no multiple of {np.dtype(dtype).itemsize}", start)
    return parts.raw.view(dtype)


def read_blob(data: memoryview, start: int, end: int) -> np.ndarray:
    """The array of the BlobProto in ``data[start:end]``: a read-only view of ``data`` where it is packed.

    Returns: float32, float64 or float16 as stored; the stored shape, four dims where legacy dims are given.
    Raises: WireError if the bytes are damaged, or the number of values is not the product of the dims.

    >>> read_blob(memoryview(bytes.fromhex("2a08 0000803f 00000040 3a03 0a0102")), 0, 15)
    array([1., 2.], dtype=float32)
    """
    parts = _collect(data, start, end)
    dims, flat = parts.dims(), _flat(parts, start)
    if any(dim < 0 for dim in dims):
        raise WireError(f"the shape {dims} is impossible", start)
    if math.prod(dims) != flat.size:
        spelt = "x".join(map(str, dims)) or "()"
        raise WireError(f"the shape {spelt} needs {math.prod(dims):,} values, {flat.size:,} are stored", start)
    try:
        return flat.reshape(dims)
    except ValueError:  # a zero among dims whose product overflows
        raise WireError(f"the shape {dims} is impossible", start) from None


def _spell(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "one number"


def to_float32(array: np.ndarray, *, where: str) -> np.ndarray:
    """The array as little-endian float32, itself if it is that already; WeightsError if it cannot hold the values."""
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        remedy = "give float16, float32 or float64"
        raise WeightsError(f"weights of dtype {array.dtype} are not supported", where=where, remedy=remedy)
    if array.dtype.itemsize < 8:
        return array.astype("<f4", copy=False)
    with np.errstate(over="raise"):
        try:
            return array.astype("<f4")
        except FloatingPointError:
            message = "a float64 weight is too large for float32"
            raise WeightsError(message, where=where, remedy="check the file, or scale the layer") from None


def fit(array: np.ndarray, shape: Sequence[int], *, where: str) -> np.ndarray:
    """A stored blob in the shape that a layer wants: float32, a view wherever the file holds float32.

    The stored shape must equal ``shape``, or be four dims (as old files have them) that equal ``shape`` with ones in
    front. Caffe allows the latter only for blobs stored with the legacy fields; equal values are no risk otherwise.

    Args:
        array: the blob as :func:`weights.read` gives it.
        shape: the shape of the layer's parameter.
        where: the layer and blob, for the error.
    Raises: WeightsError if neither holds.
    Source: ``Blob::ShapeEquals``.

    >>> fit(np.zeros((1, 1, 10, 5), np.float16), (10, 5), where='layer "fc" blob 0').shape
    (10, 5)
    """
    wanted = tuple(shape)
    legacy = (1,) * (4 - len(wanted)) + wanted
    if array.shape != wanted and array.shape != legacy:
        message = f"the file stores {_spell(array.shape)}, the net wants {_spell(wanted)}"
        remedy = "are these weights for another net, or is the net edited (num_output, kernel_size, input)?"
        raise WeightsError(message, where=where, remedy=remedy)
    return to_float32(array, where=where).reshape(wanted)
