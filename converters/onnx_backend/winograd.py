"""Convolutions of height 3, 5 or 7 by Winograd's F(m, r) along the height: half the products, in plain operators.

onnxruntime has no Winograd convolution on a CPU. Minimal filtering (Winograd 1980; Lavin & Gray, "Fast Algorithms for
Convolutional Neural Networks", CVPR 2016) computes m outputs of an r-tap filter with m + r - 1 products instead of
m r: y = A [(G g) · (B d)]. Along one axis only, each of B's rows is a depthwise convolution of stride m, the products
convolutions of height 1, and A one thin matrix product: all of it runs in onnxruntime's fast forms. Measured per layer
of the CAM nets: 3e-7 to 1.1e-6 of the blob's maximum (a direct convolution: 2e-7), and 1.0 to 1.4 times the error of
the whole net. Along both axes it was 1.5e-6 with m = 4, and hardly faster.

There are 6, 7 or 8 products, whichever takes the fewest of them for the height. 9 would take a tenth fewer, but no
points that were tried keep a layer alone within 2e-6 (3e-6; 8: 1.7e-6). The points are those of the least measured
error (as Barabasz et al., "Error Analysis and Improving the Accuracy of Winograd Convolution", 2020) with `A` and `B`
exact in float32.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from converters.graph.dims import Sym, fixed
from converters.graph.graph import Node

if TYPE_CHECKING:
    from converters.onnx_backend.writer import OnnxWriter

__all__ = ["conv", "pays"]

TAPS = (3, 5, 7)
POINTS = {  # by the number of products; and infinity, as the last one
    6: (1, -1, 0, 1 / 2, -2),
    7: (1, -1, 1 / 4, -1 / 4, 7 / 4, -7 / 4),
    8: (1, -1, 0, 1 / 2, -1 / 2, 2, -2),
}
BIAS_POINT = 0  # A's column of ones: what is added to this product is added to every output

BLOCK = 16  # channels: onnxruntime's blocked layout takes multiples
# Measured on AVX-512 and two cores, in multiplications: what the transforms of one number cost, and the least gain of
# an image that outweighs a dozen more operators. Below the ratio, batches of 10 gain nothing.
TRANSFORM, LEAST_RATIO, LEAST_GAIN = 130, 1.2, 1.5e7


@cache
def matrices(rows: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, B and G of F(rows, taps) by Toom and Cook.

    Returns:
        With n = rows + taps - 1 products: A (rows, n), B (n, n) and G (n, taps), float64.

    >>> A, B, G = matrices(4, 3)
    >>> d, g = np.arange(6.0), np.array([1.0, 2.0, 4.0])
    >>> (A @ ((G @ g) * (B @ d))).round(9).tolist(), np.correlate(d, g).tolist()
    ([10.0, 17.0, 24.0, 31.0], [10.0, 17.0, 24.0, 31.0])
    """
    count = rows + taps - 1
    points, infinity = POINTS[count], np.eye(1, count, count - 1)
    a = np.vstack([np.vander(points, rows, increasing=True), infinity[:, -rows:]]).T
    g = np.vstack([np.vander(points, taps, increasing=True), infinity[:, -taps:]])
    b = np.zeros((count, count))
    for i, point in enumerate(points):
        others = [other for other in points if other != point]
        b[i, :-1] = np.poly(others)[::-1]
        g[i] /= np.prod(np.subtract(point, others))
    b[-1] = np.poly(points)[::-1]
    scale = 2.0 ** np.round(np.log2(abs(b).max(1, keepdims=True)))  # each product about as large as its inputs
    return a, b / scale, g * scale


def rows_of(height: int, taps: int) -> int:
    """The m of F(m, taps) with the fewest products for this height, the smaller one if equal.

    >>> [rows_of(height, 3) for height in (112, 56, 28, 14, 13, 7)]
    [6, 6, 6, 5, 5, 4]
    """
    able = (count - taps + 1 for count in POINTS if count > taps)
    return min(able, key=lambda rows: _tiles(height, rows) * (rows + taps - 1))


def _tiles(height: int, rows: int) -> int:
    return -(-height // rows)


def pays(node: Node) -> bool:
    """Whether a convolution is one that this form computes, and large enough to be faster for it."""
    x, weight, y, a = node.inputs[0], node.inputs[1], node.outputs[0], node.attrs
    if x is None or weight is None or weight.data is None or len(weight.shape) != 4 or weight.shape[2] not in TAPS:
        return False
    if a["strides"][0] != 1 or a["dilations"][0] != 1 or any(isinstance(n, Sym) for n in (*x.shape[1:], *y.shape[1:])):
        return False
    _, each, taps, width = weight.data.shape
    (channels, rows), (made, height, columns) = fixed(x.shape[1:3]), fixed(y.shape[1:])
    if each % BLOCK or (made // a["group"]) % BLOCK:
        return False
    m = rows_of(height, taps)
    saved = made * each * width * (taps * height - _tiles(height, m) * (m + taps - 1))
    spent = TRANSFORM * (channels * rows + made * height)
    return bool(saved >= LEAST_RATIO * spent) and (saved - spent) * columns >= LEAST_GAIN


def conv(w: OnnxWriter, node: Node, names: list[str]) -> list[str]:
    """`Ops.conv`, for a node that `pays`.

    The weights in the file stay Caffe's: operators transform them, which onnxruntime does once, when it opens the file.
    """
    assert node.inputs[1] is not None
    (made, height, columns), (taps, width) = fixed(node.outputs[0].shape[1:]), fixed(node.inputs[1].shape[2:])
    m, attrs = rows_of(height, taps), node.attrs
    (a, b, g), tiles = matrices(m, taps), _tiles(height, m)
    points, weights = _points(w, node, names[0], b, m, tiles), _weights(w, node, names[1], g)
    products = [
        w.op("Conv", [point, weight, *(names[2:] if i == BIAS_POINT else [])], group=attrs["group"],
             kernel_shape=[1, width], strides=[1, attrs["strides"][1]], dilations=[1, attrs["dilations"][1]])
        for i, (point, weight) in enumerate(zip(points, weights))
    ]  # fmt: skip
    flat = w.op("Reshape", [w.op("Concat", products, axis=1), w.integers([0, len(b), made * tiles * columns])])
    phases = w.op("MatMul", [w.tensor(a.astype(np.float32), "A"), flat])
    rows = w.op("Reshape", [phases, w.integers([0, m * made * tiles, columns])])
    # Row h of a channel is phase h % m of tile h // m; the last tile's rows below the map are left out.
    first = np.array([row % m * made * tiles + row // m for row in range(height)])
    channel = np.arange(0, made * tiles, tiles)[:, None]
    where = w.op("Add", [w.tensor(first, "rows"), w.tensor(channel, "channels")])
    return w.emit(node, "Gather", [rows, where], axis=1)


def _points(w: OnnxWriter, node: Node, x: str, b: np.ndarray, m: int, tiles: int) -> Iterator[str]:
    """B d: each row of B times each tile of m + r - 1 rows, with the padding to both sides: (N, C, tiles, W + 2 pad).

    Padded here, where it costs nothing: the products' rows are faster without edges, by an eighth for 14 columns.
    """
    assert node.inputs[0] is not None
    (channels, rows), (pad, side) = fixed(node.inputs[0].shape[1:3]), node.attrs["pads"]
    for row in b:
        used = np.flatnonzero(row)
        first = min(int(used[0]), pad)  # without the zero tap, unless the window would then start inside of the map
        taps = row[first : used[-1] + 1].astype(np.float32)
        last = m * (tiles - 1) - pad + first  # where the last window starts
        weight = np.broadcast_to(taps[:, None], (channels, 1, len(taps), 1))
        yield w.op(
            "Conv", [x, w.tensor(weight, "B")], group=channels, kernel_shape=[len(taps), 1], strides=[m, 1],
            pads=[pad - first, side, max(0, last + len(taps) - rows), side],
        )  # fmt: skip


def _weights(w: OnnxWriter, node: Node, weight: str, g: np.ndarray) -> Iterator[str]:
    """G g: the filters of each point, (num_output, C / group, 1, width).

    One by one, not as the groups of a single convolution: that ran 2 to 4 % faster, and opened 70 ms later (GoogLeNet).
    """
    assert node.inputs[1] is not None
    made, each, taps, width = fixed(node.inputs[1].shape)
    filters = w.op("Reshape", [weight, w.integers([made, each, 1, taps * width])])
    for row in g:
        matrix = np.kron(row[:, None], np.eye(width)).astype(np.float32)
        yield w.op("MatMul", [filters, w.tensor(matrix, "G")])
