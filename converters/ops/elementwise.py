"""Primitives that work element by element, along one axis, or as a matrix product."""

from __future__ import annotations

from collections.abc import Sequence

from converters.graph.dims import Dim, same
from converters.graph.graph import Value
from converters.ops.core import Recorder, ShapeMismatch, broadcast

__all__ = ["Elementwise"]


class Elementwise(Recorder):
    # One operand: the result has the operand's shape.

    def unary(self, kind: str, x: Value, **attrs: float) -> Value:
        return self.one(kind, [x], x.shape, x.dtype, **attrs)

    def relu(self, x: Value) -> Value:
        return self.unary("relu", x)

    def leaky_relu(self, x: Value, alpha: float) -> Value:
        return self.unary("leaky_relu", x, alpha=alpha)

    def elu(self, x: Value, alpha: float) -> Value:
        return self.unary("elu", x, alpha=alpha)

    def sigmoid(self, x: Value) -> Value:
        return self.unary("sigmoid", x)

    def tanh(self, x: Value) -> Value:
        return self.unary("tanh", x)

    def softplus(self, x: Value) -> Value:
        """log(1 + exp(x)), without overflow."""
        return self.unary("softplus", x)

    def exp(self, x: Value) -> Value:
        return self.unary("exp", x)

    def log(self, x: Value) -> Value:
        return self.unary("log", x)

    def sqrt(self, x: Value) -> Value:
        return self.unary("sqrt", x)

    def abs(self, x: Value) -> Value:
        return self.unary("abs", x)

    def neg(self, x: Value) -> Value:
        return self.unary("neg", x)

    def floor(self, x: Value) -> Value:
        return self.unary("floor", x)

    def ceil(self, x: Value) -> Value:
        return self.unary("ceil", x)

    def sign(self, x: Value) -> Value:
        return self.unary("sign", x)

    def clip(self, x: Value, low: float, high: float) -> Value:
        return self.unary("clip", x, min=low, max=high)

    def hard_sigmoid(self, x: Value, alpha: float, beta: float) -> Value:
        """clip(alpha·x + beta, 0, 1)."""
        return self.unary("hard_sigmoid", x, alpha=alpha, beta=beta)

    def cast(self, x: Value, dtype: str) -> Value:
        """To float32, float64, int64 (towards zero) or bool."""
        return x if x.dtype == dtype else self.one("cast", [x], x.shape, dtype, to=dtype)

    def round_to_float32(self, x: Value) -> Value:
        """x as Caffe holds it: where a rounding decides which pixel is meant, wider arithmetic must not differ."""
        return self.unary("round_to_float32", x)

    def logical_not(self, x: Value) -> Value:
        return self.unary("logical_not", x)

    # Two or three operands: NumPy's broadcasting.

    def binary(self, kind: str, a: Value, b: Value, dtype: str | None = None) -> Value:
        return self.one(kind, [a, b], broadcast(a.shape, b.shape), dtype or a.dtype)

    def add(self, a: Value, b: Value) -> Value:
        return self.binary("add", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self.binary("sub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self.binary("mul", a, b)

    def div(self, a: Value, b: Value) -> Value:
        """Division; of integers, towards minus infinity for the non-negative ones used here."""
        return self.binary("div", a, b)

    def mod(self, a: Value, b: Value) -> Value:
        """Remainder of integers, with the sign of the divisor."""
        return self.binary("mod", a, b)

    def pow(self, a: Value, b: Value) -> Value:
        return self.binary("pow", a, b)

    def maximum(self, a: Value, b: Value) -> Value:
        return self.binary("maximum", a, b)

    def minimum(self, a: Value, b: Value) -> Value:
        return self.binary("minimum", a, b)

    def greater(self, a: Value, b: Value) -> Value:
        return self.binary("greater", a, b, "bool")

    def greater_equal(self, a: Value, b: Value) -> Value:
        return self.binary("greater_equal", a, b, "bool")

    def equal(self, a: Value, b: Value) -> Value:
        return self.binary("equal", a, b, "bool")

    def logical_and(self, a: Value, b: Value) -> Value:
        return self.binary("logical_and", a, b, "bool")

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        return self.one("where", [condition, a, b], broadcast(condition.shape, a.shape, b.shape), a.dtype)

    # Along axes.

    def prelu(self, x: Value, slope: Value) -> Value:
        """max(x, 0) + slope·min(x, 0); `slope` is (C,) for the channels at axis 1, or (1,) for all."""
        return self.one("prelu", [x, slope], x.shape)

    def softmax(self, x: Value, axis: int) -> Value:
        return self.one("softmax", [x], x.shape, axis=axis)

    def lrn(self, x: Value, size: int, alpha: float, beta: float, k: float) -> Value:
        """x / (k + alpha/size · Σ x²)^beta over `size` neighbouring channels."""
        return self.one("lrn", [x], x.shape, size=size, alpha=alpha, beta=beta, k=k)

    def batch_norm(self, x: Value, mean: Value, variance: Value, epsilon: float) -> Value:
        """(x − mean) / sqrt(variance + epsilon), per channel at axis 1; x has 2 to 5 axes (PyTorch knows no more)."""
        return self.one("batch_norm", [x, mean, variance], x.shape, epsilon=epsilon)

    def reduce(self, kind: str, x: Value, axes: Sequence[int], *, keepdims: bool = True) -> Value:
        """`kind`: sum, mean, max or min, over `axes` (not negative)."""
        axes = tuple(sorted(axes))
        shape: list[Dim] = [1 if i in axes else dim for i, dim in enumerate(x.shape)]
        if not keepdims:
            shape = [dim for i, dim in enumerate(x.shape) if i not in axes]
        return self.one(f"reduce_{kind}", [x], tuple(shape), x.dtype, axes=axes, keepdims=keepdims)

    def cumsum(self, x: Value, axis: int) -> Value:
        return self.one("cumsum", [x], x.shape, x.dtype, axis=axis)

    def top_k(self, x: Value, k: int, axis: int) -> tuple[Value, Value]:
        """The k largest along an axis, in descending order (the first of equals first), and their indices."""
        shape = x.shape[:axis] + (k,) + x.shape[axis + 1 :]
        values, indices = self.record("top_k", [x], [(shape, x.dtype), (shape, "int64")], {"k": k, "axis": axis})
        return values, indices

    # Matrix products.

    def linear(self, x: Value, weight: Value, bias: Value | None = None) -> Value:
        """x · weightᵀ + bias; x (M, K), weight (O, K), bias (O,). See `lowering.mark_logits` for its one attribute."""
        if not same(x.shape[1], weight.shape[1]):
            raise ShapeMismatch(f"{x.shape[1]} features meet weights for {weight.shape[1]}")
        return self.one("linear", [x, weight, bias], (x.shape[0], weight.shape[0]))

    def matmul(self, a: Value, b: Value) -> Value:
        """Batched matrix product over the last two axes."""
        if not same(a.shape[-1], b.shape[-2]):
            raise ShapeMismatch(f"matrices {a.shape} and {b.shape} do not fit each other")
        shape = (*broadcast(a.shape[:-2], b.shape[:-2]), a.shape[-2], b.shape[-1]) if len(a.shape) > 2 else None
        return self.one("matmul", [a, b], shape or (a.shape[0], b.shape[1]), a.dtype)
