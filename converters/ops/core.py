"""What all primitives share: how one is declared, and the recorder of constants, nodes and whose layer they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np

from converters.graph.dims import Dim, Shape, Sym, SymbolicError, at_one
from converters.graph.graph import Graph, Node, Symbol, Value
from prototxt.limits import check_blob, get_limits, raise_hint

__all__ = ["PRIMITIVES", "Kind", "Primitive", "Recorder", "ShapeMismatch", "broadcast", "free", "primitive"]

Kind: TypeAlias = Literal["continuous", "discrete"]
Cost: TypeAlias = Callable[[Node], int]
Method = TypeVar("Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Primitive:
    """What holds of a primitive wherever it stands in a graph.

    Attributes:
        name: in `Node.op`, and in the translations of every backend.
        kind: "discrete" where a rounding of its operands can change the result as a whole: which box is kept, on which
            side of a threshold a number is. Behind such a primitive two backends may rightly differ.
        multiply_adds: how many a node takes for one image (every symbol 1).
    """

    name: str
    kind: Kind
    multiply_adds: Cost


PRIMITIVES: dict[str, Primitive] = {}


def free(node: Node) -> int:
    """The cost of a primitive that is no sum of products."""
    return 0


def primitive(kind: Kind, cost: Cost, *names: str) -> Callable[[Method], Method]:
    """Declare what a method of `Ops` records: one primitive of its own name, or the primitives named here."""

    def declare(method: Method) -> Method:
        for name in names or (method.__name__,):
            PRIMITIVES[name] = Primitive(name, kind, cost)
        return method

    return declare


class ShapeMismatch(ValueError):
    """Operands that do not fit each other; `lower` adds which layer it was."""


def broadcast(*shapes: Shape) -> Shape:
    """The common shape by NumPy's rule. A symbol only meets itself or 1: nothing is guessed about its value."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result: list[Dim] = []
    for dims in zip(*padded):
        wide = {dim for dim in dims if dim != 1}
        if len(wide) > 1:
            if any(isinstance(dim, Sym) for dim in wide):
                raise SymbolicError(f"shapes {', '.join(map(str, shapes))} have to agree")
            raise ShapeMismatch(f"shapes {' and '.join(map(str, shapes))} do not fit each other")
        result.append(wide.pop() if wide else 1)
    return tuple(result)


class Recorder:
    """Appends nodes to a graph on behalf of one layer at a time."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layer = ""
        self.index = -1
        self._fresh = 0
        self.most_nodes = get_limits().nodes

    def input(self, name: str, shape: Shape) -> Value:
        """A graph input, float32, named as Caffe's blob."""
        value = Value(name, shape)
        self.graph.inputs.append(value)
        return value

    def const(self, data: Any, name: str = "constant", *, dtype: str | None = None, learned: bool = False) -> Value:
        """A constant tensor: float32 unless its data are integers or booleans (those become int64 and bool)."""
        array = np.asarray(data)
        if dtype is None:
            dtype = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}[array.dtype.kind]
        array = array.astype(dtype, copy=False)
        return Value(name, array.shape, dtype, data=array, layer=self.layer, learned=learned)

    def record(
        self,
        op: str,
        inputs: Sequence[Value | None],
        results: Sequence[tuple[Shape, str]],
        attrs: dict[str, Any] | None = None,
    ) -> tuple[Value, ...]:
        """Append one node whose results have the given shapes and dtypes; ShapeMismatch beyond the limits."""
        if len(self.graph.nodes) >= self.most_nodes:
            raise ShapeMismatch(f"the graph has {self.most_nodes:,} primitives already; {raise_hint('nodes')}")
        assert op in PRIMITIVES, f"{op} is no declared primitive"
        for shape, _ in results:
            if problem := _problem(shape):
                raise ShapeMismatch(problem)
        node = Node(op, tuple(inputs), attrs or {}, (), self.layer, self.index)
        node.outputs = tuple(Value("", shape, dtype, node, layer=self.layer) for shape, dtype in results)
        self.graph.nodes.append(node)
        return node.outputs

    def one(
        self, op: str, inputs: Sequence[Value | None], result: Shape, dtype: str = "float32", /, **attrs: Any
    ) -> Value:
        """`record` for the common case of one result."""
        return self.record(op, inputs, [(result, dtype)], attrs)[0]

    def fresh_symbol(self, prefix: str) -> Sym:
        """A dimension that only the data decide; `bind` says where it can be read off."""
        self._fresh += 1
        return Sym.of(f"{prefix}{self._fresh}")

    def bind(self, symbol: Sym, source: Value, axis: int) -> None:
        self.graph.symbols[symbol.symbols[0]] = Symbol(source, axis)


def _problem(shape: Shape) -> str:
    """Why a blob of this shape is refused, "" where it is not; a symbol counts as one."""
    problem = check_blob(at_one(shape))
    return f"{problem}; {raise_hint('axes' if 'axes' in problem else 'elements')}" if problem else ""
