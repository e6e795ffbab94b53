"""What ONNX nodes are collected with: names, initializers, and shapes that are known only at run time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from converters.graph.dims import Dim, Shape, Sym, fixed
from converters.graph.graph import Graph, Node, Value
from converters.onnx_backend.stream import TYPES

__all__ = ["IR_VERSION", "OPSET", "OnnxWriter", "value_info"]

# What every onnxruntime since 1.10 runs: opset 13, where axes became inputs, and IR 8.
OPSET, IR_VERSION = 13, 8


class OnnxWriter:
    """Collects nodes and initializers; every ONNX name is made here and used once."""

    def __init__(
        self, graph: Graph, reserved: Sequence[str] = (), *, winograd: bool = False, portable: bool = False
    ) -> None:
        self.graph = graph
        self.winograd = winograd
        self.portable = portable
        self.transformed: list[str] = []
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[tuple[str, np.ndarray]] = []
        self.taken: set[str] = set()
        self.names: dict[int, str] = {}
        self._tensors: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._sizes: dict[str, str] = {}
        self.layer = ""
        self._counts: dict[str, int] = {}
        self._reserve(reserved)

    def _reserve(self, reserved: Sequence[str]) -> None:
        """Blobs keep Caffe's names: inputs before outputs, outputs before `reserved` names, these before the rest."""
        for x in self.graph.inputs:
            self.names[id(x)] = self.unique(x.name)
        self.output_names = {name: self.unique(name) for name in self.graph.outputs if name not in self.taken}
        for name, x in self.graph.outputs.items():
            if x.producer is not None and id(x) not in self.names and name in self.output_names:
                self.names[id(x)] = name
        self.taken.update(reserved)
        for node in self.graph.nodes:
            for x in node.outputs:
                if x.name and id(x) not in self.names:
                    self.names[id(x)] = self.unique(x.name)

    # Names.

    def unique(self, name: str) -> str:
        candidate, count = name, 1
        while candidate in self.taken or not candidate:
            count += 1
            candidate = f"{name}_{count}"
        self.taken.add(candidate)
        return candidate

    def fresh(self, what: str) -> str:
        return self.unique(f"{self.layer}/{what}")

    def name(self, x: Value | None) -> str:
        """The ONNX name of a value; a constant becomes an initializer the first time."""
        if x is None:
            return ""
        if id(x) not in self.names:
            if x.data is not None:
                self.names[id(x)] = self._constant(x)
            else:
                self.names[id(x)] = self.fresh(x.producer.op if x.producer else "value")
        return self.names[id(x)]

    def _constant(self, x: Value) -> str:
        assert x.data is not None
        if not x.learned and x.data.size <= 1024:
            return self.tensor(x.data, x.name)
        return self.initializer(x.data, self.unique(f"{x.layer}.{x.name}" if x.layer else x.name))

    # Tensors.

    def initializer(self, array: np.ndarray, name: str) -> str:
        self.tensors.append((name, array))
        return name

    def tensor(self, array: np.ndarray, what: str) -> str:
        """A constant tensor; equal small ones are kept once."""
        array = np.asarray(array)
        key = (str(array.dtype), array.shape, array.tobytes())
        if key not in self._tensors:
            self._tensors[key] = self.initializer(array, self.fresh(what))
        return self._tensors[key]

    def scalar(self, value: float) -> str:
        return self.tensor(np.asarray(value, np.float32), "value")

    def integers(self, values: list[int], *, scalar: bool = False) -> str:
        array = np.asarray(values, np.int64)
        return self.tensor(array.reshape(()) if scalar else array, "values")

    @staticmethod
    def element_type(dtype: str) -> int:
        return int(TYPES[dtype])

    def shape_tensor(self, shape: Sequence[Dim], source: Shape | None = None) -> str:
        """A shape as an operand: constants where possible, 0 and −1 in a reshape of `source`, else read at run time."""
        symbolic = [i for i, dim in enumerate(shape) if isinstance(dim, Sym)]
        if not symbolic:
            return self.integers(list(fixed(shape)))
        if source is not None and 0 not in shape:
            short = _with_zero_and_minus_one(shape, source)
            if short is not None:
                return self.integers(short)
        parts = [self._size(dim) if isinstance(dim, Sym) else self.integers([dim]) for dim in shape]
        return self.op("Concat", parts, axis=0) if len(parts) > 1 else parts[0]

    def _size(self, dim: Sym) -> str:
        """A symbolic dimension at run time, as a tensor of one int64."""
        total = None
        for name in dim.symbols:
            if name not in self._sizes:
                symbol = self.graph.symbols[name]
                whole = self.op("Shape", [self.name(symbol.source)])
                self._sizes[name] = self.op("Gather", [whole, self.integers([symbol.axis])], axis=0)
            total = self._sizes[name] if total is None else self.op("Mul", [total, self._sizes[name]])
        assert total is not None
        return total if dim.factor == 1 else self.op("Mul", [total, self.integers([dim.factor])])

    # Nodes.

    def add(self, op: str, inputs: Iterable[str], outputs: Sequence[str], **attrs: Any) -> None:
        """Append a node, named after the Caffe layer."""
        count = self._counts[self.layer] = self._counts.get(self.layer, 0) + 1
        names = list(inputs)
        while names and not names[-1]:
            names.pop()
        label = self.layer if count == 1 else f"{self.layer}/{op}_{count}"
        self.nodes.append(helper.make_node(op, names, list(outputs), name=label, **attrs))

    def op(self, op: str, inputs: Iterable[str], **attrs: Any) -> str:
        """Append a helper node with one result; its name."""
        result = self.fresh(op)
        self.add(op, inputs, [result], **attrs)
        return result

    def emit(self, node: Node, op: str, inputs: Iterable[str], **attrs: Any) -> list[str]:
        """Append the node that yields a primitive's results."""
        results = [self.name(x) for x in node.outputs]
        self.add(op, inputs, results, **attrs)
        return results


def _with_zero_and_minus_one(shape: Sequence[Dim], source: Shape) -> list[int] | None:
    """ONNX Reshape's own shorthand: 0 copies the dimension at this place, −1 is inferred once."""
    result: list[int] = []
    for i, dim in enumerate(shape):
        if not isinstance(dim, Sym):
            result.append(dim)
        elif i < len(source) and source[i] == dim:
            result.append(0)
        elif -1 not in result:
            result.append(-1)
        else:
            return None
    return result


def value_info(name: str, x: Value) -> onnx.ValueInfoProto:
    """A graph input or output with its symbolic dimensions by name."""
    dims = [str(dim) if isinstance(dim, Sym) else dim for dim in x.shape]
    return helper.make_tensor_value_info(name, TYPES[x.dtype], dims)
