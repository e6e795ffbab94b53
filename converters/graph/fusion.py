"""Folding: what BatchNorm, Scale, Bias and Power do to each channel becomes part of the layer before them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from converters.graph.dims import fixed
from converters.graph.graph import Graph, Node, Value

__all__ = ["fold"]

HOSTS = {"conv", "conv_transpose", "linear"}

Link: TypeAlias = "tuple[Node, np.ndarray, np.ndarray]"


def fold(graph: Graph, keep: Iterable[Value] = ()) -> Graph:
    """The same net with per-channel factors and shifts folded into the layer before them, in float64.

    A convolution, deconvolution or InnerProduct takes in the BatchNorm, Scale, Bias and Power layers that directly
    follow it: y = s·(W·x + b) + t becomes (s·W)·x + (s·b + t). The merged layer is called ``conv1+bn1+scale1``, which
    `Graph.fused` maps to its layers. A value stays where it is an output, in `keep`, or used by another layer. The
    given graph is not changed; what was not folded is shared with it, arrays included.

    Args:
        graph: from `lower`, its outputs chosen (`Graph.pruned`).
        keep: values that are needed beside the outputs.

    >>> import prototxt, converters
    >>> net = prototxt.loads('''input: "x" input_shape { dim: 1 dim: 2 dim: 4 dim: 4 }
    ...     layer { name: "c" type: "Convolution" bottom: "x" top: "c"
    ...         convolution_param { num_output: 3 kernel_size: 1 } }
    ...     layer { name: "s" type: "Scale" bottom: "c" top: "s" scale_param { bias_term: true } }''')
    >>> graph = fold(converters.lower(net, converters.Synthetic()).graph)
    >>> [node.op for node in graph.nodes], graph.fused
    (['conv'], {'c+s': ('c', 's')})
    """
    uses = Counter(id(x) for node in graph.nodes for x in node.inputs if x is not None)
    needed = {id(x) for x in (*graph.outputs.values(), *keep, *(symbol.source for symbol in graph.symbols.values()))}
    consumer = {id(x): node for node in graph.nodes for x in node.inputs if x is not None}

    def follower(node: Node) -> Node | None:
        """The one node that uses a result which is not needed otherwise."""
        x = node.outputs[0]
        return consumer[id(x)] if uses[id(x)] == 1 and id(x) not in needed else None

    gone: set[int] = set()
    nodes: list[Node] = []
    fused = dict(graph.fused)
    for node in graph.nodes:
        if id(node) in gone:
            continue
        chain = _chain(node, follower) if _is_host(node) else []
        merged = _merged(node, chain) if chain else None
        if merged is not None:
            gone.update(id(link) for link, _, _ in chain)
            fused[merged.layer] = tuple(dict.fromkeys([node.layer, *(link.layer for link, _, _ in chain)]))
        nodes.append(merged or node)
    return replace(graph, nodes=nodes, fused=fused)


def _is_host(node: Node) -> bool:
    """Whether a node's weights are constants that can take in a factor per channel."""
    return node.op in HOSTS and all(x is None or x.is_constant for x in node.inputs[1:])


def _chain(node: Node, follower: Callable[[Node], Node | None]) -> list[Link]:
    """The nodes behind a host that are affine per channel, one after the other, each with its scale and shift."""
    links: list[Link] = []
    link = follower(node)
    while link is not None and link.outputs[0].shape == node.outputs[0].shape:
        affine = _affine(link, (links[-1][0] if links else node).outputs[0])
        if affine is None:
            break
        links.append((link, *affine))
        link = follower(link)
    return links


def _merged(node: Node, chain: list[Link]) -> Node | None:
    """One node for a host and its chain; None where a number would overflow: it shall do so where it does in Caffe."""
    weight, bias = node.inputs[1], node.inputs[2]
    assert weight is not None and weight.data is not None
    total = np.ones(chain[0][1].shape)
    offset = total * 0 if bias is None or bias.data is None else bias.data.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for _, scale, shift in chain:
            total, offset = total * scale, offset * scale + shift
        new_bias = offset.astype(np.float32)
        new_weight = _scaled(weight.data, total, node)
        if not (np.isfinite(new_bias).all() and np.isfinite(new_weight.sum(dtype=np.float64))):
            return None
    name = "+".join(dict.fromkeys([node.layer, *(link.layer for link, _, _ in chain)]))
    operands = [
        Value(role, data.shape, data=data, layer=name, learned=True)
        for role, data in (("weight", new_weight), ("bias", new_bias))
    ]
    return Node(node.op, (node.inputs[0], *operands), node.attrs, chain[-1][0].outputs, name, node.index)


def _scaled(weight: np.ndarray, scale: np.ndarray, node: Node) -> np.ndarray:
    """Each output channel's weights times its factor, rounded once (NumPy widens piece by piece: no float64 copy)."""
    result = np.empty(weight.shape, np.float32)
    # (O, …), or (C, O/group, *K) of a deconvolution: there the outputs of a group follow each other.
    group, count = (node.attrs["group"], weight.shape[1]) if node.op == "conv_transpose" else (1, len(weight))
    rows = len(weight) // group if node.op == "conv_transpose" else 1
    parts, out = (array.reshape(group, rows, count, -1) for array in (weight, result))
    factor = scale.reshape(group, 1, count, 1)
    np.multiply(parts, factor, out=out, dtype=np.float64, casting="same_kind")
    return result


def _affine(node: Node, x: Value) -> tuple[np.ndarray, np.ndarray] | None:
    """(scale, shift) per channel, float64, if the node's result is scale·x + shift."""
    (channels,) = fixed(x.shape[1:2])
    ones, zeros = np.ones(channels), np.zeros(channels)
    if node.op == "batch_norm" and node.inputs[0] is x:
        mean, variance = (v.data for v in node.inputs[1:] if v is not None)
        if mean is None or variance is None:
            return None
        wide = variance.astype(np.float64) + node.attrs["epsilon"]
        return (1 / np.sqrt(wide), -mean / np.sqrt(wide)) if (wide > 0).all() else None
    if node.op == "neg":
        return -ones, zeros
    if node.op not in ("mul", "add", "sub", "div") or len(node.inputs) != 2:
        return None
    first = node.inputs[0] is x
    other = _per_channel(node.inputs[1 if first else 0], x, channels)
    if other is None or (node.op == "div" and (not first or not other.all())):
        return None
    if node.op == "mul":
        return other, zeros
    if node.op == "div":
        return 1 / other, zeros
    if node.op == "add":
        return ones, other
    return (ones, -other) if first else (-ones, other)


def _per_channel(operand: Value | None, x: Value, channels: int) -> np.ndarray | None:
    """A constant that broadcasts to one value per channel (axis 1 of x), as float64 (channels,)."""
    if operand is None or operand.data is None or operand.dtype != "float32" or len(operand.shape) > len(x.shape):
        return None
    shape = (1,) * (len(x.shape) - len(operand.shape)) + operand.data.shape
    if operand.data.size != 1 and shape != (1, channels, *(1,) * (len(x.shape) - 2)):
        return None
    return np.broadcast_to(operand.data.astype(np.float64).reshape(-1), (channels,))
