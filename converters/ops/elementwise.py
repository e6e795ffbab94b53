"""Primitives that work element by element, along one axis, or as a matrix product."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.graph.dims import Dim, numel_at_one, same
from converters.graph.graph import Node, Value
from converters.ops.core import Kind, Recorder, ShapeMismatch, broadcast, free, primitive

__all__ = ["Elementwise"]


def _unary(name: str, kind: Kind) -> Callable[[Recorder, Value], Value]:
    """The method of a primitive of one operand and no attributes."""

    def record(ops: Recorder, x: Value) -> Value:
        return ops.one(name, [x], x.shape, x.dtype)

    return primitive(kind, free, name)(record)


def _binary(name: str, kind: Kind, dtype: str | None = None) -> Callable[[Recorder, Value, Value], Value]:
    """The method of a primitive of two operands and no attributes; its results have their own dtype or the first's."""

    def record(ops: Recorder, a: Value, b: Value) -> Value:
        return ops.one(name, [a, b], broadcast(a.shape, b.shape), dtype or a.dtype)

    return primitive(kind, free, name)(record)


def _cost_of_product(node: Node) -> int:
    x = node.inputs[0]
    assert x is not None
    return numel_at_one(node.outputs[0].shape) * numel_at_one(x.shape[-1:])


class Elementwise(Recorder):
    # One operand: the result has the operand's shape.

    relu = _unary("relu", "continuous")
    sigmoid = _unary("sigmoid", "continuous")
    tanh = _unary("tanh", "continuous")
    softplus = _unary("softplus", "continuous")
    """log(1 + exp(x)), without overflow."""
    exp = _unary("exp", "continuous")
    log = _unary("log", "continuous")
    sqrt = _unary("sqrt", "continuous")
    abs = _unary("abs", "continuous")
    neg = _unary("neg", "continuous")
    floor = _unary("floor", "discrete")
    ceil = _unary("ceil", "discrete")
    sign = _unary("sign", "discrete")
    logical_not = _unary("logical_not", "continuous")
    round_to_float32 = _unary("round_to_float32", "continuous")
    """x as Caffe holds it: where a rounding decides which pixel is meant, wider arithmetic must not differ."""

    @primitive("continuous", free)
    def leaky_relu(self, x: Value, alpha: float) -> Value:
        return self.one("leaky_relu", [x], x.shape, x.dtype, alpha=alpha)

    @primitive("continuous", free)
    def elu(self, x: Value, alpha: float) -> Value:
        return self.one("elu", [x], x.shape, x.dtype, alpha=alpha)

    @primitive("continuous", free)
    def clip(self, x: Value, low: float, high: float) -> Value:
        return self.one("clip", [x], x.shape, x.dtype, min=low, max=high)

    @primitive("continuous", free)
    def hard_sigmoid(self, x: Value, alpha: float, beta: float) -> Value:
        """clip(alpha·x + beta, 0, 1)."""
        return self.one("hard_sigmoid", [x], x.shape, x.dtype, alpha=alpha, beta=beta)

    @primitive("continuous", free)
    def cast(self, x: Value, dtype: str) -> Value:
        """To float32, float64, int64 (towards zero) or bool."""
        return x if x.dtype == dtype else self.one("cast", [x], x.shape, dtype, to=dtype)

    # Two or three operands: NumPy's broadcasting.

    add = _binary("add", "continuous")
    sub = _binary("sub", "continuous")
    mul = _binary("mul", "continuous")
    div = _binary("div", "continuous")
    """Division; of integers, towards minus infinity for the non-negative ones used here."""
    mod = _binary("mod", "continuous")
    """Remainder of integers, with the sign of the divisor."""
    pow = _binary("pow", "continuous")
    maximum = _binary("maximum", "continuous")
    minimum = _binary("minimum", "continuous")
    greater = _binary("greater", "discrete", "bool")
    greater_equal = _binary("greater_equal", "discrete", "bool")
    equal = _binary("equal", "discrete", "bool")
    logical_and = _binary("logical_and", "continuous", "bool")

    @primitive("continuous", free)
    def where(self, condition: Value, a: Value, b: Value) -> Value:
        return self.one("where", [condition, a, b], broadcast(condition.shape, a.shape, b.shape), a.dtype)

    # Along axes.

    @primitive("continuous", free)
    def prelu(self, x: Value, slope: Value) -> Value:
        """max(x, 0) + slope·min(x, 0); `slope` is (C,) for the channels at axis 1, or (1,) for all."""
        return self.one("prelu", [x, slope], x.shape)

    @primitive("continuous", free)
    def softmax(self, x: Value, axis: int) -> Value:
        return self.one("softmax", [x], x.shape, axis=axis)

    @primitive("continuous", free)
    def lrn(self, x: Value, size: int, alpha: float, beta: float, k: float) -> Value:
        """x / (k + alpha/size · Σ x²)^beta over `size` neighbouring channels."""
        return self.one("lrn", [x], x.shape, size=size, alpha=alpha, beta=beta, k=k)

    @primitive("continuous", free)
    def batch_norm(self, x: Value, mean: Value, variance: Value, epsilon: float) -> Value:
        """(x − mean) / sqrt(variance + epsilon), per channel at axis 1; x has 2 to 5 axes (PyTorch knows no more)."""
        return self.one("batch_norm", [x, mean, variance], x.shape, epsilon=epsilon)

    @primitive("continuous", free, "reduce_sum", "reduce_mean", "reduce_max", "reduce_min")
    def reduce(self, kind: str, x: Value, axes: Sequence[int], *, keepdims: bool = True) -> Value:
        """`kind`: sum, mean, max or min, over `axes` (not negative)."""
        axes = tuple(sorted(axes))
        shape: list[Dim] = [1 if i in axes else dim for i, dim in enumerate(x.shape)]
        if not keepdims:
            shape = [dim for i, dim in enumerate(x.shape) if i not in axes]
        return self.one(f"reduce_{kind}", [x], tuple(shape), x.dtype, axes=axes, keepdims=keepdims)

    @primitive("continuous", free)
    def cumsum(self, x: Value, axis: int) -> Value:
        return self.one("cumsum", [x], x.shape, x.dtype, axis=axis)

    @primitive("discrete", free)
    def top_k(self, x: Value, k: int, axis: int) -> tuple[Value, Value]:
        """The k largest along an axis, in descending order (the first of equals first), and their indices."""
        shape = x.shape[:axis] + (k,) + x.shape[axis + 1 :]
        values, indices = self.record("top_k", [x], [(shape, x.dtype), (shape, "int64")], {"k": k, "axis": axis})
        return values, indices

    # Matrix products.

    @primitive("continuous", _cost_of_product)
    def linear(self, x: Value, weight: Value, bias: Value | None = None) -> Value:
        """x · weightᵀ + bias; x (M, K), weight (O, K), bias (O,). See `lowering.mark_logits` for its one attribute."""
        if not same(x.shape[1], weight.shape[1]):
            raise ShapeMismatch(f"{x.shape[1]} features meet weights for {weight.shape[1]}")
        return self.one("linear", [x, weight, bias], (x.shape[0], weight.shape[0]))

    @primitive("continuous", _cost_of_product)
    def matmul(self, a: Value, b: Value) -> Value:
        """Batched matrix product over the last two axes."""
        if not same(a.shape[-1], b.shape[-2]):
            raise ShapeMismatch(f"matrices {a.shape} and {b.shape} do not fit each other")
        shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]) if len(a.shape) > 2 else None
        return self.one("matmul", [a, b], shape or (a.shape[0], b.shape[1]), a.dtype)
