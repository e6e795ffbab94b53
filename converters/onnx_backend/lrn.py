"""Local response normalisation across channels, from operators that onnxruntime runs fast and sums exactly.

Its own `LRN` raises to a power element by element (a third of GoogLeNet's whole time), and keeps a running sum: where
channels differ much and alpha is large, what it subtracts again leaves an error of 3e-5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from converters.graph.dims import fixed
from converters.graph.graph import Node

if TYPE_CHECKING:
    from converters.onnx_backend.writer import OnnxWriter

__all__ = ["lrn"]

CHUNK = 32  # channels whose sums are one product: more multiply zeros, fewer are more operators


def lrn(w: OnnxWriter, node: Node, names: list[str]) -> list[str]:
    """`Ops.lrn`: x · (k + alpha/n · Σ x²)^−beta."""
    (x,), beta = names, float(node.attrs["beta"])
    (channels,) = fixed(node.outputs[0].shape[1:2])
    scale = _sums(w, node, w.op("Mul", [x, x]), channels)
    if beta == 0.75:  # Caffe's default: two square roots are many times faster than a power
        root = w.op("Sqrt", [scale])
        return w.emit(node, "Div", [x, w.op("Mul", [root, w.op("Sqrt", [root])])])
    if beta == 0.5:
        return w.emit(node, "Div", [x, w.op("Sqrt", [scale])])
    return w.emit(node, "Mul", [x, w.op("Pow", [scale, w.scalar(-beta)])])


def _sums(w: OnnxWriter, node: Node, square: str, channels: int) -> str:
    """k + alpha/n · Σ by 1x1 convolutions, one for some neighbouring channels, whose weights are a band.

    One for all channels would multiply mostly zeros: of 192 it takes half as long again (1.06 ms, not 0.69).
    """
    size, alpha, k = (node.attrs[name] for name in ("size", "alpha", "k"))
    half, places, parts = size // 2, np.arange(channels), []
    chunk = max(CHUNK, size)
    for start in range(0, channels, chunk):
        end = min(start + chunk, channels)
        first, last = max(0, start - half), min(channels, end + half)
        near = np.abs(places[start:end, None] - places[first:last]) <= half
        band = np.where(near, np.float32(alpha) / np.float32(size), np.float32(0)).astype(np.float32)
        read = [square]
        if (first, last) != (0, channels):
            read = [w.op("Slice", [square, *map(w.integers, ([first], [last], [1], [1]))])]
        bias = np.full(end - start, k, np.float32)
        parts.append(
            w.op("Conv", [*read, w.tensor(band[:, :, None, None], "band"), w.tensor(bias, "k")], kernel_shape=[1, 1])
        )
    return parts[0] if len(parts) == 1 else w.op("Concat", parts, axis=1)
