"""Primitives that move elements without changing them."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graph.dims import Dim, Shape, Sym, numel, same, static
from converters.graph.graph import Value
from converters.ops.core import Recorder, ShapeMismatch, broadcast, free, primitive

__all__ = ["Shaping"]


class Shaping(Recorder):
    @primitive("continuous", free)
    def reshape(self, x: Value, shape: Sequence[Dim]) -> Value:
        """The same elements, in row-major order, in another shape (all dimensions given)."""
        shape = tuple(shape)
        if shape == x.shape:
            return x
        if not same(numel(shape), numel(x.shape)):
            raise ShapeMismatch(f"{x.shape} has {numel(x.shape)} elements and {shape} has {numel(shape)}")
        return self.one("reshape", [x], shape, x.dtype, shape=shape)

    def flatten_from(self, x: Value, axis: int) -> Value:
        """All axes before `axis` as one, all from it on as another: a matrix."""
        return self.reshape(x, (numel(x.shape[:axis]), numel(x.shape[axis:])))

    def unsqueeze(self, x: Value, *axes: int) -> Value:
        """Insert axes of length 1 at these places of the result."""
        shape: list[Dim] = list(x.shape)
        for axis in sorted(axes):
            shape.insert(axis, 1)
        return self.reshape(x, shape)

    @primitive("continuous", free)
    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """Axis i of the result is axis order[i] of the operand."""
        order = tuple(order)
        if order == tuple(range(len(x.shape))):
            return x
        return self.one("transpose", [x], tuple(x.shape[i] for i in order), x.dtype, order=order)

    @primitive("continuous", free)
    def concat(self, xs: Sequence[Value], axis: int) -> Value:
        """Operands one after another along an axis; all other dimensions agree."""
        if len(xs) == 1:
            return xs[0]
        total: Dim = 0
        for x in xs:
            if len(x.shape) != len(xs[0].shape):
                raise ShapeMismatch(f"shapes {xs[0].shape} and {x.shape} differ in rank")
            for i, (a, b) in enumerate(zip(xs[0].shape, x.shape)):
                if i != axis and not same(a, b):
                    raise ShapeMismatch(f"shapes {xs[0].shape} and {x.shape} differ at axis {i}")
            total = total + x.shape[axis]
        shape = xs[0].shape[:axis] + (total,) + xs[0].shape[axis + 1 :]
        return self.one("concat", xs, shape, xs[0].dtype, axis=axis)

    @primitive("continuous", free)
    def slice(self, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
        """Elements start, start + step, … before `stop` along one axis (step may be −1: stop is then below start)."""
        length = len(range(start, stop, step))
        if not isinstance(x.shape[axis], Sym) and (start, stop, step) == (0, x.shape[axis], 1):
            return x
        shape = x.shape[:axis] + (length,) + x.shape[axis + 1 :]
        return self.one("slice", [x], shape, x.dtype, axis=axis, start=start, stop=stop, step=step)

    @primitive("continuous", free)
    def pad(self, x: Value, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Value:
        """`value` around the operand: (before, after) for the last len(pads) axes."""
        pads = tuple(pads)
        if not any(map(any, pads)):
            return x
        head = len(x.shape) - len(pads)
        tail = tuple(static(dim) + a + b for dim, (a, b) in zip(x.shape[head:], pads))
        return self.one("pad", [x], x.shape[:head] + tail, x.dtype, pads=pads, value=value)

    @primitive("continuous", free)
    def expand(self, x: Value, shape: Sequence[Dim]) -> Value:
        """Repeat axes of length 1 to the given shape."""
        shape = tuple(shape)
        if x.shape == shape:
            return x
        if broadcast(x.shape, shape) != shape:
            raise ShapeMismatch(f"{x.shape} cannot be expanded to {shape}")
        return self.one("expand", [x], shape, x.dtype, shape=shape)

    @primitive("continuous", free)
    def gather(self, x: Value, indices: Value, axis: int) -> Value:
        """x at int64 `indices` along an axis; the axis is replaced by the shape of the indices."""
        shape = x.shape[:axis] + indices.shape + x.shape[axis + 1 :]
        return self.one("gather", [x, indices], shape, x.dtype, axis=axis)

    @primitive("continuous", free)
    def take_along(self, x: Value, indices: Value, axis: int) -> Value:
        """Element [.., indices[.., i, ..], ..] at each place: `numpy.take_along_axis`."""
        return self.one("take_along", [x, indices], indices.shape, x.dtype, axis=axis)

    @primitive("continuous", free)
    def scatter_zeros(self, values: Value, indices: Value, length: int) -> Value:
        """(M, length) zeros with values (M, K) written at int64 indices (M, K) of each row; of equals the last wins."""
        return self.one("scatter_zeros", [values, indices], (values.shape[0], length), values.dtype, length=length)

    @primitive("continuous", free)
    def arange(self, length: Dim) -> Value:
        """0, 1, … length − 1 as int64."""
        return self.one("arange", [], (length,), "int64", length=length)

    @primitive("continuous", free, "full")
    def zeros(self, shape: Shape, value: float = 0.0) -> Value:
        """A float32 tensor of one value whose shape may be symbolic."""
        return self.one("full", [], tuple(shape), "float32", shape=tuple(shape), value=value)
