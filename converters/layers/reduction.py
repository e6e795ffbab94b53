"""Reduction and Accuracy: many numbers into few."""

from __future__ import annotations

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Value
from converters.layers.losses.labelled import labelled
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.ops import Ops


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


@layer("Accuracy", bottoms=2, tops=(1, 2))
def accuracy(ops: Ops, view: LayerView, x: Value, label: Value) -> list[Value]:
    """share of labels among the `top_k` best; a second top has it per class (Caffe: accuracy_layer.cpp)"""
    p = view.params("accuracy_param")
    axis = view.axis(p.axis, len(x.shape))
    classes = static(x.shape[axis], "the number of classes is needed")
    if not 1 <= p.top_k <= classes:
        raise view.error(f"top_k {p.top_k} must lie between 1 and the {classes} classes")
    cells = labelled(ops, view, x, label, axis, p.ignore_label if p.has("ignore_label") else None)
    # A class that scores as high as the label's counts as better, and the label itself is among these.
    rivals = ops.greater_equal(cells.scores, cells.of_label(ops, cells.scores))
    rank = ops.reduce("sum", ops.cast(rivals, "float32"), [1])
    right = ops.greater(ops.const(np.float32(p.top_k + 0.5)), rank)
    if cells.valid is not None:
        right = ops.logical_and(right, cells.valid)
    hits, everything = ops.cast(right, "float32"), [0, 1, 2]
    if cells.valid is None:
        tops = [ops.reduce("mean", hits, everything, keepdims=False)]
    else:
        tops = [_share(ops, hits, ops.cast(cells.valid, "float32"), everything)]
    if len(view.tops) > 1:
        own = ops.equal(cells.labels, ops.const(np.arange(classes).reshape(1, classes, 1), "classes"))
        own = own if cells.valid is None else ops.logical_and(own, cells.valid)
        count = ops.cast(own, "float32")
        tops.append(_share(ops, ops.mul(count, hits), count, [0, 2]))
    return tops


def _share(ops: Ops, hits: Value, count: Value, axes: list[int]) -> Value:
    """Σ hits / Σ count, 0 where nothing was counted."""
    total, counted = (ops.reduce("sum", x, axes, keepdims=False) for x in (hits, count))
    return ops.div(total, ops.maximum(counted, ops.const(np.float32(1))))
