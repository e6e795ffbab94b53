"""Layers that combine blobs with each other or with learned ones: InnerProduct, Eltwise, Scale, Bias."""

from __future__ import annotations

import numpy as np

from converters.graph.dims import Shape, numel, same, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops


@layer("InnerProduct")
def inner_product(ops: Ops, view: LayerView, x: Value) -> Value:
    """x flattened from `axis`, times the weights, plus the bias (Caffe: inner_product_layer.cpp)"""
    p = view.params("inner_product_param")
    axis = view.axis(p.axis, len(x.shape))
    features = static(numel(x.shape[axis:]), "the number of features is needed")
    if p.num_output < 1:
        raise view.error("num_output is missing or 0", "state how many outputs it makes")
    if p.transpose:
        stored = view.array(0, (features, p.num_output), "weight")
        weight = ops.const(stored.T, "weight", learned=True)
    else:
        weight = view.blob(0, (p.num_output, features), "weight")
    bias = view.blob(1, (p.num_output,), "bias") if p.bias_term else None
    y = ops.linear(ops.flatten_from(x, axis), weight, bias)
    return ops.reshape(y, (*x.shape[:axis], p.num_output))


@layer("Eltwise", bottoms=(2, None))
def eltwise(ops: Ops, view: LayerView, *bottoms: Value) -> Value:
    """PROD, SUM (with coefficients) or MAX of blobs of one shape (Caffe: eltwise_layer.cpp)"""
    p = view.params("eltwise_param")
    coefficients = tuple(p.coeff)
    if coefficients and p.operation == "PROD":
        raise view.error("coeff belongs to SUM, not to PROD", "remove it, or sum")
    if p.coeff_blob:
        raise view.error("coeff_blob takes the coefficients from a bottom", "use a Scale layer for that")
    if coefficients and len(coefficients) != len(bottoms):
        raise view.error(f"{len(coefficients)} coeff for {len(bottoms)} bottoms", "give one for each")
    for x in bottoms[1:]:
        if len(x.shape) != len(bottoms[0].shape) or not all(map(same, x.shape, bottoms[0].shape)):
            raise view.error(f"its bottoms have shapes {bottoms[0].shape} and {x.shape}; they must be equal")
    terms = list(bottoms)
    for i, factor in enumerate(coefficients):
        if factor != 1 and p.operation == "SUM":  # Caffe accepts them beside MAX, and does not read them
            terms[i] = ops.mul(terms[i], ops.const(np.float32(factor)))
    combine = {"SUM": ops.add, "PROD": ops.mul, "MAX": ops.maximum}[p.operation]
    result = terms[0]
    for term in terms[1:]:
        result = combine(result, term)
    return result


def _operand(ops: Ops, view: LayerView, p: Params, bottoms: tuple[Value, ...], name: str) -> Value:
    """The second bottom or blob 0, with axes of length 1 behind it until it broadcasts from `axis`."""
    x = bottoms[0]
    if len(bottoms) == 2:
        axis = 0 if not bottoms[1].shape else view.axis(p.axis, len(x.shape))
        operand = bottoms[1]
        covered: Shape = x.shape[axis : axis + len(operand.shape)]
        if len(covered) != len(operand.shape) or not all(map(same, covered, operand.shape)):
            raise view.error(f"the second bottom {operand.shape} does not fit the first {x.shape} from axis {axis}")
    else:
        first = p.axis  # read even where num_axes 0 makes it immaterial
        axis = 0 if p.num_axes == 0 else view.axis(first, len(x.shape))
        end = len(x.shape) if p.num_axes == -1 else axis + p.num_axes
        if p.num_axes < -1 or end > len(x.shape):
            raise view.error(f"axis {p.axis} with num_axes {p.num_axes} is outside of a blob with {len(x.shape)} axes")
        operand = view.blob(0, x.shape[axis:end], name)
    return _aligned(ops, operand, axis, len(x.shape))


def _aligned(ops: Ops, operand: Value, axis: int, rank: int) -> Value:
    shape = (*operand.shape, *(1,) * (rank - axis - len(operand.shape))) if operand.shape else ()
    if operand.data is not None:
        return ops.const(operand.data.reshape(shape), operand.name, learned=operand.learned)
    return ops.reshape(operand, shape)


@layer("Scale", bottoms=(1, 2))
def scale(ops: Ops, view: LayerView, *bottoms: Value) -> Value:
    """x times a learned or given blob broadcast from `axis`, plus a bias if `bias_term` (Caffe: scale_layer.cpp)"""
    p = view.params("scale_param")
    factor = _operand(ops, view, p, bottoms, "weight")
    y = ops.mul(bottoms[0], factor)
    if not p.bias_term:
        return y
    if len(bottoms) == 2:
        axis = view.axis(p.axis, len(y.shape)) if bottoms[1].shape else 0
        bias = view.blob(0, bottoms[1].shape, "bias")
        return ops.add(y, _aligned(ops, bias, axis, len(y.shape)))
    axis = 0 if p.num_axes == 0 else view.axis(p.axis, len(y.shape))
    end = len(y.shape) if p.num_axes == -1 else axis + p.num_axes
    return ops.add(y, _aligned(ops, view.blob(1, y.shape[axis:end], "bias"), axis, len(y.shape)))


@layer("Bias", bottoms=(1, 2))
def bias(ops: Ops, view: LayerView, *bottoms: Value) -> Value:
    """x plus a learned or given blob broadcast from `axis` (Caffe: bias_layer.cpp)"""
    return ops.add(bottoms[0], _operand(ops, view, view.params("bias_param"), bottoms, "bias"))


@layer("Axpy", bottoms=3)
def axpy(ops: Ops, view: LayerView, a: Value, x: Value, y: Value) -> Value:
    """a · x + y with one factor per image and channel (SENet's fork: axpy_layer.cpp)"""
    column = ops.reshape(a, (*a.shape[:2], *(1,) * (len(x.shape) - 2)))
    return ops.add(ops.mul(x, column), y)
