"""Does a stored blob fit a layer? Caffe's rule for shapes (``Blob::ShapeEquals``), and float32 for every float."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prototxt.errors import WeightsError

__all__ = ["fit", "to_float32"]


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
