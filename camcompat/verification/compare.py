"""How far two arrays of one blob are apart, and how far they may be."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np

__all__ = [
    "DRIFT",
    "SUMS",
    "WHOLE",
    "BlobError",
    "Statistics",
    "compare_blob",
    "describe_array",
    "least_top5",
    "tolerance_of",
]

WHOLE = 5e-6
"""Of a blob's maximum, on whole nets: Caffe with another BLAS kernel differs from itself by up to 3.6e-6."""

SUMS = 1e-5
"""Where exponentials of large values or a sum over a whole blob are taken."""

DRIFT = 1e-2  # of a blob's maximum: what rounding can add up to, where each layer by itself is right
LOOSE = {
    "Softmax", "SoftmaxWithLoss", "Exp", "Power", "MVN", "Normalize", "Reduction", "EuclideanLoss", "BNLL",
}  # fmt: skip
REDUCED = {"fp16": (1e-3, DRIFT), "int8": (0.1, 0.2)}
"""Of a layer alone and of a whole net, in a file of smaller numbers: float16 rounds each weight by up to 4.9e-4 of it;
8 bits make 255 steps of each blob and of each filter. Coarse limits: the agreement is what such a file is judged by."""

_PIECE = 1 << 20


@dataclass(frozen=True)
class BlobError:
    """One blob of a net, as two implementations compute it.

    Attributes:
        blob: its versioned name; ``layer``: the layer that writes it; ``type``: that layer's type.
        depth: the layer's index in the net.
        shape: of the reference.
        max_abs: the largest difference; ``relative``: in units of the reference's largest magnitude (infinite where
            shapes, NaN or infinities differ).
        cosine: of the angle between the two, as vectors.
        tolerance: what ``relative`` may be.
        local: the layer alone: its difference from a float64 evaluation of the same inputs; None where not taken.
        note: what was compared, where it is not the whole blob.
    """

    blob: str
    layer: str
    type: str
    depth: int
    shape: tuple[int, ...]
    max_abs: float
    relative: float
    cosine: float
    tolerance: float
    local: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        return self.relative <= self.tolerance


def compare_blob(ours: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
    """Return the largest difference, the same in units of the reference's largest magnitude, and the cosine.

    Args:
        ours, reference: arrays of one shape and any type of number.

    Returns:
        max_abs, relative and cosine; infinite, infinite and 0 where the shapes differ, or NaN and infinities are not
        at the same places.

    >>> compare_blob(np.float32([1, 2]), np.float32([1, 4]))[:2]
    (2.0, 0.5)
    >>> compare_blob(np.zeros(2), np.zeros(3))
    (inf, inf, 0.0)
    """
    if ours.shape != reference.shape:
        return inf, inf, 0.0
    largest = scale = product = square_a = square_b = 0.0
    flat_a, flat_b = ours.reshape(-1), reference.reshape(-1)
    for start in range(0, flat_a.size, _PIECE):
        a = flat_a[start : start + _PIECE].astype(np.float64)
        b = flat_b[start : start + _PIECE].astype(np.float64)
        finite = _single(b)
        if not np.array_equal(_single(a), finite) or not np.array_equal(np.sign(a[~finite]), np.sign(b[~finite]), True):
            return inf, inf, 0.0
        a, b = a[finite], b[finite]
        largest = max(largest, float(np.abs(a - b).max(initial=0.0)))
        scale = max(scale, float(np.abs(b).max(initial=0.0)))
        product, square_a, square_b = product + float(a @ b), square_a + float(a @ a), square_b + float(b @ b)
    length = sqrt(square_a) * sqrt(square_b)
    cosine = product / length if length else float(square_a == square_b)
    return largest, largest / (scale or 1.0), min(1.0, cosine)


def _single(x: np.ndarray) -> np.ndarray:
    """Where float32 holds a number: what is beyond it is infinite there."""
    return np.asarray(np.abs(x) <= np.finfo(np.float32).max)


@dataclass(frozen=True)
class Statistics:
    """What an array holds; as a text, in a line.

    Attributes:
        shape, minimum, maximum, mean, deviation: of all its numbers.
    """

    shape: tuple[int, ...]
    minimum: float
    maximum: float
    mean: float
    deviation: float

    def __str__(self) -> str:
        shape = "x".join(map(str, self.shape))
        return (
            f"{shape}, {self.minimum:.4g} to {self.maximum:.4g}, mean {self.mean:.4g}, deviation {self.deviation:.4g}"
        )


def describe_array(x: np.ndarray) -> Statistics:
    """The shape and the spread of an array.

    >>> print(describe_array(np.float32([[0, 1], [1, 2]])))
    2x2, 0 to 2, mean 1, deviation 0.7071
    """
    if not x.size:
        return Statistics(x.shape, 0.0, 0.0, 0.0, 0.0)
    with np.errstate(all="ignore"):
        mean, deviation = float(np.mean(x, dtype=np.float64)), float(np.std(x, dtype=np.float64))
    return Statistics(x.shape, float(x.min()), float(x.max()), mean, deviation)


def tolerance_of(layer_type: str, dtype: str = "float32", *, alone: bool = False) -> float:
    """What a blob may differ by, in units of its maximum.

    Args:
        layer_type: of the layer that writes it.
        dtype: of the ONNX file: "float32", "fp16" or "int8".
        alone: whether the layer was given the same inputs as the oracle's.

    >>> tolerance_of("Convolution"), tolerance_of("Softmax"), tolerance_of("Convolution", "fp16", alone=True)
    (5e-06, 1e-05, 0.001)
    """
    if dtype in REDUCED:
        return REDUCED[dtype][0 if alone else 1]
    return SUMS if layer_type in LOOSE else WHOLE


def least_top5(dtype: str) -> float:
    """The share of the five best classes that a file has to name as the oracle does."""
    return 0.9 if dtype in REDUCED else 1.0
