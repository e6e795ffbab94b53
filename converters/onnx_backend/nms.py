"""Non-maximum suppression: ONNX's own operator, or a Loop where the threshold falls (SSD's `eta`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper

from converters.graph.dims import static
from converters.graph.graph import Node

if TYPE_CHECKING:
    from converters.onnx_backend.writer import OnnxWriter

__all__ = ["nms"]


def nms(w: OnnxWriter, node: Node, names: list[str]) -> list[str]:
    """`Ops.nms`, whose scores fall along the boxes."""
    boxes, scores = names
    x = node.inputs[1]
    assert x is not None
    if node.attrs["eta"] < 1:
        return _adaptive(w, node, names)
    # By place, which falls as the score does: OpenCV takes no threshold below 0, and there are no equals to order.
    count = static(x.shape[1], "the number of boxes is needed")
    alive = w.op("Greater", [scores, w.scalar(float(np.finfo(np.float32).min))])
    ranks = w.tensor(np.arange(count, 0, -1, dtype=np.float32), "ranks")
    ranked = w.op("Unsqueeze", [w.op("Where", [alive, ranks, w.scalar(0.0)]), w.integers([1])])
    limits = (w.tensor(np.array([limit], np.float32), "limit") for limit in (node.attrs["iou_threshold"], 0.5))
    kept = w.op("NonMaxSuppression", [boxes, ranked, w.integers([np.iinfo(np.int64).max]), *limits])
    places = w.op("Gather", [kept, w.integers([0, 2])], axis=1)  # (image, class, box) → (image, box)
    ones = w.op("Expand", [w.scalar(1.0), w.op("Slice", [w.op("Shape", [kept]), *map(w.integers, ([0], [1], [0]))])])
    nothing = w.op("Expand", [w.scalar(0.0), w.op("Shape", [scores])])
    return w.emit(node, "Cast", [w.op("ScatterND", [nothing, places, ones])], to=w.element_type("bool"))


def _adaptive(w: OnnxWriter, node: Node, names: list[str]) -> list[str]:
    """With eta < 1: one candidate per turn, all rows together."""
    boxes, scores = names
    x = node.inputs[1]
    assert x is not None
    count = static(x.shape[1], "the number of boxes is needed")
    rows = w.op("ReduceMax", [scores], axes=[1], keepdims=1)
    nothing = w.op("Expand", [w.scalar(0.0), w.op("Shape", [scores])])
    limit = w.op("Expand", [w.scalar(node.attrs["iou_threshold"]), w.op("Shape", [rows])])
    body = _body(w, boxes, scores, count, node.attrs["eta"])
    kept, last = w.fresh("kept"), w.fresh("limit")
    w.add("Loop", [w.integers([count], scalar=True), "", nothing, limit], [kept, last], body=body)
    return w.emit(node, "Cast", [kept], to=w.element_type("bool"))


def _body(w: OnnxWriter, boxes: str, scores: str, count: int, eta: float) -> object:
    """The subgraph: (turn, condition, kept (B, P), limit (B, 1)) → (condition, kept, limit)."""
    first, second, third = (w.integers([i]) for i in (0, 2, 4))
    axis, ahead = w.integers([2]), w.integers([1])
    low, high = (w.op("Slice", [boxes, a, b, axis]) for a, b in ((first, second), (second, third)))
    area = w.op("ReduceProd", [w.op("Sub", [high, low])], axes=[2], keepdims=0)
    ranks = w.integers(list(range(count)))
    half, one, lowest = w.scalar(0.5), w.scalar(1.0), w.scalar(float(np.finfo(np.float32).min))
    turn, go, kept, limit = (w.fresh(name) for name in ("turn", "go", "kept_so_far", "limit_so_far"))
    outer, w.nodes = w.nodes, []

    def here(x: str) -> str:
        return w.op("Unsqueeze", [w.op("Gather", [x, turn], axis=1), ahead])

    sides = w.op("Sub", [w.op("Min", [high, here(high)]), w.op("Max", [low, here(low)])])
    inner = w.op("ReduceProd", [w.op("Relu", [sides])], axes=[2], keepdims=0)
    union = w.op("Sub", [w.op("Add", [here(area), area]), inner])
    rivals = w.op("And", [w.op("Greater", [w.op("Div", [inner, union]), limit]), w.op("Greater", [kept, half])])
    beaten = w.op("ReduceMax", [w.op("Cast", [rivals], to=TensorProto.FLOAT)], axes=[1], keepdims=1)
    alive = w.op("Greater", [here(scores), lowest])
    free = w.op("And", [alive, w.op("Less", [beaten, half])])
    kept_now = w.op("Where", [w.op("And", [w.op("Equal", [ranks, turn]), free]), one, kept])
    shrinks = w.op("And", [free, w.op("Greater", [limit, half])])
    limit_now = w.op("Where", [shrinks, w.op("Mul", [limit, w.scalar(eta)]), limit])
    go_on = w.op("Identity", [go])
    nodes, w.nodes = w.nodes, outer
    values = [(turn, TensorProto.INT64, ()), (go, TensorProto.BOOL, ()), (kept, 1, None), (limit, 1, None)]
    results = [(go_on, TensorProto.BOOL, ()), (kept_now, 1, None), (limit_now, 1, None)]
    inputs, outputs = ([helper.make_tensor_value_info(*value) for value in group] for group in (values, results))
    return helper.make_graph(nodes, f"{w.layer}/turn", inputs, outputs)
