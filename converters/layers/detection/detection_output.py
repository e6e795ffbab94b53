"""DetectionOutput (SSD: detection_output_layer.cpp, bbox_util.cpp; RefineDet's with up to 5 bottoms).

The boxes that survive leave as rows [image, label, score, xmin, ymin, xmax, ymax], ordered by image, label, falling
score. How many they are is known only at run time, and where there are none each image gets a row of −1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.graph.dims import Dim, numel, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops

NEVER = np.float32(-np.inf)


@dataclass(frozen=True)
class DetectionOptions:
    """The layer's parameters, checked; `labels` are the classes besides the background."""

    classes: int
    labels: tuple[int, ...]
    share_location: bool
    code_type: str
    variance_encoded: bool
    threshold: float | None
    nms_threshold: float
    eta: float
    top_k: int
    keep_top_k: int


def _options(view: LayerView, p: Params) -> DetectionOptions:
    if not p.has("num_classes") or p.num_classes < 1:
        raise view.error("num_classes is missing or 0", "state how many classes there are, the background included")
    nms = p.nms_param
    old = not p.has("nms_param")  # before SSD had nms_param, both stood in the layer's own parameters
    nms_threshold = p.nms_threshold if old and p.has("nms_threshold") else nms.nms_threshold
    top_k = (p.top_k if p.has("top_k") else -1) if old else (nms.top_k if nms.has("top_k") else -1)
    if nms_threshold < 0:
        raise view.error(f"nms_threshold {nms_threshold} must not be negative")
    if not 0 < nms.eta <= 1:
        raise view.error(f"eta {nms.eta} must be above 0 and at most 1")
    labels = tuple(label for label in range(p.num_classes) if label != p.background_label_id)
    if not labels:
        raise view.error("its only class is the background", "set background_label_id: -1, or num_classes")
    return DetectionOptions(
        classes=p.num_classes,
        labels=labels,
        share_location=p.share_location,
        code_type=p.code_type,
        variance_encoded=p.variance_encoded_in_target,
        threshold=p.confidence_threshold if p.has("confidence_threshold") else None,
        nms_threshold=nms_threshold,
        eta=nms.eta,
        top_k=top_k,
        keep_top_k=p.keep_top_k,
    )


@layer("DetectionOutput", bottoms=(3, 5))
def detection_output(ops: Ops, view: LayerView, loc: Value, conf: Value, prior: Value, *arm: Value) -> Value:
    """boxes decoded from priors, the best of each class that overlap least (SSD: detection_output_layer.cpp)"""
    p = view.params("detection_output_param")
    options = _options(view, p)
    priors = _check(view, options, loc, conf, prior, arm)
    batch = loc.shape[0]
    means, variances = (
        ops.reshape(ops.slice(ops.slice(prior, 0, 0, 1), 1, i, i + 1), (1, priors, 1, 4)) for i in (0, 1)
    )
    if len(arm) == 2:  # RefineDet: the first stage moves the priors, the second starts from there
        means = _decode(ops, options, ops.reshape(arm[1], (batch, priors, 1, 4)), means, variances)
    boxes = _decode(ops, options, ops.reshape(loc, (batch, priors, _locations(options), 4)), means, variances)
    scores = ops.reshape(conf, (batch, priors, options.classes))
    if arm:
        scores = _objects_only(ops, scores, ops.reshape(arm[0], (batch, priors, 2)), p.objectness_score)
    if options.top_k == 0 or options.keep_top_k == 0:
        return ops.unsqueeze(_nothing(ops, batch), 0, 1)
    return ops.unsqueeze(_select(ops, options, boxes, scores), 0, 1)


def _locations(options: DetectionOptions) -> int:
    return 1 if options.share_location else options.classes


def _check(
    view: LayerView, options: DetectionOptions, loc: Value, conf: Value, prior: Value, arm: tuple[Value, ...]
) -> int:
    """The number of priors; an error where another bottom does not have as many."""
    if len(prior.shape) < 3 or prior.shape[1] != 2:
        raise view.error(f"the priors have shape {prior.shape}; (1, 2, 4 x priors) is expected")
    priors = static(prior.shape[2], "the number of priors is needed") // 4
    if len(arm) == 2 and not options.share_location:
        raise view.error("5 bottoms need share_location: true", "RefineDet's first stage has one location per prior")
    expected = [("locations", loc, 4 * _locations(options)), ("confidences", conf, options.classes)]
    expected += [
        (f"{name} of the first stage", x, per) for (name, per), x in zip((("scores", 2), ("locations", 4)), arm)
    ]
    for name, x, per in expected:
        if numel(x.shape[1:]) != priors * per:
            raise view.error(
                f"{name} {x.shape}: {priors} priors x {per} = {priors * per} per image are expected",
                "compare num_classes and share_location with the layers before",
            )
    return priors


def _decode(ops: Ops, options: DetectionOptions, loc: Value, prior: Value, variance: Value) -> Value:
    """Offsets (N, P, L, 4) and priors (1 or N, P, 1, 4) → boxes (N, P, L, 4) [xmin ymin xmax ymax]."""
    offset = loc if options.variance_encoded else ops.mul(variance, loc)
    if options.code_type == "CORNER":
        return ops.add(prior, offset)
    low, high = ops.slice(prior, 3, 0, 2), ops.slice(prior, 3, 2, 4)
    size = ops.sub(high, low)
    if options.code_type == "CORNER_SIZE":
        return ops.add(prior, ops.mul(offset, ops.concat([size, size], 3)))
    half = ops.const(np.float32(0.5))
    shift, grow = ops.slice(offset, 3, 0, 2), ops.slice(offset, 3, 2, 4)
    centre = ops.add(ops.mul(shift, size), ops.mul(ops.add(low, high), half))
    reach = ops.mul(ops.mul(ops.exp(grow), size), half)
    return ops.concat([ops.sub(centre, reach), ops.add(centre, reach)], 3)


def _objects_only(ops: Ops, scores: Value, first: Value, threshold: float) -> Value:
    """RefineDet: a prior that its first stage takes for background is class 0 with certainty."""
    unlikely = ops.greater(ops.const(np.float32(threshold)), ops.slice(first, 2, 1, 2))
    background = np.zeros((1, 1, static(scores.shape[2])), np.float32)
    background[..., 0] = 1
    return ops.where(unlikely, ops.const(background, "background"), scores)


def _select(ops: Ops, options: DetectionOptions, boxes: Value, scores: Value) -> Value:
    """Boxes (N, P, L, 4) and scores (N, P, C) → the rows (K, 7) that Caffe keeps."""
    batch, priors = boxes.shape[0], static(boxes.shape[1])
    labels = np.asarray(options.labels)
    if len(labels) < options.classes:
        scores = ops.gather(scores, ops.const(labels, "labels"), 2)
    scores = ops.transpose(scores, (0, 2, 1))
    if options.threshold is not None:
        likely = ops.greater(scores, ops.const(np.float32(options.threshold)))
        scores = ops.where(likely, scores, ops.const(NEVER))
    count = priors if options.top_k < 0 else min(options.top_k, priors)
    best, places = ops.top_k(scores, count, 2)
    image = ops.reshape(ops.arange(batch), (batch, 1, 1))
    label = ops.const(labels.reshape(1, -1, 1), "labels")
    row = ops.add(ops.mul(image, ops.const(priors)), places)
    if not options.share_location:
        row = ops.add(ops.mul(row, ops.const(options.classes)), label)
    boxes = ops.gather(ops.reshape(boxes, (numel(boxes.shape[:3]), 4)), row, 0)
    kept = _keep(ops, options, boxes, best)
    columns = [ops.expand(ops.cast(x, "float32"), best.shape) for x in (image, label)]
    table = ops.concat([*(ops.unsqueeze(x, 3) for x in (*columns, best)), boxes], 3)
    table = ops.concat([ops.reshape(table, (numel(best.shape), 7)), _nothing(ops, batch)], 0)
    total = ops.reshape(ops.reduce("max", kept, (0, 1)), (1,))
    none = ops.expand(ops.sub(ops.const(np.ones(1, np.float32)), total), (batch,))
    flags = ops.concat([ops.reshape(kept, (numel(best.shape),)), none], 0)
    return ops.gather(table, ops.nonzero(flags, "detections"), 0)


def _keep(ops: Ops, options: DetectionOptions, boxes: Value, best: Value) -> Value:
    """Which candidates (N, classes, k) stay, as (N, classes·k) of 1 and 0."""
    batch, classes, count = best.shape
    rows, each = numel((batch, classes)), static(numel((classes, count)))
    if options.code_type != "CENTER_SIZE":
        # A box turned inside out overlaps nothing in Caffe; onnxruntime would turn it back.
        low, high = ops.slice(boxes, 3, 0, 2), ops.slice(boxes, 3, 2, 4)
        boxes = ops.concat([low, ops.maximum(low, high)], 3)
    kept = ops.nms(
        ops.reshape(boxes, (rows, count, 4)),
        ops.reshape(best, (rows, count)),
        iou_threshold=options.nms_threshold,
        eta=options.eta,
    )
    kept = ops.reshape(kept, (batch, each))
    if not 0 < options.keep_top_k < each:
        return ops.cast(kept, "float32")
    scores = ops.where(kept, ops.reshape(best, (batch, each)), ops.const(NEVER))
    values, places = ops.top_k(scores, options.keep_top_k, 1)
    return ops.scatter_zeros(ops.cast(ops.greater(values, ops.const(NEVER)), "float32"), places, each)


def _nothing(ops: Ops, batch: Dim) -> Value:
    """Caffe's answer where no box is found: a row [image, −1, −1, …] for each image."""
    image = ops.cast(ops.reshape(ops.arange(batch), (batch, 1)), "float32")
    return ops.concat([image, ops.zeros((batch, 6), -1.0)], 1)
