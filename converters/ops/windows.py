"""Primitives with a sliding window, N-dimensional: the layout is (batch, channels, *spatial)."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graph.dims import numel_at_one, static
from converters.graph.graph import Node, Value
from converters.ops.core import Recorder, ShapeMismatch, free, primitive

__all__ = ["Windows", "window_count"]

Ints = Sequence[int]


def window_count(length: int, kernel: int, stride: int, before: int, after: int, dilation: int = 1) -> int:
    """How many windows fit (floor).

    >>> window_count(224, 7, 2, 3, 3)
    112
    """
    return (length + before + after - (dilation * (kernel - 1) + 1)) // stride + 1


def _cost_of_conv(node: Node) -> int:
    weight = node.inputs[1]
    assert weight is not None
    return numel_at_one(node.outputs[0].shape) * numel_at_one(weight.shape[1:])


def _cost_of_conv_transpose(node: Node) -> int:
    x, weight = node.inputs[:2]
    assert x is not None and weight is not None
    return numel_at_one(x.shape) * numel_at_one(weight.shape[1:])


class Windows(Recorder):
    @primitive("continuous", _cost_of_conv)
    def conv(
        self,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        strides: Ints,
        pads: Ints,
        dilations: Ints,
        group: int = 1,
    ) -> Value:
        """Cross-correlation: x (N, C, *D), weight (O, C/group, *K), bias (O,); `pads` zeros on both sides."""
        spatial = [static(dim, "the image size is needed") for dim in x.shape[2:]]
        if static(x.shape[1]) != static(weight.shape[1]) * group:
            raise ShapeMismatch(f"{x.shape[1]} channels meet weights for {weight.shape[1]} x {group} group(s)")
        kernel = [static(k) for k in weight.shape[2:]]
        size = tuple(window_count(n, k, s, p, p, d) for n, k, s, p, d in zip(spatial, kernel, strides, pads, dilations))
        self._positive(size, f"a window of {kernel} on an image of {spatial} padded by {list(pads)}")
        attrs = {"strides": tuple(strides), "pads": tuple(pads), "dilations": tuple(dilations), "group": group}
        return self.record("conv", [x, weight, bias], [((x.shape[0], weight.shape[0], *size), x.dtype)], attrs)[0]

    @primitive("continuous", _cost_of_conv_transpose)
    def conv_transpose(
        self,
        x: Value,
        weight: Value,
        bias: Value | None = None,
        *,
        strides: Ints,
        pads: Ints,
        dilations: Ints,
        group: int = 1,
    ) -> Value:
        """The gradient of `conv`: x (N, C, *D), weight (C, O/group, *K); `pads` are cropped from both sides."""
        spatial = [static(dim, "the image size is needed") for dim in x.shape[2:]]
        if static(x.shape[1]) != static(weight.shape[0]):
            raise ShapeMismatch(f"{x.shape[1]} channels meet weights for {weight.shape[0]}")
        size = tuple(
            s * (n - 1) + d * (static(k) - 1) + 1 - 2 * p
            for n, k, s, p, d in zip(spatial, weight.shape[2:], strides, pads, dilations)
        )
        self._positive(size, f"a window of {list(weight.shape[2:])} cropped by {list(pads)}")
        attrs = {"strides": tuple(strides), "pads": tuple(pads), "dilations": tuple(dilations), "group": group}
        shape = (x.shape[0], static(weight.shape[1]) * group, *size)
        return self.record("conv_transpose", [x, weight, bias], [(shape, x.dtype)], attrs)[0]

    @primitive("continuous", free)
    def max_pool(self, x: Value, *, kernel: Ints, strides: Ints, pads: Sequence[tuple[int, int]]) -> Value:
        """The maximum of each window; `pads` (before, after) per axis are never seen."""
        return self._pool("max_pool", x, kernel, strides, pads, ["float32"])[0]

    @primitive("discrete", free)
    def max_pool_with_mask(
        self, x: Value, *, kernel: Ints, strides: Ints, pads: Sequence[tuple[int, int]]
    ) -> tuple[Value, Value]:
        """`max_pool` and, as int64, where in its plane each maximum was (row-major; the first of equals)."""
        values, mask = self._pool("max_pool_with_mask", x, kernel, strides, pads, ["float32", "int64"])
        return values, mask

    @primitive("continuous", free)
    def avg_pool(
        self, x: Value, *, kernel: Ints, strides: Ints, pads: Sequence[tuple[int, int]], count_pads: bool
    ) -> Value:
        """The mean of each window; `count_pads`: padding counts as zeros, else only what lies inside the tensor."""
        return self._pool("avg_pool", x, kernel, strides, pads, ["float32"], count_pads=count_pads)[0]

    def _pool(
        self,
        op: str,
        x: Value,
        kernel: Ints,
        strides: Ints,
        pads: Sequence[tuple[int, int]],
        dtypes: Sequence[str],
        **attrs: bool,
    ) -> tuple[Value, ...]:
        spatial = [static(dim, "the image size is needed") for dim in x.shape[2:]]
        size = tuple(window_count(n, k, s, a, b) for n, k, s, (a, b) in zip(spatial, kernel, strides, pads))
        self._positive(size, f"a window of {list(kernel)} on an image of {spatial}")
        shape = (*x.shape[:2], *size)
        attributes = {"kernel": tuple(kernel), "strides": tuple(strides), "pads": tuple(pads), **attrs}
        return self.record(op, [x], [(shape, dtype) for dtype in dtypes], attributes)

    @primitive("continuous", free)
    def resize_bilinear(self, x: Value, size: tuple[int, int]) -> Value:
        """(N, C, h, w) to another size, corners aligned."""
        if tuple(x.shape[2:]) == size:
            return x
        return self.one("resize_bilinear", [x], (*x.shape[:2], *size), size=size)

    @staticmethod
    def _positive(size: Ints, what: str) -> None:
        if min(size, default=1) < 1:
            raise ShapeMismatch(f"{what} leaves an output of {list(size)}")
