"""Layers one at a time: what float64 NumPy makes of the very inputs that an implementation had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from camcompat.verification.compare import compare_blob
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from converters.graph.graph import Graph, Node, Value

__all__ = ["Local", "local_errors"]


@dataclass(frozen=True)
class Local:
    """A stretch of layers between blobs that are known, ending in one blob.

    Attributes:
        blob: the blob at its end.
        layers: its layers, in net order: one, or several where the blobs between them are not known (fused).
        inputs: the known blobs that it reads.
        absolute, relative, cosine: of the blob and the float64 evaluation of these inputs; see `compare_blob`.
    """

    blob: str
    layers: tuple[str, ...]
    inputs: tuple[str, ...]
    absolute: float
    relative: float
    cosine: float


def local_errors(
    graph: Graph, values: Mapping[str, np.ndarray], blobs: Iterable[str] | None = None
) -> dict[str, Local]:
    """Evaluate every stretch between known blobs by itself, so that a fault shows at its layer and nowhere else.

    Args:
        graph: the lowered net.
        values: blobs as an implementation computed them, inputs of the net among them.
        blobs: the ends of interest; None: all of ``values``.

    Returns:
        blob → its stretch; blobs that cannot be evaluated alone (their sizes depend on unknown values) are left out.
    """
    known = {id(graph.blobs[name]): name for name in reversed(list(values)) if name in graph.blobs}
    order = {id(node): place for place, node in enumerate(graph.nodes)}
    stretches: dict[str, Local] = {}
    for name in values if blobs is None else blobs:
        value = graph.blobs.get(name)
        if value is None or value.producer is None:
            continue
        stretch = _stretch(value, known, order)
        if stretch is None:
            continue
        nodes, sources = stretch
        result = _evaluate(graph, name, nodes, sources, known, values)
        if result is not None:
            layers = tuple(dict.fromkeys(node.layer for node in nodes))
            stretches[name] = Local(name, layers, tuple(known[id(x)] for x in sources), *result)
    return stretches


def _stretch(end: Value, known: Mapping[int, str], order: Mapping[int, int]) -> tuple[list[Node], list[Value]] | None:
    """The nodes between a value and the nearest known ones before it, in order; None if it starts at nothing known."""
    nodes: dict[int, Node] = {}
    sources: dict[int, Value] = {}
    pending = [end.producer]
    while pending:
        node = pending.pop()
        if node is None or id(node) in nodes:
            continue
        nodes[id(node)] = node
        for x in node.inputs:
            if x is None or x.is_constant:
                continue
            if id(x) in known:
                sources[id(x)] = x
            elif x.producer is None:  # an input of the net that is not known
                return None
            else:
                pending.append(x.producer)
    if any(key not in order for key in nodes):  # the net's outputs do not need it
        return None
    return sorted(nodes.values(), key=lambda node: order[id(node)]), list(sources.values())


def _evaluate(
    graph: Graph,
    name: str,
    nodes: list[Node],
    sources: list[Value],
    known: Mapping[int, str],
    values: Mapping[str, np.ndarray],
) -> tuple[float, float, float] | None:
    from converters.graph.graph import Graph
    from converters.numpy_backend.net import NumpyNet

    inputs = {id(x): x for x in sources}
    for symbol in graph.symbols.values():  # sizes that are read at run time
        if id(symbol.source) in known:
            inputs.setdefault(id(symbol.source), symbol.source)
    part = Graph(graph.name, list(inputs.values()), nodes, graph.blobs, {name: graph.blobs[name]}, graph.symbols)
    feeds = {x.name: values[known[key]] for key, x in inputs.items()}
    try:
        exact = NumpyNet(part).run(feeds)[name]
    except KeyError:  # a size that is read off a blob which is not known
        return None
    except (CamcompatError, ValueError, IndexError):  # the inputs do not fit the layer: shapes were wrong before it
        return inf, inf, 0.0
    return compare_blob(values[name], exact)
