"""The net specification language: nets as Python (after pycaffe's net_spec.py).

>>> n = NetSpec()
>>> n.data = layers.Input(shape=dict(dim=[1, 3, 8, 8]))
>>> n.conv1 = layers.Convolution(n.data, num_output=2, kernel_size=3, weight_filler=dict(type="xavier"))
>>> n.relu1 = layers.ReLU(n.conv1, in_place=True)
>>> n.pool1 = layers.Pooling(n.relu1, kernel_size=2, stride=2, pool=params.Pooling.MAX)
>>> [(layer.name, layer.type, list(layer.top)) for layer in n.to_proto().layer][2:]
[('relu1', 'ReLU', ['conv1']), ('pool1', 'Pooling', ['pool1'])]
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from camcompat.pycaffe.errors import CaffeError
from camcompat.pycaffe.proto import caffe_pb2

__all__ = ["Function", "Layers", "NetSpec", "Parameters", "Top", "assign_proto", "layers", "params", "to_proto"]


@cache
def param_name_dict() -> dict[str, str]:
    """Layer type → the field of LayerParameter with its own parameters, without ``_param``."""
    names: dict[str, str] = {}
    for field in sorted(caffe_pb2.LayerParameter.DESCRIPTOR.fields, key=lambda each: each.number):
        if field.name.endswith("_param") and field.message_type is not None:
            names.setdefault(field.message_type.name.removesuffix("Parameter"), field.name.removesuffix("_param"))
    return names


def to_proto(*tops: Top) -> Any:
    """A NetParameter with the layers that these tops need, automatically named."""
    built: OrderedDict[Function, Any] = OrderedDict()
    names: Counter[str] = Counter()
    for top in tops:
        top.fn.build(built, {}, names)
    return _net(built)


def _net(built: Mapping[Function, Any]) -> Any:
    net = caffe_pb2.NetParameter()
    net.layer.extend(built.values())
    return net


def assign_proto(proto: Any, name: str, val: Any) -> None:
    """Set a field of a message: dicts become messages, lists repeated fields; a single value also does for those."""
    field = proto.DESCRIPTOR.fields_by_name.get(name)
    if field is None:
        raise AttributeError(f"{proto.DESCRIPTOR.name} has no field {name}")
    target = getattr(proto, name)
    if hasattr(target, "extend"):
        for item in val if isinstance(val, (list, tuple)) else [val]:
            if isinstance(item, Mapping):
                _assign_all(target.add(), item)
            elif field.message_type is not None:
                target.add().CopyFrom(item)
            else:
                target.append(item)
    elif isinstance(val, Mapping):
        target.SetInParent()
        _assign_all(target, val)
    elif field.message_type is not None:
        target.CopyFrom(val)
    else:
        setattr(proto, name, val)


def _assign_all(proto: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        assign_proto(proto, name, value)


class Top:
    """One top of a layer: what other layers take as a bottom."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn, self.n = fn, n

    def to_proto(self) -> Any:
        """A NetParameter with the layers that this top needs."""
        return to_proto(self)


class Function:
    """A layer that is not in a net yet: its type, bottoms and parameters."""

    def __init__(self, type_name: str, inputs: tuple[Any, ...], params: dict[str, Any]) -> None:
        for index, bottom in enumerate(inputs):
            if not isinstance(bottom, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(bottom)})")
        self.type_name, self.inputs = type_name, inputs
        self.params = dict(params)
        self.in_place = bool(self.params.pop("in_place", False))
        self.ntop = int(self.params.pop("ntop", 1))
        if self.in_place and (len(inputs) != self.ntop):
            message = f"{type_name}: in_place needs as many tops as bottoms, not {self.ntop} and {len(inputs)}"
            raise CaffeError(message, remedy="leave in_place out")
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def build(self, built: OrderedDict[Function, Any], names: dict[Any, str], counts: Counter[str]) -> None:
        """Append this layer's message, those of its bottoms first, to what is built."""
        if self in built:
            return
        layer = caffe_pb2.LayerParameter()
        for bottom in self.inputs:
            bottom.fn.build(built, names, counts)
            layer.bottom.append(built[bottom.fn].top[bottom.n])
        layer.top.extend(layer.bottom if self.in_place else (self._name(top, names, counts) for top in self.tops))
        layer.type = self.type_name
        layer.name = self._name(self.tops[0] if self.tops else self, names, counts)
        for name, value in self.params.items():
            self._assign(layer, name, value)
        built[self] = layer

    def _name(self, thing: Any, names: dict[Any, str], counts: Counter[str]) -> str:
        if thing not in names:
            counts[self.type_name] += 1
            names[thing] = f"{self.type_name}{counts[self.type_name]}"
        return names[thing]

    def _assign(self, layer: Any, name: str, value: Any) -> None:
        """Set a field of the layer's own parameters, else of the layer."""
        own = param_name_dict().get(self.type_name)
        message = getattr(layer, f"{own}_param") if own and not name.endswith("param") else layer
        if name not in message.DESCRIPTOR.fields_by_name:
            message = layer
        try:
            assign_proto(message, name, value)
        except (AttributeError, TypeError, ValueError) as error:
            remedy = (
                "name the field as caffe.proto does; convolution_param=dict(...) where the type has none of its own"
            )
            raise CaffeError(f"{self.type_name}: {name}={value!r} cannot be set ({error})", remedy=remedy) from error


class NetSpec:
    """A net under construction: `n.name = L.Type(...)` adds a layer, `n.to_proto()` makes the NetParameter."""

    tops: OrderedDict[str, Top]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        if not isinstance(value, Top):
            raise TypeError(f"{name} is not a Top (type is {type(value)}); a layer without tops needs no name")
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name not in self.tops:
            raise AttributeError(f"the net has no top {name!r} yet")
        return self.tops[name]

    def __delattr__(self, name: str) -> None:
        del self.tops[name]

    __setitem__, __delitem__ = __setattr__, __delattr__

    def __getitem__(self, name: str) -> Top:
        return self.tops[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tops)

    def to_proto(self) -> Any:
        """The NetParameter; what bears no name of the net is named after its type and a number."""
        names: dict[Any, str] = {top: name for name, top in self.tops.items()}
        built: OrderedDict[Function, Any] = OrderedDict()
        counts: Counter[str] = Counter()
        for top in self.tops.values():
            top.fn.build(built, names, counts)
        return _net(built)


class Layers:
    """`L.Type(bottom, ..., parameter=value)`: a top, a tuple of tops (`ntop=`), or a Function (`ntop=0`)."""

    def __getattr__(self, name: str) -> Any:
        def layer(*inputs: Any, **parameters: Any) -> Any:
            function = Function(name, inputs, parameters)
            return function if function.ntop == 0 else function.tops[0] if function.ntop == 1 else function.tops

        return layer


class Parameters:
    """`P.Pooling.MAX`: the numbers of a parameter message's enums."""

    def __getattr__(self, name: str) -> Any:
        return getattr(caffe_pb2, f"{name}Parameter")


layers = Layers()
params = Parameters()
