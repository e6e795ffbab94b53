"""Blobs: float32 memory with a shape, that numpy sees live (Caffe: blob.cpp, pycaffe's _caffe.cpp)."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from camcompat.pycaffe.errors import CaffeError, not_offered

__all__ = ["Blob", "BlobVec", "Layer"]


class Blob:
    """A blob of a net: `data` and `diff` are live float32 arrays; assign to their elements, not to the names.

    >>> blob = Blob((2, 3))
    >>> blob.data[...] = 1
    >>> blob.reshape(1, 3)
    >>> blob.data.tolist(), blob.count, blob.num, blob.width
    ([[1.0, 1.0, 1.0]], 3, 1, 1)
    """

    def __init__(self, shape: tuple[int, ...], data: np.ndarray | None = None) -> None:
        self.shape = tuple(shape)
        self._memory = np.zeros(prod(self.shape), np.float32) if data is None else np.ascontiguousarray(data).ravel()
        self._diff: np.ndarray | None = None

    @property
    def data(self) -> np.ndarray:
        """The values, a view of the blob's memory."""
        return self._memory[: self.count].reshape(self.shape)

    @property
    def diff(self) -> np.ndarray:
        """The gradient, a view like `data`; zeros before the first backward pass."""
        if self._diff is None or self._diff.size < self.count:
            self._diff = np.zeros(self._memory.size, np.float32)
        return self._diff[: self.count].reshape(self.shape)

    @property
    def memory(self) -> np.ndarray:
        """The flat array behind `data`; another object after the memory was grown or shared."""
        return self._memory

    @property
    def count(self) -> int:
        """How many values."""
        return prod(self.shape)

    def reshape(self, *dims: int) -> None:
        """Another shape. Memory is only ever grown, as in Caffe: the first values stay what they were."""
        shape = tuple(int(dim) for dim in dims)
        if any(dim < 0 for dim in shape):
            raise CaffeError(f"a blob cannot have the shape {shape}", remedy="sizes are 0 or more")
        if prod(shape) > self._memory.size:
            self._memory = np.zeros(prod(shape), np.float32)
        self.shape = shape

    def assign(self, values: np.ndarray) -> None:
        """Take over an array's shape and values (float32 whatever its dtype)."""
        if values.shape != self.shape:
            self.reshape(*values.shape)
        np.copyto(self.data, values, casting="unsafe")

    def weigh(self, weight: float, before: tuple[int, ...]) -> None:
        """Make a loss weight the gradient that a backward pass begins with, unless the shape is what it was before."""
        if weight and self.shape != before:
            self.diff[...] = weight

    def share(self, other: Blob) -> None:
        """Use another blob's memory and shape from now on (Caffe: ShareData)."""
        self._memory, self.shape = other._memory, other.shape

    def _legacy(self, axis: int) -> int:
        if len(self.shape) > 4:
            raise CaffeError(
                f"a blob of {len(self.shape)} axes has no num, channels, height, width", remedy="use shape"
            )
        return self.shape[axis] if axis < len(self.shape) else 1

    @property
    def num(self) -> int:
        """Axis 0; 1 where the blob has fewer axes."""
        return self._legacy(0)

    @property
    def channels(self) -> int:
        """Axis 1; 1 where the blob has fewer axes."""
        return self._legacy(1)

    @property
    def height(self) -> int:
        """Axis 2; 1 where the blob has fewer axes."""
        return self._legacy(2)

    @property
    def width(self) -> int:
        """Axis 3; 1 where the blob has fewer axes."""
        return self._legacy(3)

    def __repr__(self) -> str:
        return f"<Blob {'x'.join(map(str, self.shape)) or 'scalar'}>"


class BlobVec(list[Blob]):
    """The blobs of one layer: weights, then bias."""

    def add_blob(self, *dims: int) -> None:
        """A further blob of zeros."""
        self.append(Blob(dims))


class Layer:
    """One layer as `net.layers` shows it: its `type`, its `blobs`."""

    def __init__(self, type: str, blobs: BlobVec) -> None:
        self.type, self.blobs = type, blobs

    def _refuse(self, *arguments: Any) -> None:
        """Not offered: the net runs its layers."""
        remedy = "call net.reshape(), net.forward(start=, end=) or net.backward(start=, end=)"
        not_offered("a layer's own method", "the net runs its layers", remedy)

    setup = reshape = forward = backward = _refuse

    def __repr__(self) -> str:
        return f"<Layer {self.type}, {len(self.blobs)} blob(s)>"
