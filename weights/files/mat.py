"""MATLAB files of version 5 (-v6, -v7), as far as a mean picture needs them: one numeric array by its name.

SciPy's ``loadmat`` reads all of the format, but some damaged files end the whole process in it (segmentation faults in
SciPy 1.17.1, found by this project's fuzzing): it must not read files of strangers.

Source: MathWorks, "MAT-File Format", chapter "Level 5 MAT-File Format".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

__all__ = ["MatError", "read_mat"]

_MATRIX, _COMPRESSED = 14, 15  # data types of elements: miMATRIX, miCOMPRESSED
_INT8, _INT32, _UINT32 = 1, 5, 6
_DTYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC = range(6, 16)  # array classes mxDOUBLE … mxUINT64
_COMPLEX = 0x0800  # flag of an array
_HEADER = 128


class MatError(ValueError):
    """Bytes that MATLAB never writes, or an array that is not a mean; callers turn it into a WeightsError."""


def _element(data: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """The type and the bytes of the element at an offset, and where the next one begins."""
    if at + 8 > len(data):
        raise MatError("it is cut off")
    kind, size = struct.unpack_from(order + "II", data, at)
    if kind >> 16:  # the small form: both in four bytes, the data in the next four
        kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        after = at + 8
        if size > 4:
            raise MatError("a small element has more than 4 bytes")
    else:
        start = at + 8
        after = start + size + (-size % 8 if kind != _COMPRESSED else 0)
    if start + size > len(data):
        raise MatError("it is cut off")
    return kind, data[start : start + size], after


def _unpacked(data: memoryview, most: int) -> memoryview:
    """A compressed element's bytes; MatError beyond `most` of them."""
    stream = zlib.decompressobj()
    plain = stream.decompress(data, most)
    if stream.unconsumed_tail:
        raise MatError("its variables unpack to far more bytes than the file has")
    return memoryview(plain)


def _part(body: memoryview, at: int, order: str, wanted: int, what: str) -> tuple[memoryview, int]:
    kind, part, after = _element(body, at, order)
    if kind != wanted:
        raise MatError(f"its {what} are of the type {kind}, {wanted} is expected")
    return part, after


def _matrix(body: memoryview, order: str, names: tuple[str, ...]) -> tuple[str, np.ndarray] | None:
    """The name and the values of an array; None for one of another name."""
    flags, at = _part(body, 0, order, _UINT32, "flags")
    dims, at = _part(body, at, order, _INT32, "dims")
    name_bytes, at = _part(body, at, order, _INT8, "name's bytes")
    name = bytes(name_bytes).decode("latin-1")
    if name not in names:
        return None
    if len(flags) != 8 or len(dims) % 4 or not 8 <= len(dims) <= 4 * 32:
        raise MatError("its flags or dims are damaged")
    (flag,) = struct.unpack_from(order + "I", flags)
    if (flag & 0xFF) not in _NUMERIC or flag & _COMPLEX:
        raise MatError(f"{name} is no array of real numbers")
    shape = struct.unpack(f"{order}{len(dims) // 4}i", dims)
    kind, numbers, _ = _element(body, at, order)
    if kind not in _DTYPES or len(numbers) % np.dtype(_DTYPES[kind]).itemsize:
        raise MatError(f"{name} holds numbers of an unknown type ({kind})")
    array = np.frombuffer(numbers, np.dtype(order + _DTYPES[kind]))
    count = 1
    for size in shape:
        count *= size
    if min(shape) < 0 or count != array.size:
        spelt = "x".join(map(str, shape))
        raise MatError(f"the shape {spelt} does not fit the {array.size:,} numbers of {name}")
    # MATLAB stores an array in the smallest type that holds its values; its class says what they are.
    values = array.reshape(shape, order="F")
    return name, values.astype(np.float64) if values.dtype.kind in "iu" else values


def _bodies(data: memoryview, order: str, most: int) -> Iterator[memoryview]:
    """The body of every array of the file, unpacked."""
    at = _HEADER
    while at < len(data):
        kind, body, at = _element(data, at, order)
        if kind == _COMPRESSED:
            plain = _unpacked(body, most)
            most -= len(plain)
            kind, body, _ = _element(plain, 0, order)
        if kind == _MATRIX and body:
            yield body


def read_mat(data: bytes, names: tuple[str, ...], most: int) -> np.ndarray | None:
    """The array of the first of `names` that a MATLAB file of version 5 has; None if it has none of them.

    Args:
        data: the file.
        names: the variables looked for, the most wanted first.
        most: bytes that compressed variables may unpack to, in all.

    Returns: float32 or float64, in MATLAB's order of axes.
    Raises: MatError: the file is damaged, of another version, or the variable is not an array of real numbers.

    >>> import io, scipy.io
    >>> file = io.BytesIO()
    >>> scipy.io.savemat(file, {"mean_data": np.ones((2, 3))}, do_compression=True)
    >>> read_mat(file.getvalue(), ("mean_data",), 1 << 20).shape
    (2, 3)
    """
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise MatError("its header is damaged")
    order = "<" if data[126:128] == b"IM" else ">"
    version = data[125] if order == "<" else data[124]
    if version != 1:
        raise MatError(f"it is of version {version}; version 7.3 is an HDF5 file")
    arrays: dict[str, np.ndarray] = {}
    try:
        for body in _bodies(memoryview(data), order, most):
            entry = _matrix(body, order, names)
            if entry is not None:
                arrays[entry[0]] = entry[1]
    except zlib.error as error:
        raise MatError(f"a compressed variable is damaged ({error})") from error
    return next((arrays[name] for name in names if name in arrays), None)
