"""The graph of primitives: what a Caffe net is lowered to, and what every backend translates.

It is in static single assignment form: each `Value` is produced once. Shapes are on the values, so there is no second
program that infers them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from converters.graph.dims import Shape

__all__ = ["Graph", "Node", "Symbol", "Value"]


@dataclass(eq=False)
class Value:
    """A tensor: a graph input, a constant (`data`), or the result of a `Node`.

    `name` is the Caffe blob's name where the value is a blob; a constant's is its role in the layer (``weight``).
    `learned` marks constants that came from the caffemodel, as opposed to ones derived from the prototxt.
    """

    name: str
    shape: Shape
    dtype: str = "float32"
    producer: Node | None = None
    data: np.ndarray | None = None
    layer: str = ""
    learned: bool = False

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    def __repr__(self) -> str:
        return f"{self.name or '?'}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(eq=False)
class Node:
    """One primitive: its name in `converters.ops`, operands, attributes, results, and its layer's name and index."""

    op: str
    inputs: tuple[Value | None, ...]
    attrs: dict[str, Any]
    outputs: tuple[Value, ...] = ()
    layer: str = ""
    index: int = -1

    def __repr__(self) -> str:
        return (
            f"{', '.join(map(repr, self.outputs))} = {self.op}({', '.join(v.name if v else '-' for v in self.inputs)})"
        )


@dataclass(frozen=True)
class Symbol:
    """Where the value of a symbolic dimension is found at run time."""

    source: Value
    axis: int


@dataclass
class Graph:
    """Inputs in net order, nodes in execution order, and the value of every blob by its (versioned) name.

    `fused` names the layers of each merged one (see `converters.graph.fusion`).
    """

    name: str
    inputs: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    blobs: dict[str, Value] = field(default_factory=dict)
    outputs: dict[str, Value] = field(default_factory=dict)
    symbols: dict[str, Symbol] = field(default_factory=dict)
    fused: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def pruned(self, outputs: Mapping[str, Value] | None = None) -> Graph:
        """A graph with only the nodes that the outputs need (all inputs stay: they are the net's signature)."""
        wanted = dict(self.outputs if outputs is None else outputs)
        needed = {id(value) for value in wanted.values()}
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if any(id(result) in needed for result in node.outputs):
                nodes.append(node)
                needed.update(id(value) for value in node.inputs if value is not None)
                needed.update(id(self.symbols[name].source) for name in _symbols_used(node) if name in self.symbols)
        return Graph(self.name, self.inputs, nodes[::-1], self.blobs, wanted, self.symbols, self.fused)

    def constants(self) -> Iterable[Value]:
        """Every constant that a node or an output uses, once, in order of first use."""
        seen: set[int] = set()
        for value in [v for node in self.nodes for v in node.inputs] + list(self.outputs.values()):
            if value is not None and value.is_constant and id(value) not in seen:
                seen.add(id(value))
                yield value


def _symbols_used(node: Node) -> set[str]:
    """The symbols that a node's attributes mention (a dynamic reshape or expand reads them at run time)."""
    names: set[str] = set()
    for attribute in node.attrs.values():
        for dim in attribute if isinstance(attribute, tuple) else (attribute,):
            names.update(getattr(dim, "symbols", ()))
    return names
