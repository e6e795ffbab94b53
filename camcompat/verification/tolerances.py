"""What a blob may differ by, in units of its maximum."""

from __future__ import annotations

from camcompat.verification.compare import SUMS, WHOLE

__all__ = ["DRIFT", "least_top5", "tolerance_of"]

DRIFT = 1e-2  # of a blob's maximum: what rounding can add up to, where each layer by itself is right
LOOSE = {
    "Softmax", "SoftmaxWithLoss", "Exp", "Power", "MVN", "Normalize", "Reduction", "EuclideanLoss", "BNLL",
}  # fmt: skip
REDUCED = {"fp16": (1e-3, DRIFT), "int8": (0.1, 0.2)}
"""Of a layer alone and of a whole net, in a file of smaller numbers: float16 rounds each weight by up to 4.9e-4 of it;
8 bits make 255 steps of each blob and of each filter. Coarse limits: the agreement is what such a file is judged by."""


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
