"""What a `torch.fx` graph module is collected with: children under Caffe's layer names, readable code."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from converters.graph.dims import Dim, Sym
from converters.graph.graph import Graph, Node, Value
from converters.layers.registry import training_of
from converters.torch_backend import functions
from converters.torch_backend.dropout import Dropouts
from converters.torch_backend.emitter import Emitter
from converters.torch_backend.names import identifier
from prototxt import Layer, Net

__all__ = ["TorchWriter"]


class TorchWriter(Emitter):
    """Collects fx nodes and the modules and tensors that they refer to.

    Attributes:
        layer_names: Caffe layer → child.
        constants: key of the state → the constant of the graph that it was made from.
    """

    def __init__(self, graph: Graph, net: Net | None = None) -> None:
        self.primitives, self.net = graph, net
        self.graph = fx.Graph()
        self.root = nn.Module()
        self.env: dict[int, fx.Node] = {}
        self.layer_names: dict[str, str] = {}
        self.constants: dict[str, Value] = {}
        self._parameters: dict[int, torch.Tensor] = {}
        self._references: dict[int, fx.Node] = {}
        self._like: fx.Node | None = None
        self._name = ""
        self._dropouts = Dropouts(net, graph, self.tensor, self._layer_module)

    def begin(self) -> None:
        """The inputs."""
        for x in self.primitives.inputs:
            placeholder = self.env[id(x)] = self.graph.placeholder(identifier(x.name))
            placeholder.target = placeholder.name  # which fx has made unlike all other names of the code
            placeholder.meta["shape"] = tuple(str(dim) if isinstance(dim, Sym) else dim for dim in x.shape)

    def operands(self, node: Node) -> list[Any]:
        """A primitive's operands, as its layer reads them in training: behind the Dropouts before it."""
        dropped = [self._dropouts.operand(node.index, x) if x is not None else None for x in node.inputs]
        return [x if passed is None else passed for passed, x in zip(dropped, super().operands(node))]

    def name(self, values: Sequence[Value]) -> None:
        """What the next call makes is called after the first of these that has a name."""
        self._name = next((x.name for x in values if x.name), "")

    def results(self, node: Node, values: Sequence[Value], made: Any) -> None:
        """Note what a translation has made of a primitive."""
        for x, fx_node in zip(values, made if isinstance(made, tuple) else (made,)):
            self.env[id(x)] = fx_node
            fx_node.meta["layer"] = node.layer

    def end(self) -> None:
        """The outputs."""
        results = {name: self._result(name, x) for name, x in self.primitives.outputs.items()}
        self.graph.output(next(iter(results.values())) if len(results) == 1 else results)
        self.graph.lint()

    def blobs(self) -> dict[str, str]:
        """Blob → the name of the fx node that holds it, for all blobs that the module computes."""
        found = {name: self._dropouts.made(name) for name in self.primitives.blobs}
        nodes = {name: found[name] or self.env.get(id(value)) for name, value in self.primitives.blobs.items()}
        return {name: node.name for name, node in nodes.items() if node is not None}

    def _result(self, name: str, x: Value) -> fx.Node:
        # A copy of a constant: the caller may change what it gets without changing the weights.
        if x.is_constant:
            return self.graph.call_method("clone", (self.tensor(x),))
        version = next((each for each in (name, *self._versions(name)) if self.primitives.blobs.get(each) is x), "")
        return self._dropouts.blob(version) if version else self.tensor(x)

    def _versions(self, name: str) -> list[str]:
        """What the user's name of a blob may stand for: the last of those that in-place layers wrote."""
        return [each for each in reversed(self.primitives.blobs) if each.partition("@")[0] == name]

    # Operands.

    def operand(self, x: Value | None) -> Any:
        """One operand; what was learned waits for the module that takes it in."""
        if x is not None and x.data is not None and x.learned and id(x) not in self._references:
            return _Lazy(x)
        return super().operand(x)

    def tensor(self, x: Value | None) -> fx.Node:
        """The fx node of a value; a constant becomes a parameter (learned) or a buffer of its layer's child."""
        assert x is not None
        if id(x) in self.env:
            return self.env[id(x)]
        if id(x) not in self._references:
            owner, path = self._container(x.layer)
            name = self._free(owner, identifier(x.name))
            self._attach(owner, path, name, x)
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

    def _attach(self, owner: nn.Module, path: str, name: str, x: Value, shape: Sequence[int] | None = None) -> None:
        tensor = self._tensor_of(x, shape)
        self.constants[f"{path}.{name}"] = x
        if name in owner._buffers or not x.learned:
            owner.register_buffer(name, tensor)
        else:
            parameter = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor)
            owner.register_parameter(name, parameter)
            self._parameters[id(x)] = parameter

    def _tensor_of(self, x: Value, shape: Sequence[int] | None) -> torch.Tensor:
        """The constant as a tensor, the same object for all its users: shared weights stay shared."""
        if id(x) not in self._parameters:
            assert x.data is not None
            self._parameters[id(x)] = torch.from_numpy(np.array(x.data, order="C").reshape(shape or x.data.shape))
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

    def module(
        self, node: Node, module: nn.Module, x: Any, shape: Sequence[int] | None = None, **constants: Value | None
    ) -> fx.Node:
        """Call a module on x; it becomes the layer's child and holds the constants under these names."""
        path = self.child_name(node.layer)
        if isinstance(getattr(self.root, path, None), nn.Module):  # a layer of several primitives
            path = self._free(self.root, f"{path}_{node.op}")
        for name, value in constants.items():
            if value is not None:
                self._attach(module, path, name, value, shape)
        self.root.add_module(path, module)
        return self.graph.create_node("call_module", path, (self._plain(x),), name=self._fx_name())

    def _layer_module(self, layer: Layer, module: nn.Module, x: fx.Node) -> fx.Node:
        """Call a module of a layer that has no primitive (Dropout), right behind its operand."""
        path = self.child_name(layer.name or layer.type)
        self.root.add_module(path, module)
        made = self.graph.create_node("call_module", path, (x,), name=identifier(layer.tops[0]))
        made.meta["layer"] = layer.name
        return made

    def momentum(self, node: Node) -> float:
        layer = self.net.layers[node.index] if self.net is not None and node.index >= 0 else None
        rule = training_of(layer) if layer is not None else None
        return super().momentum(node) if rule is None or rule.momentum is None else rule.momentum

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> fx.Node:
        arguments = tuple(self._plain(x) for x in args)
        name = self._fx_name()
        if name is None and function.__module__ == functions.__name__:
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
            symbol = self.primitives.symbols[name]
            size = self.graph.call_method("size", (self.tensor(symbol.source), symbol.axis))
            total = size if total is None else self.graph.call_function(operator.mul, (total, size))
        return total if dim.factor == 1 else self.graph.call_function(operator.mul, (total, dim.factor))

    def any_input(self) -> fx.Node:
        """What tells the device and the precision: an input, or a buffer where the net has none."""
        if self.primitives.inputs:
            return self.env[id(self.primitives.inputs[0])]
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
