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

from converters.graph.dims import Dim, Sym
from converters.graph.graph import Graph, Node, Value
from converters.torch_backend import functions as torch_functions
from converters.torch_backend.dropout import Dropouts
from converters.torch_backend.net import TorchNet
from converters.torch_backend.ops import TRANSLATIONS
from converters.torch_backend.scale import offset_of, scale, scaled_channels
from prototxt import Layer, Net

__all__ = ["TorchWriter", "class_name", "identifier"]

# What a written module has of its own (torch's attributes, and the functions beside it in written source).
_MODULE = TorchNet(nn.Module(), fx.Graph())
_RESERVED = {*dir(_MODULE), *vars(_MODULE), *torch_functions.__all__, "self", "load"}


def identifier(name: str) -> str:
    """A Caffe name as a Python attribute of a module.

    >>> identifier("conv1/7x7_s2"), identifier("2x"), identifier("for"), identifier("type"), identifier("x²")
    ('conv1_7x7_s2', '_2x', 'for_', 'type_', 'x2')
    """
    # Python reads identifiers in this normal form: an attribute of another spelling would never be found.
    name = unicodedata.normalize("NFKC", name) or "layer"
    plain = "".join(c if f"_{c}".isidentifier() else "_" for c in name)
    if plain == "_" or plain.startswith("__"):  # inside a class, Python reads `self.__x` as another name
        plain = f"_{plain.lstrip('_') or 'layer'}"
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
    free = plain.isidentifier() and not keyword.iskeyword(plain) and plain not in ("Path", "Tensor")  # imported there
    return plain if free else f"Net_{plain}"


class TorchWriter:
    """Collects fx nodes and the modules and tensors that they refer to.

    Attributes:
        layer_names: Caffe layer → child.
        constants: key of the state → the constant of the graph that it was made from.
    """

    def __init__(self, graph: Graph, net: Net | None = None) -> None:
        self.source, self.net = graph, net
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

    def write(self, class_name: str) -> TorchNet:
        for x in self.source.inputs:
            placeholder = self.env[id(x)] = self.graph.placeholder(identifier(x.name))
            placeholder.target = placeholder.name  # which fx has made unlike all other names of the code
            placeholder.meta["shape"] = tuple(str(dim) if isinstance(dim, Sym) else dim for dim in x.shape)
        taken: Node | None = None
        for node, after in zip(self.source.nodes, [*self.source.nodes[1:], None]):
            if node is taken:
                continue
            taken = offset_of(node, after) if scaled_channels(node) else None
            self._node(node, taken)
        results = {name: self._result(name, x) for name, x in self.source.outputs.items()}
        self.graph.output(next(iter(results.values())) if len(results) == 1 else results)
        self.graph.lint()
        return TorchNet(self.root, self.graph, class_name=class_name)

    def _node(self, node: Node, offset: Node | None) -> None:
        results = (offset or node).outputs
        self._name = next((x.name for x in results if x.name), "")
        operands = [self._dropouts.operand(node.index, x) if x is not None else None for x in node.inputs]
        operands = [self.operand(x) if found is None else found for found, x in zip(operands, node.inputs)]
        if not any(isinstance(x, (fx.Node, _Lazy)) for x in operands):  # torch's functions want a tensor
            operands = [None if x is None else self.tensor(x) for x in node.inputs]
        if scaled_channels(node):
            made = scale(self, node, offset, operands[0])
        else:
            made = TRANSLATIONS[node.op](self, node, operands)
        for x, fx_node in zip(results, made if isinstance(made, tuple) else (made,)):
            self.env[id(x)] = fx_node
            fx_node.meta["layer"] = node.layer

    def blobs(self) -> dict[str, str]:
        """Blob → the name of the fx node that holds it, for all blobs that the module computes."""
        found = {name: self._dropouts.made(name) for name in self.source.blobs}
        nodes = {name: found[name] or self.env.get(id(value)) for name, value in self.source.blobs.items()}
        return {name: node.name for name, node in nodes.items() if node is not None}

    def _result(self, name: str, x: Value) -> fx.Node:
        # A copy of a constant: the caller may change what it gets without changing the weights.
        if x.is_constant:
            return self.graph.call_method("clone", (self.tensor(x),))
        version = next((each for each in (name, *self._versions(name)) if self.source.blobs.get(each) is x), "")
        return self._dropouts.blob(version) if version else self.tensor(x)

    def _versions(self, name: str) -> list[str]:
        """What the user's name of a blob may stand for: the last of those that in-place layers wrote."""
        return [each for each in reversed(self.source.blobs) if each.partition("@")[0] == name]

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
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = self._momentum(node)
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

    def _momentum(self, node: Node) -> float:
        """By how much a batch moves the statistics in training: Caffe's moving_average_fraction, told as torch does."""
        layer = self.net.layers[node.index] if self.net is not None and node.index >= 0 else None
        if layer is None or layer.type != "BatchNorm":
            return 0.1
        return round(1 - float(layer.message.batch_norm_param.moving_average_fraction), 6)

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
