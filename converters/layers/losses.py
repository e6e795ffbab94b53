"""Caffe's losses and Accuracy: predictions beside their labels, as the forward pass of a TEST net reports them.

`loss_weight` does not change a loss's own value.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.graph.dims import numel, same, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
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


@dataclass
class Labelled:
    """Predictions (outer, classes, inner), labels (outer, 1, inner) int64, and which labels count (None: all).

    The label of a cell that does not count is 0: an ignored label may lie outside of the classes.
    """

    scores: Value
    labels: Value
    valid: Value | None

    def of_label(self, ops: Ops, scores: Value) -> Value:
        """The score of each cell's own label, (outer, 1, inner)."""
        return ops.take_along(scores, self.labels, 1)


def labelled(ops: Ops, view: LayerView, x: Value, label: Value, axis: int, ignore: int | None) -> Labelled:
    """`x` with its classes along `axis`, and the float labels of `label`, truncated as Caffe's cast does."""
    outer, inner = numel(x.shape[:axis]), numel(x.shape[axis + 1 :])
    if not same(numel(label.shape), outer * inner):
        raise view.error(
            f"predictions of shape {x.shape} with classes along axis {axis} need {outer * inner} labels; "
            f"the labels have shape {label.shape}"
        )
    labels = ops.cast(ops.reshape(label, (outer, 1, inner)), "int64")
    valid = None
    if ignore is not None:
        ignored = ops.equal(labels, ops.const(ignore))
        valid, labels = ops.logical_not(ignored), ops.where(ignored, ops.const(0), labels)
    return Labelled(ops.reshape(x, (outer, x.shape[axis], inner)), labels, valid)


def check_first_axis(view: LayerView, x: Value, y: Value) -> None:
    """What Caffe demands of every loss (loss_layer.cpp)."""
    if not x.shape or not y.shape or not same(x.shape[0], y.shape[0]):
        raise view.error(f"its bottoms have shapes {x.shape} and {y.shape}; their first axes must be equal")


def normalization(p: Params, default: str = "VALID") -> str:
    """The mode of `loss_param`, with the older `normalize` where only that is given."""
    if p.has("normalization"):
        p.has("normalize")  # it is overridden
        return str(p.normalization)
    if p.has("normalize"):
        return "VALID" if p.normalize else "BATCH_SIZE"
    return default


def normalized(ops: Ops, losses: Value, valid: Value | None, mode: str) -> Value:
    """The sum of (outer, 1, inner) losses over what `mode` counts (Caffe: LossLayer's get_normalizer), a scalar."""
    if mode not in ("FULL", "VALID", "BATCH_SIZE", "NONE"):
        raise ValueError(f"normalization {mode} is another fork's")
    everything = [0, 1, 2]
    if valid is not None:
        losses = ops.where(valid, losses, ops.const(np.float32(0)))
    if mode == "BATCH_SIZE":
        return ops.reduce("mean", ops.reduce("sum", losses, [1, 2], keepdims=False), [0], keepdims=False)
    if mode == "FULL" or (mode == "VALID" and valid is None):
        return ops.reduce("mean", losses, everything, keepdims=False)
    total = ops.reduce("sum", losses, everything, keepdims=False)
    if mode == "NONE" or valid is None:
        return total
    count = ops.reduce("sum", ops.cast(valid, "float32"), everything, keepdims=False)
    return ops.div(total, ops.maximum(count, ops.const(np.float32(1))))
