"""Local response normalisation across channels, from operators that onnxruntime runs fast and sums exactly.

Its own `LRN` raises to a power element by element (a third of GoogLeNet's whole time), and keeps a running sum: where
channels differ much and alpha is large, what it subtracts again leaves an error of 3e-5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .dims import fixed
from .graph import Node

if TYPE_CHECKING:
    from .onnx_writer import OnnxWriter

__all__ = ["lrn"]

BAND_LIMIT = 512  # channels: beyond, the band's zeros cost more than sliced sums


def lrn(w: OnnxWriter, node: Node, names: list[str]) -> list[str]:
    """`Ops.lrn`: x · (k + alpha/n · Σ x²)^−beta."""
    (x,), beta = names, float(node.attrs["beta"])
    (channels,) = fixed(node.outputs[0].shape[1:2])
    square = w.op("Mul", [x, x])
    scale = _banded(w, node, square, channels) if channels <= BAND_LIMIT else _sliced(w, node, square, channels)
    if beta == 0.75:  # Caffe's default: two square roots are many times faster than a power
        root = w.op("Sqrt", [scale])
        return w.emit(node, "Div", [x, w.op("Mul", [root, w.op("Sqrt", [root])])])
    if beta == 0.5:
        return w.emit(node, "Div", [x, w.op("Sqrt", [scale])])
    return w.emit(node, "Mul", [x, w.op("Pow", [scale, w.scalar(-beta)])])


def _banded(w: OnnxWriter, node: Node, square: str, channels: int) -> str:
    """The sums as a 1x1 convolution whose weights are a band: it stays in the layout that convolutions use."""
    size, alpha, k = (node.attrs[name] for name in ("size", "alpha", "k"))
    places = np.arange(channels)
    near = np.abs(places[:, None] - places) <= size // 2
    band = np.where(near, np.float32(alpha) / np.float32(size), np.float32(0))
    weight = w.tensor(band.astype(np.float32)[:, :, None, None], "band")
    bias = w.tensor(np.full(channels, k, np.float32), "k")
    return w.op("Conv", [square, weight, bias], kernel_shape=[1, 1])


def _sliced(w: OnnxWriter, node: Node, square: str, channels: int) -> str:
    size, alpha, k = (node.attrs[name] for name in ("size", "alpha", "k"))
    half = size // 2
    amounts = w.integers([0, half, 0, 0, 0, half, 0, 0])
    padded = w.op("Pad", [square, amounts, w.scalar(0.0)], mode="constant")
    total = ""
    for i in range(size):
        part = w.op("Slice", [padded, *map(w.integers, ([i], [i + channels], [1], [1]))])
        total = w.op("Add", [total, part]) if total else part
    return w.op("Add", [w.op("Mul", [total, w.scalar(alpha / size)]), w.scalar(k)])
