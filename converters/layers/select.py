"""Layers that choose or reduce elements: ArgMax, BatchReindex, Embed, Filter, Im2col and Reduction."""

from __future__ import annotations

import numpy as np

from converters.graph.dims import Dim, Shape, numel, same, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.layers.vision.convolution import dilation, spatial
from converters.ops import Ops


@layer("ArgMax")
def argmax(ops: Ops, view: LayerView, x: Value) -> Value:
    """places of the `top_k` largest along `axis`, or of each whole image; or their values (Caffe: argmax_layer.cpp)"""
    p = view.params("argmax_param")
    along = p.has("axis")
    axis = view.axis(p.axis, len(x.shape)) if along else 1
    rows = x if along else ops.flatten_from(x, 1)
    length = static(rows.shape[axis], "the number of candidates is needed")
    if not 1 <= p.top_k <= length:
        raise view.error(f"top_k {p.top_k} must lie between 1 and the {length} candidates")
    # Of equal values Caffe takes the last first (it sorts pairs of value and place), so the search runs backwards.
    values, places = ops.top_k(ops.slice(rows, axis, length - 1, -1, -1), p.top_k, axis)
    indices = ops.cast(ops.sub(ops.const(length - 1), places), "float32")
    if along:
        return values if p.out_max_val else indices
    tail = (1,) * (len(x.shape) - 3)
    parts = [ops.reshape(part, (x.shape[0], 1, p.top_k, *tail)) for part in (indices, values)]
    return ops.concat(parts if p.out_max_val else parts[:1], 1)


@layer("BatchReindex", bottoms=2)
def batch_reindex(ops: Ops, view: LayerView, x: Value, order: Value) -> Value:
    """the items of a batch in another order, given as numbers (Caffe: batch_reindex_layer.cpp)"""
    if len(order.shape) != 1 or not x.shape:
        raise view.error(f"the order has shape {order.shape}; one axis is needed")
    return ops.gather(x, ops.cast(order, "int64"), 0)


@layer("Embed")
def embed(ops: Ops, view: LayerView, x: Value) -> Value:
    """for each number the row of the weights that it names, plus the bias (Caffe: embed_layer.cpp)"""
    p = view.params("embed_param")
    if p.num_output < 1 or p.input_dim < 1:
        raise view.error(f"num_output {p.num_output} and input_dim {p.input_dim} must be positive", "give both")
    weight = view.blob(0, (p.input_dim, p.num_output), "weight")
    y = ops.gather(weight, ops.cast(x, "int64"), 0)
    return ops.add(y, view.blob(1, (p.num_output,), "bias")) if p.bias_term else y


@layer("Filter", bottoms=(2, None), tops=(1, None))
def filter_(ops: Ops, view: LayerView, *bottoms: Value) -> list[Value]:
    """the items of each bottom for which the last bottom is not 0 (Caffe: filter_layer.cpp)"""
    *blobs, selector = bottoms
    if len(view.tops) != len(blobs):
        raise view.error(f"it has {len(bottoms)} bottoms and {len(view.tops)} tops", f"give {len(blobs)} top(s)")
    if not selector.shape or not same(numel(selector.shape), selector.shape[0]):
        raise view.error(f"the selector has shape {selector.shape}; all but its first axis must have length 1")
    for x in blobs:
        if not x.shape or not same(x.shape[0], selector.shape[0]):
            raise view.error(f"a bottom of shape {x.shape} has not the selector's {selector.shape[0]} items")
    chosen = ops.nonzero(ops.reshape(selector, (selector.shape[0],)), "selected")
    return [ops.gather(x, chosen, 0) for x in blobs]


@layer("Im2col")
def im2col(ops: Ops, view: LayerView, x: Value) -> Value:
    """each window of a convolution as a column of channels (Caffe: im2col_layer.cpp)"""
    p = view.params("convolution_param")
    axis = view.axis(p.axis, len(x.shape))
    count = len(x.shape) - axis - 1
    if count < 1:
        raise view.error(f"axis {p.axis} of a blob with {len(x.shape)} axes leaves no spatial axis")
    kernel, strides = spatial(view, p, "kernel_size", count, None), spatial(view, p, "stride", count, 1)
    pads, dilations = spatial(view, p, "pad", count, 0), dilation(view, p, count)
    if min(*kernel, *strides, *dilations) < 1:
        raise view.error(f"kernel {kernel}, stride {strides}, dilation {dilations} must be positive")
    outer: Dim = numel(x.shape[:axis])
    y = ops.pad(ops.reshape(x, (outer, *x.shape[axis:])), [(pad, pad) for pad in pads])
    sizes = []
    for i in range(count):  # each spatial axis becomes two: the place in the window, and the window
        length, k, s, d = static(y.shape[2 + 2 * i]), kernel[i], strides[i], dilations[i]
        size = (length - d * (k - 1) - 1) // s + 1
        if size < 1:
            raise view.error(f"a window of {kernel} does not fit into {x.shape[axis + 1 :]} padded by {pads}")
        sizes.append(size)
        view.constant(k * size)
        y = ops.gather(y, ops.const(np.add.outer(np.arange(k) * d, np.arange(size) * s), "places"), 2 + 2 * i)
    order = [0, 1, *range(2, 2 + 2 * count, 2), *range(3, 3 + 2 * count, 2)]
    top: Shape = (*x.shape[:axis], static(x.shape[axis]) * int(np.prod(kernel)), *sizes)
    return ops.reshape(ops.transpose(y, order), top)


@layer("Reduction")
def reduction(ops: Ops, view: LayerView, x: Value) -> Value:
    """SUM, MEAN, ASUM or SUMSQ over all axes from `axis` on, times `coeff` (Caffe: reduction_layer.cpp)"""
    p = view.params("reduction_param")
    axes = range(view.axis(p.axis, len(x.shape)), len(x.shape))
    if p.operation == "ASUM":
        x = ops.abs(x)
    elif p.operation == "SUMSQ":
        x = ops.mul(x, x)
    y = ops.reduce("mean" if p.operation == "MEAN" else "sum", x, axes, keepdims=False)
    return ops.mul(y, ops.const(np.float32(p.coeff))) if p.coeff != 1 else y
