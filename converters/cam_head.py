"""Finds the class activation mapping head of a net by its structure, and adds its outputs to an ONNX graph.

Two forms (Zhou et al., CVPR 2016, section 2): features → global average pooling → InnerProduct (→ Softmax), and
a convolution with one map per class → global average pooling (→ Softmax).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .dims import fixed, static
from .graph import Graph, Node, Value

if TYPE_CHECKING:
    from .onnx_writer import OnnxWriter

__all__ = ["CamHead", "add_cam_outputs", "find_cam_head"]

SHAPE_ONLY = {"reshape"}


@dataclass(frozen=True)
class CamHead:
    """What a class activation map is made of.

    Attributes:
        form: ``"gap-fc"`` or ``"conv-gap"``.
        features: (N, C, h, w): the last feature maps; in form conv-gap one map per class,
            whose mean is the score.
        weight: (classes, C) of the InnerProduct; None in form conv-gap.
        prob: (N, classes) probabilities, or scores where the net has no Softmax.
        classifier: the name of the layer that makes the scores.
        source: the name of the layer that makes the features.
    """

    form: str
    features: Value
    weight: Value | None
    prob: Value
    classifier: str
    source: str

    @property
    def classes(self) -> int:
        return static(self.prob.shape[1])


def find_cam_head(graph: Graph) -> CamHead | None:
    """The head that leads to one of the graph's outputs, or None; the last one where there are several."""
    heads = [_head_above(value) for value in graph.outputs.values()]
    found = [head for head in heads if head is not None]
    return found[-1] if found else None


def _head_above(output: Value) -> CamHead | None:
    node = _skip(output, SHAPE_ONLY | {"softmax"})
    if node is None:
        return None
    if node.op in ("linear", "conv"):
        return _classifier_after_average(node, output)
    if not _is_global_average(node):
        return None
    convolution = _skip(node.inputs[0], {"relu", "leaky_relu", "prelu"})
    if convolution is None or convolution.op != "conv":
        return None
    features = node.inputs[0]
    assert features is not None
    return CamHead("conv-gap", features, None, output, convolution.layer, convolution.layer)


def _classifier_after_average(node: Node, output: Value) -> CamHead | None:
    """InnerProduct, or its spelling as a 1x1 convolution of one pixel, on globally averaged features."""
    average, weight = _skip(node.inputs[0], SHAPE_ONLY), node.inputs[1]
    if average is None or not _is_global_average(average) or weight is None or weight.data is None:
        return None
    features = average.inputs[0]
    assert features is not None
    if weight.data.size != weight.data.shape[0] * static(features.shape[1]):
        return None
    matrix = weight if node.op == "linear" else replace(weight, shape=weight.shape[:2], data=weight.data[..., 0, 0])
    source = features.producer.layer if features.producer else features.name
    return CamHead("gap-fc", features, matrix, output, node.layer, source)


def _is_global_average(node: Node) -> bool:
    x = node.inputs[0] if node.inputs else None
    if x is None or len(x.shape) != 4:
        return False
    if node.op == "reduce_mean":
        return bool(node.attrs["axes"] == (2, 3))
    return node.op == "avg_pool" and tuple(node.attrs["kernel"]) == tuple(x.shape[2:]) and not _padded(node)


def _padded(node: Node) -> bool:
    return any(map(any, node.attrs["pads"]))


def _skip(value: Value | None, ops: set[str]) -> Node | None:
    while value is not None and value.producer is not None and value.producer.op in ops:
        value = value.producer.inputs[0]
    return None if value is None else value.producer


def add_cam_outputs(writer: OnnxWriter, head: CamHead, top_k: int) -> None:
    """Add `scores`, `classes` (N, k) and `cams` (N, k, h, w) = features · classifier weights: no bias, no ReLU.

    `k` is an initializer that is also an optional input, so that a caller may ask for more or fewer classes.
    """
    writer.layer = "cam"
    k = writer.initializer(np.asarray([min(top_k, head.classes)], np.int64), "k")
    rows = writer.name(head.prob)
    if len(head.prob.shape) != 2:
        rows = writer.op("Reshape", [rows, writer.integers([-1, head.classes])])
    writer.add("TopK", [rows, k], ["scores", "classes"], axis=1)
    features = writer.name(head.features)
    height, width = fixed(head.features.shape[2:])
    if head.weight is None:
        places = writer.op("Unsqueeze", ["classes", writer.integers([2])])
        writer.add("GatherND", [features, places], ["cams"], batch_dims=1)
        return
    rows = writer.op("Gather", [writer.name(head.weight), "classes"], axis=0)
    flat = writer.op("Reshape", [features, writer.integers([0, 0, -1])])  # (N, C, h·w)
    maps = writer.op("MatMul", [rows, flat])
    writer.add("Reshape", [maps, writer.integers([0, 0, height, width])], ["cams"])
