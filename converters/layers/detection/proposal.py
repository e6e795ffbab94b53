"""Proposal (py-faster-rcnn's rpn/proposal_layer.py; PVANet's proposal_layer.cpp): regions worth a second look."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converters.graph.dims import numel, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.ops import Ops

# Fields of other layers named Proposal, which mean something else by them.
FOREIGN = ("anchor_base_size", "anchor_scale", "anchor_ratio", "max_rois", "iou_threshold", "output_actual_rois_num")
# py-faster-rcnn's configuration in phase TEST, where the prototxt cannot say otherwise.
PRE_NMS, POST_NMS, NMS_THRESHOLD, MIN_SIZE, BASE_SIZE = 6000, 300, 0.7, 16, 16
# key: number, key: [numbers] or key: !!python/tuple [numbers], up to a comma, a new line or the end
ENTRY = re.compile(r"""['"]?(\w+)['"]?\s*:\s*(?:!!python/tuple\s*)?(\[[^\]]*\]|\([^)]*\)|[^,\s}]+)\s*(?:,|\n|$)\s*""")
Rounding = Callable[[Any], Any]


@dataclass(frozen=True)
class Settings:
    """What decides about the proposals; `anchors` are (A, 4) boxes around the first cell."""

    stride: int
    anchors: np.ndarray
    pre_nms: int
    post_nms: int
    nms_threshold: float
    min_size: float


@layer("Proposal", bottoms=3, tops=(1, 2))
def proposal(ops: Ops, view: LayerView, scores: Value, deltas: Value, info: Value) -> list[Value]:
    """the regions with the best scores that overlap least (PVANet's fork: proposal_layer.cpp)"""
    p = view.params("proposal_param")
    for name in FOREIGN:
        if p.has(name):
            raise view.error(
                f"{name} belongs to another fork's Proposal", "give ratio, scale, pre_nms_topn as PVANet does"
            )
    if not p.ratio or not p.scale:
        raise view.error("ratio and scale are missing", "state the anchors, e.g. ratio: 0.5 ratio: 1 ratio: 2 scale: 8")
    anchors = _anchors(p.base_size, p.ratio, p.scale, lambda x: np.floor(x + np.float32(0.5)))
    settings = Settings(p.feat_stride, anchors, p.pre_nms_topn, p.post_nms_topn, p.nms_thresh, p.min_size)
    rois, best = _propose(ops, view, settings, scores, deltas, info)
    return [rois, best][: len(view.tops)]


@layer("Python:rpn.proposal_layer.ProposalLayer", bottoms=3, tops=(1, 2), verified="by definition")
def python_proposal(ops: Ops, view: LayerView, scores: Value, deltas: Value, info: Value) -> list[Value]:
    """py-faster-rcnn's ProposalLayer with its TEST settings: 6000 before NMS at 0.7, 300 after, at least 16 pixels"""
    p = view.params("python_param")
    given = _param_str(view, p.param_str)
    unknown = sorted(set(given) - {"feat_stride", "scales", "ratios"})
    if unknown or "feat_stride" not in given:
        problem = f"unknown {', '.join(unknown)}" if unknown else "feat_stride is missing"
        raise view.error(f'param_str "{p.param_str}": {problem}', "it holds feat_stride, and perhaps scales and ratios")
    for name in ("module", "layer"):
        p.has(name)  # read already: they chose this function
    anchors = _anchors(BASE_SIZE, given.get("ratios", (0.5, 1, 2)), given.get("scales", (8, 16, 32)), np.round)
    settings = Settings(int(given["feat_stride"][0]), anchors, PRE_NMS, POST_NMS, NMS_THRESHOLD, MIN_SIZE)
    rois, best = _propose(ops, view, settings, scores, deltas, info)
    return [rois, ops.reshape(best, (best.shape[0], 1))][: len(view.tops)]


def _param_str(view: LayerView, text: str) -> dict[str, tuple[float, ...]]:
    """The few forms of YAML that occur: ``'feat_stride': 16``, ``{feat_stride: 16, scales: [8, 16]}``, one per line."""
    body, position = text.strip().strip("{}").strip(), 0
    given: dict[str, tuple[float, ...]] = {}
    while position < len(body):
        found = ENTRY.match(body, position)
        try:
            value = ast.literal_eval(found[2]) if found else None
        except (ValueError, SyntaxError):
            value = None
        numbers = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if found is None or not numbers or not all(isinstance(number, (int, float)) for number in numbers):
            raise view.error(f'param_str "{text}" is not understood from "{body[position:]}"', "e.g. 'feat_stride': 16")
        given[found[1]] = numbers
        position = found.end()
    return given


def _anchors(base: int, ratios: Sequence[float], scales: Sequence[float], rounding: Rounding) -> np.ndarray:
    """(ratios · scales, 4) boxes [x1 y1 x2 y2] about the centre of a base square, whole pixels inclusive."""
    boxes = []
    centre = np.float32(0.5 * (base - 1))
    for ratio in np.asarray(ratios, np.float32):
        width = rounding(np.sqrt(np.float32(base * base) / ratio))
        height = rounding(width * ratio)
        for scale in np.asarray(scales, np.float32):
            half = np.float32(0.5) * (np.stack([width, height]) * scale - 1)
            boxes.append(np.concatenate([centre - half, centre + half]))
    return np.asarray(boxes, np.float32)


def _propose(ops: Ops, view: LayerView, s: Settings, scores: Value, deltas: Value, info: Value) -> tuple[Value, Value]:
    """The regions (K, 5) [0 x1 y1 x2 y2] and their scores (K,)."""
    if static(scores.shape[0], "Proposal takes a single image") != 1:
        raise view.error(f"{scores.shape[0]} images; Proposal takes one at a time", "set the batch size to 1")
    kinds = len(s.anchors)
    height, width = (static(dim, "the size of the score map is needed") for dim in scores.shape[2:])
    view.constant(4 * kinds * height * width)
    if scores.shape[1] != 2 * kinds or tuple(deltas.shape) != (1, 4 * kinds, height, width):
        raise view.error(
            f"scores {scores.shape} and deltas {deltas.shape} do not fit {kinds} anchors per cell",
            f"(1, {2 * kinds}, H, W) and (1, {4 * kinds}, H, W) are expected",
        )
    total = height * width * kinds
    front = ops.reshape(ops.transpose(ops.slice(scores, 1, kinds, 2 * kinds), (0, 2, 3, 1)), (1, total))
    moves = ops.reshape(ops.transpose(deltas, (0, 2, 3, 1)), (total, 4))
    numbers = ops.reshape(info, (numel(info.shape),))
    boxes = _clipped(ops, _moved(ops, s, moves, height, width), numbers)
    large = _large(ops, s, boxes, numbers)
    front = ops.where(ops.reshape(large, (1, total)), front, ops.const(np.float32(-np.inf)))
    count = min(s.pre_nms, total) if s.pre_nms > 0 else total
    best, places = ops.top_k(front, count, 1)
    boxes = ops.gather(boxes, ops.reshape(places, (count,)), 0)
    # Pixels are inclusive here: one more on the right and below makes intervals of them.
    outer = ops.add(boxes, ops.const(np.array([0, 0, 1, 1], np.float32), "inclusive"))
    kept = ops.reshape(ops.nms(ops.unsqueeze(outer, 0), best, iou_threshold=s.nms_threshold), (count,))
    if 0 < s.post_nms < count:
        rank = ops.cumsum(ops.cast(kept, "int64"), 0)
        kept = ops.logical_and(kept, ops.greater_equal(ops.const(s.post_nms), rank))
    index = ops.nonzero(ops.cast(kept, "float32"), "rois")
    rois = ops.gather(ops.pad(boxes, [(1, 0)]), index, 0)
    return rois, ops.gather(ops.reshape(best, (count,)), index, 0)


def _moved(ops: Ops, s: Settings, moves: Value, height: int, width: int) -> Value:
    """Anchors at each cell, moved and stretched by the net: (H·W·A, 4)."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    shifts = np.stack([x, y, x, y], axis=-1).reshape(-1, 1, 4) * np.float32(s.stride)
    anchors = (shifts + s.anchors).reshape(-1, 4)
    size = anchors[:, 2:] - anchors[:, :2] + 1
    centre = ops.const(anchors[:, :2] + np.float32(0.5) * size, "centres")
    sizes = ops.const(size, "sizes")
    middle = ops.add(ops.mul(ops.slice(moves, 1, 0, 2), sizes), centre)
    reach = ops.mul(ops.mul(ops.exp(ops.slice(moves, 1, 2, 4)), sizes), ops.const(np.float32(0.5)))
    return ops.concat([ops.sub(middle, reach), ops.add(middle, reach)], 1)


def _clipped(ops: Ops, boxes: Value, info: Value) -> Value:
    """Boxes inside of the image whose height and width are the first two numbers of `info`."""
    edge = ops.sub(ops.concat([ops.slice(info, 0, 1, 2), ops.slice(info, 0, 0, 1)] * 2, 0), ops.const(np.float32(1)))
    return ops.maximum(ops.minimum(boxes, edge), ops.const(np.float32(0)))


def _large(ops: Ops, s: Settings, boxes: Value, info: Value) -> Value:
    """Which boxes have `min_size` pixels of the original picture on each side: (total,) bool."""
    size = ops.add(ops.sub(ops.slice(boxes, 1, 2, 4), ops.slice(boxes, 1, 0, 2)), ops.const(np.float32(1)))
    least = ops.mul(ops.slice(info, 0, 2, 3), ops.const(np.float32(s.min_size)))
    return ops.greater_equal(ops.reduce("min", size, (1,), keepdims=False), least)
