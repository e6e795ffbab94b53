"""Writes a graph of primitives as a `torch.fx` graph module: children under Caffe's layer names, readable code."""

from __future__ import annotations

import keyword
import operator
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from . import torch_functions
from .dims import Dim, Sym
from .graph import Graph, Node, Value
from .torch_ops import TRANSLATIONS

__all__ = ["TorchWriter", "class_name", "identifier"]

# What a written module has of its own (torch's attributes, and the functions beside it in written source).
_MODULE = fx.GraphModule(nn.Module(), fx.Graph())
_RESERVED = {*dir(_MODULE), *vars(_MODULE), *torch_functions.__all__, "self", "layer_names"}


def identifier(name: str) -> str:
    """A Caffe name as a Python attribute of a module.

    >>> identifier("conv1/7x7_s2"), identifier("2x"), identifier("for"), identifier("type"), identifier("x²")
    ('conv1_7x7_s2', '_2x', 'for_', 'type_', 'x2')
    """
    # Python reads identifiers in this normal form: an attribute of another spelling would never be found.
    name = unicodedata.normalize("NFKC", name) or "layer"
    plain = "".join(c if f"_{c}".isidentifier() else "_" for c in name)
    if not plain.isidentifier():
        plain = f"_{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in _RESERVED else plain


def class_name(name: str) -> str:
    """A net's name as that of a Python class; `CaffeNet` where nothing is left of it.

    >>> class_name("squeezeNet v1"), class_name("16-layer"), class_name("")
    ('SqueezeNet_v1', 'Net_16_layer', 'CaffeNet')
    """
    plain = identifier(name or "CaffeNet").strip("_") or "CaffeNet"
    plain = plain[0].upper() + plain[1:]
    return plain if plain.isidentifier() and not keyword.iskeyword(plain) else f"Net_{plain}"


class TorchWriter:
    """Collects fx nodes and the modules and tensors that they refer to."""

    def __init__(self, graph: Graph) -> None:
        self.source = graph
        self.graph = fx.Graph()
        self.root = nn.Module()
        self.env: dict[int, fx.Node] = {}
        self.layer_names: dict[str, str] = {}  # Caffe layer → child
        self._parameters: dict[int, torch.Tensor] = {}
        self._references: dict[int, fx.Node] = {}
        self._like: fx.Node | None = None
        self._name = ""

    def write(self, class_name: str) -> fx.GraphModule:
        for x in self.source.inputs:
            placeholder = self.env[id(x)] = self.graph.placeholder(identifier(x.name))
            placeholder.target = placeholder.name  # which fx has made unlike all other names of the code
        for node in self.source.nodes:
            self._name = next((x.name for x in node.outputs if x.name), "")
            operands = [self.operand(x) for x in node.inputs]
            if not any(isinstance(x, (fx.Node, _Lazy)) for x in operands):  # torch's functions want a tensor
                operands = [None if x is None else self.tensor(x) for x in node.inputs]
            result = TRANSLATIONS[node.op](self, node, operands)
            for x, fx_node in zip(node.outputs, result if isinstance(result, tuple) else (result,)):
                self.env[id(x)] = fx_node
        results = {name: self._result(x) for name, x in self.source.outputs.items()}
        self.graph.output(next(iter(results.values())) if len(results) == 1 else results)
        self.graph.lint()
        return fx.GraphModule(self.root, self.graph, class_name=class_name)

    def _result(self, x: Value) -> fx.Node:
        # A copy of a constant: the caller may change what it gets without changing the weights.
        return self.graph.call_method("clone", (self.tensor(x),)) if x.is_constant else self.tensor(x)

    # Operands.

    def operand(self, x: Value | None) -> Any:
        """The fx node of a value; a scalar that nobody learned as a plain number; None stays None."""
        if x is None:
            return None
        if x.data is not None and x.data.ndim == 0 and not x.learned:
            number = x.data.item()
            return float(str(x.data)) if isinstance(number, float) else number
        if x.data is not None and x.learned and id(x) not in self._references:
            return _Lazy(x)
        return self.tensor(x)

    def tensor(self, x: Value | None) -> fx.Node:
        """The fx node of a value; a constant becomes a parameter (learned) or a buffer of its layer's child."""
        assert x is not None
        if id(x) in self.env:
            return self.env[id(x)]
        if id(x) not in self._references:
            owner, path = self._container(x.layer)
            name = self._free(owner, identifier(x.name))
            self._attach(owner, name, x)
            self._references[id(x)] = self.graph.get_attr(f"{path}.{name}")
        return self._references[id(x)]

    def _container(self, layer: str) -> tuple[nn.Module, str]:
        """The child that holds a layer's tensors: a plain one, since a module's own names are its own."""
        path = self.child_name(layer)
        if type(getattr(self.root, path, nn.Module())) is not nn.Module:
            path = f"{path}_tensors"
        if not hasattr(self.root, path):
            self.root.add_module(path, nn.Module())
        return getattr(self.root, path), path

    @staticmethod
    def _free(owner: nn.Module, name: str) -> str:
        candidate, count = name, 1
        while hasattr(owner, candidate):
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def _attach(self, owner: nn.Module, name: str, x: Value) -> None:
        tensor = self._tensor_of(x)
        if name in owner._buffers or not x.learned:
            owner.register_buffer(name, tensor)
        else:
            parameter = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor)
            owner.register_parameter(name, parameter)
            self._parameters[id(x)] = parameter

    def _tensor_of(self, x: Value) -> torch.Tensor:
        """The constant as a tensor, the same object for all its users: shared weights stay shared."""
        if id(x) not in self._parameters:
            assert x.data is not None
            self._parameters[id(x)] = torch.from_numpy(np.array(x.data, order="C"))
        return self._parameters[id(x)]

    # What translations call.

    def child_name(self, layer: str) -> str:
        """The child of a Caffe layer; two layers never share one."""
        if layer not in self.layer_names:
            name = self._free(self.root, identifier(layer))
            while name in self.layer_names.values():
                name += "_"
            self.layer_names[layer] = name
        return self.layer_names[layer]

    def module(self, node: Node, module: nn.Module, x: Any, **constants: Value | None) -> fx.Node:
        """Call a module on x; it becomes the layer's child and holds the constants under these names."""
        path = self.child_name(node.layer)
        if isinstance(getattr(self.root, path, None), nn.Module):  # a layer of several primitives
            path = self._free(self.root, f"{path}_{node.op}")
        for name, value in constants.items():
            if value is not None:
                self._attach(module, name, value)
        self.root.add_module(path, module)
        return self.graph.create_node("call_module", path, (self._plain(x),), name=self._fx_name())

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        arguments = tuple(self._plain(x) for x in args)
        name = self._fx_name()
        if name is None and function.__module__ == torch_functions.__name__:
            name = f"{function.__name__}_result"  # written source calls the function by its own name
        return self.graph.create_node("call_function", function, arguments, kwargs, name=name)

    def method(self, name: str, x: Any, *args: Any) -> fx.Node:
        return self.graph.create_node("call_method", name, (self._plain(x), *args), name=self._fx_name())

    def _plain(self, x: Any) -> Any:
        if isinstance(x, _Lazy):
            return self.tensor(x.value)
        return [self._plain(item) for item in x] if isinstance(x, list) else x

    def _fx_name(self) -> str | None:
        return identifier(self._name) if self._name else None

    def shape(self, shape: Sequence[Dim], *, infer: bool = False) -> tuple[Any, ...]:
        """A shape with each symbol read off a tensor; a lone symbol may be inferred (−1)."""
        symbolic = sum(isinstance(dim, Sym) for dim in shape)
        if infer and symbolic == 1 and 0 not in shape:
            return tuple(-1 if isinstance(dim, Sym) else dim for dim in shape)
        return tuple(self._size(dim) if isinstance(dim, Sym) else dim for dim in shape)

    def _size(self, dim: Sym) -> Any:
        total: Any = None
        for name in dim.symbols:
            symbol = self.source.symbols[name]
            size = self.graph.call_method("size", (self.tensor(symbol.source), symbol.axis))
            total = size if total is None else self.graph.call_function(operator.mul, (total, size))
        return total if dim.factor == 1 else self.graph.call_function(operator.mul, (total, dim.factor))

    def any_input(self) -> fx.Node:
        """What tells the device and the precision: an input, or a buffer where the net has none."""
        if self.source.inputs:
            return self.env[id(self.source.inputs[0])]
        if self._like is None:
            self._like = self.tensor(Value("like", (0,), data=np.zeros(0, np.float32), layer="net"))
        return self._like

    def input_device(self) -> fx.Node:
        return self.graph.call_function(getattr, (self.any_input(), "device"))

    def input_dtype(self) -> fx.Node:
        return self.graph.call_function(getattr, (self.any_input(), "dtype"))


class _Lazy:
    """A learned constant that becomes a parameter of its own only if no module takes it in."""

    def __init__(self, value: Value) -> None:
        self.value = value
