"""Convolutions of height 3 by Winograd's F(4, 3) along the height: half the multiplications, as ordinary operators.

onnxruntime has no Winograd convolution on a CPU. Minimal filtering (Winograd 1980; Lavin & Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016) computes 4 outputs of a 3-tap filter with 6 products instead of 12:
y = A [(G g) · (B d)]. Along one axis only, each of B's rows is a depthwise convolution of stride 4, the products
convolutions of height 1, and A one thin matrix product: all of it runs in onnxruntime's fast forms. Measured
per layer: 4e-7 of the blob's maximum (a direct convolution: 2e-7). Along both axes it was 1.5e-6, and hardly faster.

The points are 0, 1, -1, 1/2, -2 (Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd
Convolution", 2020): two thirds of the error of 0, 1, -1, 2, -2. `A` and `B` are exact in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .dims import Sym, fixed
from .graph import Node

if TYPE_CHECKING:
    from .onnx_writer import OnnxWriter

__all__ = ["conv", "pays"]

OUT, TAPS = 4, 3
POINTS = OUT + TAPS - 1

A = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 1 / 2, -2, 0], [0, 1, 1, 1 / 4, 4, 0], [0, 1, -1, 1 / 8, -8, 1]])
B = np.array(
    [[2, -3, -4, 3, 2, 0], [0, -2, 1, 5, 2, 0], [0, -2, 5, -1, -2, 0], [0, 2, 1, -2, -1, 0], [0, 2, -4, -2, 4, 0],
     [0, 2, -3, -4, 3, 2]]
) / 2  # fmt: skip
G = np.array([[15, 0, 0], [5, 5, 5], [5, -5, 5], [32, 16, 8], [1 / 2, -1, 2], [0, 0, 15]]) / 15
BIAS_POINT = 1  # A's column of ones: what is added to this product is added to every output

BLOCK = 16  # channels: onnxruntime's blocked layout takes multiples
# Measured on AVX-512 and two cores, in multiplications: what the transforms of one number cost, and the least gain of
# an image that outweighs a dozen more operators. Below the ratio, batches of 10 gain nothing.
TRANSFORM, LEAST_RATIO, LEAST_GAIN = 170, 1.2, 1.5e7


def pays(node: Node) -> bool:
    """Whether a convolution is one that this form computes, and large enough to be faster for it."""
    x, weight, y, a = node.inputs[0], node.inputs[1], node.outputs[0], node.attrs
    if x is None or weight is None or weight.data is None or len(weight.shape) != 4 or weight.shape[2] != TAPS:
        return False
    if a["strides"][0] != 1 or a["dilations"][0] != 1 or any(isinstance(n, Sym) for n in (*x.shape[1:], *y.shape[1:])):
        return False
    _, each, _, width = weight.data.shape
    (channels, rows), (made, height, columns) = fixed(x.shape[1:3]), fixed(y.shape[1:])
    if each % BLOCK or (made // a["group"]) % BLOCK:
        return False
    saved = made * each * width * (TAPS * height - POINTS * _tiles(height))
    spent = TRANSFORM * (channels * rows + made * height)
    return bool(saved >= LEAST_RATIO * spent) and (saved - spent) * columns >= LEAST_GAIN


def conv(w: OnnxWriter, node: Node, names: list[str]) -> list[str]:
    """`Ops.conv`, for a node that `pays`.

    The weights in the file stay Caffe's: operators transform them, which onnxruntime does once, when it opens the file.
    """
    made, height, columns = fixed(node.outputs[0].shape[1:])
    tiles = _tiles(height)
    products = _products(w, node, names)
    flat = w.op("Reshape", [products, w.integers([0, POINTS, made * tiles * columns])])
    phases = w.op("MatMul", [w.tensor(A.astype(np.float32), "A"), flat])
    rows = w.op("Reshape", [phases, w.integers([0, OUT, made * tiles, columns])])
    woven = w.op("Transpose", [rows], perm=[0, 2, 1, 3])
    shape = w.integers([0, made, OUT * tiles, columns])
    if height == OUT * tiles:
        return w.emit(node, "Reshape", [woven, shape])
    whole = w.op("Reshape", [woven, shape])  # and the last tile's rows below the map
    return w.emit(node, "Slice", [whole, *map(w.integers, ([0], [height], [2]))])


def _tiles(height: int) -> int:
    return -(-height // OUT)


def _products(w: OnnxWriter, node: Node, names: list[str]) -> str:
    """(G g) · (B d) of every tile, the six points' channels one behind the other: (N, 6·num_output, tiles, W).

    Six convolutions, not one of 6 groups: their weights are tensors that onnxruntime folds in half the time.
    """
    assert node.inputs[1] is not None
    (made, each, _, width), attrs, pad = fixed(node.inputs[1].shape), node.attrs, node.attrs["pads"][1]
    filters = w.op("Reshape", [names[1], w.integers([made, each, 1, TAPS * width])])
    results = []
    for point in range(POINTS):
        row = np.kron(G[point][:, None], np.eye(width)).astype(np.float32)
        weight = w.op("MatMul", [filters, w.tensor(row, "G")])
        bias = names[2:] if point == BIAS_POINT else []
        results.append(
            w.op("Conv", [_point(w, node, names[0], B[point]), weight, *bias], group=attrs["group"],
                 kernel_shape=[1, width], strides=[1, attrs["strides"][1]], dilations=[1, attrs["dilations"][1]],
                 pads=[0, pad, 0, pad])
        )  # fmt: skip
    return w.op("Concat", results, axis=1)


def _point(w: OnnxWriter, node: Node, x: str, point: np.ndarray) -> str:
    """A row of B times each tile of 6 rows: (N, C, tiles, W)."""
    assert node.inputs[0] is not None
    channels, rows = fixed(node.inputs[0].shape[1:3])
    pad, used = node.attrs["pads"][0], np.flatnonzero(point)
    first = min(int(used[0]), pad)  # without the zero tap, unless the window would then start inside of the map
    taps = point[first : used[-1] + 1]
    last = OUT * (_tiles(fixed(node.outputs[0].shape[2:3])[0]) - 1) - pad + first  # where the last window starts
    weight = np.broadcast_to(taps.astype(np.float32)[:, None], (channels, 1, len(taps), 1))
    return w.op(
        "Conv", [x, w.tensor(weight, "B")], group=channels, kernel_shape=[len(taps), 1], strides=[OUT, 1],
        pads=[pad - first, 0, max(0, last + len(taps) - rows), 0],
    )  # fmt: skip
