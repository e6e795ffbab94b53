"""Caffe's losses, as the forward pass of a TEST net reports them. `loss_weight` does not change a loss's own value."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converters.graph.dims import numel, same, static
from converters.graph.graph import Value
from converters.layers.losses.labelled import Labelled, check_first_axis, labelled, normalization, normalized
from converters.layers.params import Params
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.ops import Ops
from prototxt.errors import WeightsError

TINY = float(np.finfo(np.float32).tiny)  # FLT_MIN
LOG_THRESHOLD = 1e-20  # Caffe's kLOG_THRESHOLD


def _ignored(p: Params) -> int | None:
    return int(p.ignore_label) if p.has("ignore_label") else None


def _tops(view: LayerView, *tops: Value) -> list[Value]:
    """As many as the layer declares: Caffe makes up a top for a loss that has none."""
    return list(tops[: len(view.tops)])


def _minus_log(ops: Ops, probability: Value, least: float) -> Value:
    return ops.neg(ops.log(ops.maximum(probability, ops.const(np.float32(least)))))


@layer("SoftmaxWithLoss", bottoms=2, tops=(0, 2))
def softmax_with_loss(ops: Ops, view: LayerView, x: Value, label: Value) -> list[Value]:
    """−log of the softmax at the label, normalized; a second top is the softmax (Caffe: softmax_loss_layer.cpp)"""
    check_first_axis(view, x, label)
    p, axis = view.params("loss_param"), view.axis(view.params("softmax_param").axis, len(x.shape))
    cells = labelled(ops, view, x, label, axis, _ignored(p))
    probability = ops.softmax(x, axis)
    chosen = cells.of_label(ops, ops.reshape(probability, cells.scores.shape))
    losses = _minus_log(ops, chosen, TINY)
    if p.weight_by_label_freqs:
        losses = ops.mul(losses, _class_weights(ops, view, p, cells))
    return _tops(view, normalized(ops, losses, cells.valid, normalization(p)), probability)


def _class_weights(ops: Ops, view: LayerView, p: Params, cells: Labelled) -> Value:
    """SegNet's factor of each label."""
    weights, classes = p.class_weighting, static(cells.scores.shape[1], "the number of classes is needed")
    if len(weights) != classes:
        raise view.error(f"{len(weights)} class_weighting for {classes} classes", "give one for each")
    table = ops.const(np.float32(weights), "class_weighting")
    return ops.gather(table, cells.labels, 0)


@layer("MultinomialLogisticLoss", bottoms=2, tops=(0, 1))
def multinomial_logistic_loss(ops: Ops, view: LayerView, x: Value, label: Value) -> list[Value]:
    """−log of the given probability of the label, averaged (Caffe: multinomial_logistic_loss_layer.cpp)"""
    check_first_axis(view, x, label)
    cells = labelled(ops, view, ops.flatten_from(x, 1), label, 1, None)
    return _tops(view, normalized(ops, _minus_log(ops, cells.of_label(ops, cells.scores), LOG_THRESHOLD), None, "FULL"))


@layer("InfogainLoss", bottoms=(2, 3), tops=(0, 2), verified="by definition")
def infogain_loss(ops: Ops, view: LayerView, x: Value, label: Value, *given: Value) -> list[Value]:
    """−Σ H[label, l] · log softmax_l with H from a file or a third bottom (Caffe: infogain_loss_layer.cpp)"""
    check_first_axis(view, x, label)
    p, axis = view.params("loss_param"), view.axis(view.params("infogain_loss_param").axis, len(x.shape))
    view.params("softmax_param")  # its axis is overridden
    if p.has("normalize"):
        raise view.error("normalize is given, which InfogainLoss refuses", "use normalization")
    cells = labelled(ops, view, x, label, axis, _ignored(p))
    classes = static(x.shape[axis], "the number of classes is needed")
    if given:
        if not same(numel(given[0].shape), classes * classes):
            raise view.error(f"the third bottom has shape {given[0].shape}; H needs {classes} x {classes} numbers")
        gains = ops.reshape(given[0], (classes, classes))
    else:
        gains = ops.const(_gains(view, classes), "H")
    probability = ops.softmax(x, axis)
    logs = _minus_log(ops, ops.reshape(probability, cells.scores.shape), LOG_THRESHOLD)
    outer, _, inner = cells.labels.shape
    rows = ops.gather(gains, ops.reshape(cells.labels, (outer, inner)), 0)  # (outer, inner, classes)
    losses = ops.reduce("sum", ops.mul(ops.transpose(rows, (0, 2, 1)), logs), [1])
    return _tops(view, normalized(ops, losses, cells.valid, normalization(p)), probability)


def _gains(view: LayerView, classes: int) -> np.ndarray:
    """H from `source`, a binaryproto: relative to the working folder, as in Caffe, or else to the prototxt."""
    from weights.files.blob import read_blob
    from weights.files.wire import WireError

    source = view.params("infogain_loss_param").source
    if not source:
        raise view.error("H is missing", "give infogain_loss_param { source } or a third bottom")
    places = [Path(source), Path(view.layer.source).parent / source]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise view.error(f'there is no file "{source}"', "put it into the working folder or beside the prototxt")
    try:
        data = memoryview(path.read_bytes())
        gains = read_blob(data, 0, len(data))
    except (WireError, OSError) as error:
        raise WeightsError(f"it holds no blob ({error})", where=str(path), remedy="give H as a binaryproto") from error
    if gains.size != classes * classes:
        raise view.error(f'"{path}" has shape {gains.shape}; H needs {classes} x {classes} numbers')
    return gains.reshape(classes, classes).astype(np.float32)


@layer("EuclideanLoss", bottoms=2, tops=(0, 1))
def euclidean_loss(ops: Ops, view: LayerView, x: Value, target: Value) -> list[Value]:
    """Σ (x − target)² / 2N (Caffe: euclidean_loss_layer.cpp)"""
    check_first_axis(view, x, target)
    if not same(numel(x.shape[1:]), numel(target.shape[1:])):
        raise view.error(f"its bottoms have shapes {x.shape} and {target.shape}; they must have as many numbers")
    difference = ops.sub(ops.flatten_from(x, 1), ops.flatten_from(target, 1))
    squares = ops.reduce("sum", ops.mul(difference, difference), [1], keepdims=False)
    return _tops(view, _half_mean(ops, squares))


def _half_mean(ops: Ops, values: Value) -> Value:
    return ops.mul(ops.reduce("mean", values, [0], keepdims=False), ops.const(np.float32(0.5)))


@layer("HingeLoss", bottoms=2, tops=(0, 1))
def hinge_loss(ops: Ops, view: LayerView, x: Value, label: Value) -> list[Value]:
    """Σ max(0, 1 ± x), − at the label, or Σ of the squares (L2), over N (Caffe: hinge_loss_layer.cpp)"""
    check_first_axis(view, x, label)
    cells = labelled(ops, view, ops.flatten_from(x, 1), label, 1, None)
    classes = np.arange(static(cells.scores.shape[1], "the number of classes is needed")).reshape(1, -1, 1)
    own = ops.equal(cells.labels, ops.const(classes, "classes"))
    signed = ops.where(own, ops.neg(cells.scores), cells.scores)
    margins = ops.relu(ops.add(signed, ops.const(np.float32(1))))
    if view.params("hinge_loss_param").norm == "L2":
        margins = ops.mul(margins, margins)
    return _tops(view, normalized(ops, ops.reduce("sum", margins, [1]), None, "FULL"))


@layer("SigmoidCrossEntropyLoss", bottoms=2, tops=(0, 1))
def sigmoid_cross_entropy_loss(ops: Ops, view: LayerView, x: Value, target: Value) -> list[Value]:
    """cross-entropy of sigmoid(x) and the target, over N by default (Caffe: sigmoid_cross_entropy_loss_layer.cpp)"""
    check_first_axis(view, x, target)
    p = view.params("loss_param")
    if not same(numel(x.shape), numel(target.shape)):
        raise view.error(f"its bottoms have shapes {x.shape} and {target.shape}; they must have as many numbers")
    rows = (x.shape[0], 1, numel(x.shape[1:]))
    x, target = ops.reshape(x, rows), ops.reshape(target, rows)
    positive = ops.cast(ops.greater_equal(x, ops.const(np.float32(0))), "float32")
    losses = ops.add(ops.mul(x, ops.sub(positive, target)), ops.softplus(ops.neg(ops.abs(x))))
    ignore, valid = _ignored(p), None
    if ignore is not None:
        valid = ops.logical_not(ops.equal(ops.cast(target, "int64"), ops.const(ignore)))
    return _tops(view, normalized(ops, losses, valid, normalization(p, "BATCH_SIZE")))


@layer("ContrastiveLoss", bottoms=3, tops=(0, 1))
def contrastive_loss(ops: Ops, view: LayerView, a: Value, b: Value, similar: Value) -> list[Value]:
    """½ mean of d² where similar, else of max(margin − d, 0)² (Caffe: contrastive_loss_layer.cpp)

    The `legacy_version` has max(margin − d², 0) instead of the latter.
    """
    check_first_axis(view, a, b)
    check_first_axis(view, a, similar)
    if not same(numel(a.shape[1:]), numel(b.shape[1:])) or len(a.shape) < 2 or not same(numel(a.shape[2:]), 1):
        raise view.error(f"the pairs have shapes {a.shape} and {b.shape}; both must be (N, channels)")
    if not same(numel(similar.shape[1:]), 1):
        raise view.error(f"the similarities have shape {similar.shape}; one per pair is needed")
    p = view.params("contrastive_loss_param")
    difference = ops.sub(ops.flatten_from(a, 1), ops.flatten_from(b, 1))
    squared = ops.reduce("sum", ops.mul(difference, difference), [1], keepdims=False)
    margin = ops.const(np.float32(p.margin))
    if p.legacy_version:
        apart = ops.relu(ops.sub(margin, squared))
    else:
        distance = ops.relu(ops.sub(margin, ops.sqrt(squared)))
        apart = ops.mul(distance, distance)
    flags = ops.cast(ops.cast(ops.reshape(similar, (similar.shape[0],)), "int64"), "bool")
    return _tops(view, _half_mean(ops, ops.where(flags, squared, apart)))
