"""Finds the class activation mapping head of a net by its structure, and says what its maps are.

Two forms (Zhou et al., CVPR 2016, section 2): features → global average pooling → InnerProduct (→ Softmax), and
a convolution with one map per class → global average pooling (→ Softmax). Whatever stands between the pooling and the
scores may be there as long as it is linear, for then a weighted sum of the features still adds up to each score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from converters.graph.dims import Shape, Sym, fixed, same, static
from converters.graph.graph import Graph, Node, Symbol, Value
from converters.numpy_backend.net import NumpyNet

__all__ = ["CamHead", "class_maps", "find_cam_head", "why_no_head"]

MONOTONE = {"reshape", "softmax", "sigmoid"}  # from scores to what the net returns: the ranking stays
AFFINE = {
    "add", "avg_pool", "batch_norm", "conv", "conv_transpose", "div", "linear", "matmul", "mul", "neg", "reshape",
    "slice", "sub",
}  # fmt: skip
CLASSIFIERS = {"conv", "conv_transpose", "linear", "matmul"}
# What may stand between a convolution with one map per class and the pooling: channels stay what they are.
PER_CHANNEL = {"add", "batch_norm", "clip", "div", "elu", "leaky_relu", "lrn", "mul", "prelu", "relu", "sigmoid", "sub"}
POINT = (1, 1)


@dataclass(frozen=True)
class CamHead:
    """What a class activation map is made of.

    Attributes:
        form: ``"gap-fc"`` or ``"conv-gap"``.
        features: (N, C, h, w): the last feature maps; in form conv-gap one map per class,
            whose mean is the score.
        weight: (classes, C): the InnerProduct's, or the product of all that is linear behind the pooling;
            None in form conv-gap.
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


def class_maps(head: CamHead, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The maps of these classes: features · classifier weights, no bias, no ReLU (CVPR 2016, equation 2).

    Args:
        head: the head, its weights as they were read.
        features: (N, C, h, w), the values of `head.features`.
        classes: (N, k), which classes of each picture.

    Returns: float64 (N, k, h, w).
    """
    features = features.astype(np.float64)
    if head.weight is None:
        return np.asarray(features[np.arange(len(features))[:, None], classes])
    assert head.weight.data is not None
    rows = head.weight.data.astype(np.float64).reshape(head.classes, -1)[classes]
    return np.asarray(np.einsum("nkc,nchw->nkhw", rows, features))


def find_cam_head(graph: Graph) -> CamHead | None:
    """The head that leads to one of the graph's outputs, or None; the last one where there are several."""
    found = [head for head in map(_head_above, graph.outputs.values()) if isinstance(head, CamHead)]
    return found[-1] if found else None


def why_no_head(graph: Graph) -> str:
    """What each output of a net without a CAM head comes from instead, with the names of the nearest layers.

    >>> from prototxt import loads
    >>> from converters import Synthetic, lower
    >>> net = loads('input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 } layer { name: "fc" type: "InnerProduct" '
    ...             'bottom: "data" top: "fc" inner_product_param { num_output: 5 } }')
    >>> why_no_head(lower(net, Synthetic()).graph)
    'output fc: fc weighs every place of data (3x8x8) by itself, without global average pooling before it'
    """
    reasons = {name: _head_above(value) for name, value in graph.outputs.items()}
    return "; ".join(f"output {name}: {reason}" for name, reason in reasons.items() if isinstance(reason, str))


def _head_above(output: Value) -> CamHead | str:
    """The head that an output comes from, or what is there instead."""
    if len(output.shape) < 2 or not isinstance(output.shape[1], int) or not _is_point(output.shape[2:]):
        return f"its shape {_text(output.shape)} is not one score per class"
    scores, ranked = output, False
    while (node := scores.producer) is not None and node.op in MONOTONE and node.inputs[0] is not None:
        scores, ranked = node.inputs[0], ranked or node.op != "reshape"
    path: list[Node] = []
    value = scores
    while (node := value.producer) is not None and (pooled := _globally_averaged(node)) is None:
        operand = _operand(node)
        if operand is None:
            return _instead(path, node)
        path.append(node)
        if node.op == "linear" and (spread := _spatial(operand)) is not None and not _is_point(spread.shape[2:]):
            shape = _text(spread.shape[1:])
            return f"{node.layer} weighs every place of {_name(spread)} ({shape}) by itself, " + _WITHOUT
        value = operand
    if node is None or pooled is None:
        return f"it comes from the input {value.name}, {_WITHOUT.removesuffix(' before it')}"
    head = _assembled(scores, path, node, pooled, ranked)
    return head if isinstance(head, str) else replace(head, prob=output)


_WITHOUT = "without global average pooling before it"


def _assembled(scores: Value, path: list[Node], average: Node, features: Value, ranked: bool) -> CamHead | str:
    """The head of the pooled features and the linear path (scores first) from the pooling to the scores."""
    source = features.producer.layer if features.producer else features.name
    steps = [node for node in path if node.op != "reshape"]
    classifier = next((node for node in steps if node.op in CLASSIFIERS), None)
    if classifier is None:
        convolution = _class_convolution(features, ranked)
        if convolution is None:
            return f"{average.layer} averages the features of {source}, and no classifier follows"
        classifier = convolution
        if not steps:
            return CamHead("conv-gap", features, None, scores, convolution.layer, convolution.layer)
    weight = _plain_weight(steps, features)
    if weight is None:
        batch = features.shape[0]
        if isinstance(batch, Sym) and (batch.factor != 1 or len(batch.symbols) != 1):
            return f"its batch axis {batch} is no batch of pictures"
        weight = _effective_weight(average.outputs[0], scores, path, classifier)
    return CamHead("gap-fc", features, weight, scores, classifier.layer, source)


def _plain_weight(steps: list[Node], features: Value) -> Value | None:
    """The weights of the only layer behind the pooling, an InnerProduct or its spelling as a 1x1 convolution."""
    weight = steps[0].inputs[1] if len(steps) == 1 and steps[0].op in ("linear", "conv") else None
    if weight is None or weight.data is None or weight.data.size != weight.data.shape[0] * static(features.shape[1]):
        return None
    if steps[0].op == "linear":
        return weight
    return replace(weight, shape=weight.shape[:2], data=weight.data.reshape(weight.data.shape[:2]))


def _effective_weight(pooled: Value, scores: Value, path: list[Node], classifier: Node) -> Value:
    """The matrix of an affine path: what it makes of each unit vector, less what it makes of zero, in float64."""
    channels = static(pooled.shape[1])
    batch = pooled.shape[0]
    symbols = {} if isinstance(batch, int) else dict.fromkeys(batch.symbols, Symbol(pooled, 0))
    net = NumpyNet(Graph("", [pooled], path[::-1], {}, {"": scores}, symbols))
    rows = np.vstack([np.eye(channels), np.zeros((1, channels))])
    size = batch if isinstance(batch, int) else len(rows)
    pieces = []
    for start in range(0, len(rows), size):
        piece = np.zeros((size, channels))
        piece[: len(rows) - start] = rows[start : start + size]
        result = net.run({pooled.name: piece.reshape(size, *fixed(pooled.shape[1:]))})[""]
        pieces.append(result.reshape(size, -1))
    table = np.concatenate(pieces)[: len(rows)]
    matrix = np.ascontiguousarray((table[:-1] - table[-1]).T, np.float32)
    return Value("cam_weight", matrix.shape, data=matrix, layer=classifier.layer, learned=True)


def _globally_averaged(node: Node) -> Value | None:
    """The 4-D features that a node averages (or sums) over all places, else None."""
    x = node.inputs[0] if node.inputs else None
    if x is None:
        return None
    if node.op in ("reduce_mean", "reduce_sum"):
        flat = _spatial(x) if len(x.shape) == 3 else x
        whole = (2,) if len(x.shape) == 3 else (2, 3)
        if flat is None or len(flat.shape) != 4 or node.attrs["axes"] != whole:
            return None
        return flat if all(map(same, flat.shape[:2], x.shape[:2])) else None
    whole_kernel = node.op == "avg_pool" and len(x.shape) == 4 and tuple(node.attrs["kernel"]) == tuple(x.shape[2:])
    return x if whole_kernel and not any(map(any, node.attrs["pads"])) else None


def _operand(node: Node) -> Value | None:
    """What an affine node transforms: its only operand that is no constant; None where the node is not affine in it."""
    moving = [i for i, x in enumerate(node.inputs) if x is not None and not x.is_constant]
    first_only = node.op in CLASSIFIERS | {"div"}
    if node.op not in AFFINE or len(moving) != 1 or (first_only and moving[0] != 0):
        return None
    operand = node.inputs[moving[0]]
    if operand is None or not operand.shape or not same(operand.shape[0], node.outputs[0].shape[0]):
        return None  # the batch axis is mixed with others: rows are no longer pictures
    return operand


def _instead(path: list[Node], node: Node) -> str:
    """What stands where a global average pooling should be, and the last feature maps above it."""
    reader = next((step.layer for step in reversed(path) if step.op != "reshape"), "")
    features: Value | None = node.outputs[0]
    while features is not None and not (len(features.shape) == 4 and not _is_point(features.shape[2:])):
        features = features.producer.inputs[0] if features.producer and features.producer.inputs else None
    last = f"; the last feature maps are {_name(features)} ({_text(features.shape[1:])})" if features else ""
    begin = f"{reader} reads {node.layer}" if reader else f"it comes from {node.layer}"
    return f"{begin} ({node.op}), which is no global average pooling and not linear{last}"


def _spatial(value: Value) -> Value | None:
    """The 4-D blob that a value is a reshaped form of."""
    while len(value.shape) != 4 and value.producer is not None and value.producer.op == "reshape":
        above = value.producer.inputs[0]
        if above is None:
            break
        value = above
    return value if len(value.shape) == 4 else None


def _class_convolution(features: Value, ranked: bool) -> Node | None:
    """The convolution that makes one map per class, seen through what keeps its channels apart.

    Where no softmax says that the channels are classes, only a 1x1 convolution does: a larger one that is averaged is
    more often a descriptor of the picture.
    """
    node = features.producer
    while node is not None and node.op in PER_CHANNEL and all(x is None or x.is_constant for x in node.inputs[1:]):
        node = node.inputs[0].producer if node.inputs[0] else None
    if node is None or node.op != "conv" or node.inputs[1] is None:
        return None
    return node if ranked or tuple(node.inputs[1].shape[2:]) == POINT else None


def _is_point(shape: Shape) -> bool:
    return all(dim == 1 for dim in shape)


def _name(value: Value) -> str:
    return value.name or value.layer


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))
