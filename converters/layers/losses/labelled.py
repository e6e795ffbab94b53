"""What Accuracy and the losses share: predictions beside their labels, and Caffe's ways to normalize a sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.graph.dims import numel, same
from converters.graph.graph import Value
from converters.layers.params import Params
from converters.layers.view import LayerView
from converters.ops import Ops

__all__ = ["Labelled", "check_first_axis", "labelled", "normalization", "normalized"]


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
