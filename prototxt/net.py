"""A Caffe network as one immutable value: upgraded, filtered by phase, in-place tops renamed, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from prototxt.errors import PrototxtError
from prototxt.files import read_text
from prototxt.inputs import input_shapes_of
from prototxt.rules import included, net_state
from prototxt.schema import message_class
from prototxt.text import Parsed, Unknown, parse
from prototxt.upgrade import Upgraded, upgrade
from prototxt.wiring import Wiring, wire

__all__ = ["Layer", "Net", "Unknown", "from_message", "load", "loads"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a net.

    Attributes:
        name: as written; "" is legal, and two layers may share one.
        type: in today's spelling: ``Convolution``.
        bottoms: versioned blob names (see :class:`Net`).
        tops: versioned blob names.
        message: the LayerParameter in today's format; not to be changed.
        line: of the layer in the text; None where the net did not come from a text.
        source: the file.
        unknown: fields of this layer that the schema lacks or that Caffe drops.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    message: Any = field(repr=False)
    line: int | None
    source: str
    unknown: tuple[Unknown, ...] = ()

    @property
    def where(self) -> str:
        """The layer's place for messages: ``deploy.prototxt:12: layer "conv1" (Convolution)``."""
        return _place(self.source, self.line, self.name, self.type)

    @property
    def param_names(self) -> tuple[str, ...]:
        """The names of shared parameters, "" for one that is not shared; as many as ``param`` entries."""
        return tuple(spec.name for spec in self.message.param)


@dataclass(frozen=True, eq=False)
class Net:
    """A network.

    A blob that is written several times (in-place layers) keeps its plain name for its last value; an earlier value is
    called ``<blob>@<layer>`` after the layer that wrote it. An input keeps its plain name even if it is overwritten;
    then every later value is called ``<blob>@<layer>``.

    Attributes:
        name: as written.
        source: the file.
        layers: in order, Input layers included, after the phase rules.
        inputs: shape of each input blob, in net order.
        outputs: the blobs that no layer reads, unused inputs aside, in the order in which they are produced.
        unknown: every field of the file that the schema lacks or that Caffe drops.
        message: the NetParameter in today's format, filtered; its ``state`` is the one that the filter used.
    """

    name: str
    source: str
    layers: tuple[Layer, ...]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    unknown: tuple[Unknown, ...]
    message: Any = field(repr=False)
    _last: Mapping[str, str] = field(repr=False, default_factory=dict)

    def resolve(self, blob: str) -> str:
        """The versioned name of a blob's last value, from the name that the file uses.

        Raises:
            PrototxtError: the net has no such blob.

        >>> text = 'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
        >>> loads(text + 'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }').resolve("x")
        'x@r'
        """
        if blob in self._last:
            return self._last[blob]
        names = {name: None for layer in self.layers for name in layer.tops}
        if blob in names:
            return blob
        near = get_close_matches(blob, [*self._last, *names], 1)
        remedy = f'did you mean "{near[0]}"?' if near else f"the outputs are {', '.join(self.outputs)}"
        raise PrototxtError(f'the net has no blob "{blob}"', where=self.source, remedy=remedy)


def load(
    path: str | os.PathLike[str],
    *,
    phase: str | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Net:
    """Read a prototxt file.

    Args:
        path: the file; any generation of Caffe's format.
        phase: ``TEST`` or ``TRAIN``; None is the phase in the net's own ``state``, TEST if it has none.
        level: for ``min_level`` and ``max_level`` rules; None likewise, 0 if the net has none.
        stages: for ``stage`` and ``not_stage`` rules, added to the net's own.
        input_shapes: shapes by input name, in place of the declared ones.

    Raises:
        PrototxtError: the file cannot be read, or describes a net that Caffe would refuse.
    """
    source = os.fspath(path)
    text = read_text(path)
    return loads(text, source=source, phase=phase, level=level, stages=stages, input_shapes=input_shapes)


def loads(
    text: str,
    *,
    source: str = "<string>",
    phase: str | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Net:
    """Read a prototxt from a string; `source` names it in errors, the rest is as in :func:`load`.

    >>> net = loads('input: "x" input_shape { dim: 2 dim: 3 } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    >>> dict(net.inputs), net.outputs, net.layers[1].where
    ({'x': (2, 3)}, ('y',), '<string>:1: layer "r" (ReLU)')
    """
    parsed = parse(text, source)
    if not parsed.message.layer and not parsed.message.layers:
        solver = {unknown.path for unknown in parsed.unknown} & {"net", "train_net", "base_lr", "solver_mode"}
        message = "it is a solver's prototxt, not a net's" if solver else "it describes no layers"
        raise PrototxtError(message, where=source, remedy="give the prototxt of a net (deploy.prototxt)")
    return _build(parsed, phase, level, stages, input_shapes)


def from_message(
    net_parameter: Any,
    *,
    source: str = "",
    phase: str | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
) -> Net:
    """The net that a caffemodel embeds.

    Args:
        net_parameter: a NetParameter of :mod:`prototxt.schema` or of any other ``caffe_pb2``; it is not changed.
            Blobs are copied along: strip them first.
        source: the file, for errors.
        phase, level, stages, input_shapes: as in :func:`load`.

    Raises:
        PrototxtError: as in :func:`load`.
    """
    own = message_class("NetParameter")
    if not isinstance(net_parameter, own):
        net_parameter = own.FromString(net_parameter.SerializeToString())
    if not net_parameter.layer and not net_parameter.layers:
        raise PrototxtError("it embeds no net", where=source, remedy="give the prototxt as well")
    parsed = Parsed(net_parameter, source, (), (), MappingProxyType({}))
    return _build(parsed, phase, level, stages, input_shapes)


def _place(source: str, line: int | None, name: str, type_: str) -> str:
    file = f"{source}:{line}" if source and line is not None else source
    return f'{file}: layer "{name}" ({type_})' if file else f'layer "{name}" ({type_})'


def _build(
    parsed: Parsed,
    phase: str | None,
    level: int | None,
    stages: Iterable[str],
    input_shapes: Mapping[str, Sequence[int]] | None,
) -> Net:
    """Upgrade, filter, wire and check."""
    upgraded = upgrade(parsed.message, lambda index: _original_place(parsed, index))
    message = upgraded.message
    message.state.CopyFrom(net_state(message.state, phase, level, stages, parsed.source))
    lines = [_line(parsed, origin) for origin in upgraded.origins]
    places = [
        _place(parsed.source, line, each.name, each.type) for line, each in zip(lines, message.layer, strict=True)
    ]
    kept = [index for index, each in enumerate(message.layer) if included(each, message.state, places[index])]
    absent = [(top, places[i]) for i, each in enumerate(message.layer) if i not in set(kept) for top in each.top]
    _keep(message, set(kept), parsed.source)
    places = [places[index] for index in kept]
    _check_layers(message.layer, places)
    shapes = input_shapes_of(message.layer, places, input_shapes, parsed.source)
    wiring = wire(message.layer, places, absent)
    unknown = _unknown(parsed, upgraded)
    layers = _layers(message, wiring, parsed.source, [(lines[i], upgraded.origins[i]) for i in kept], unknown)
    inputs = MappingProxyType(shapes)
    last = MappingProxyType(wiring.last)
    return Net(message.name, parsed.source, layers, inputs, wiring.outputs, unknown, message, last)


def _line(parsed: Parsed, origin: int | None) -> int | None:
    """The line of a layer of the original, or (None) of the legacy input fields."""
    if origin is None:
        return parsed.first.get("input")
    return parsed.lines[origin] if parsed.lines else None


def _original_place(parsed: Parsed, index: int | None) -> str:
    """The place of a layer of the original net in whatever format, or of the net itself."""
    if index is None:
        return parsed.source
    net = parsed.message
    layer = net.layers[index] if net.layers else net.layer[index]
    inner = layer.layer if net.layers and layer.HasField("layer") else layer
    kind = inner.type if isinstance(inner.type, str) else inner.LayerType.Name(inner.type)
    return _place(parsed.source, _line(parsed, index), inner.name, kind)


def _keep(message: Any, kept: set[int], source: str) -> None:
    """Delete the layers that are not kept."""
    if not kept:
        phase = message.state.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_number[message.state.phase].name
        raise PrototxtError(f"no layer is left in phase {phase}", where=source, remedy="choose another phase or stage")
    for index in reversed(range(len(message.layer))):
        if index not in kept:
            del message.layer[index]


def _check_layers(layers: Iterable[Any], places: Iterable[str]) -> None:
    """What Caffe checks of each layer by itself."""
    for layer, where in zip(layers, places, strict=True):
        if not layer.type:
            raise PrototxtError("the layer has no type", where=where, remedy='add type: "..."')
        if layer.propagate_down and len(layer.propagate_down) != len(layer.bottom):
            message = f"{len(layer.propagate_down)} propagate_down for {len(layer.bottom)} bottom(s)"
            raise PrototxtError(message, where=where, remedy="write none, or one for each bottom")


def _unknown(parsed: Parsed, upgraded: Upgraded) -> tuple[Unknown, ...]:
    """What the schema lacks, then what the upgrade dropped."""
    dropped = []
    for origin, path, value in upgraded.ignored:
        line = parsed.first.get(path) if origin is None else _line(parsed, origin)
        dropped.append(Unknown(path, line, None, value, origin))
    return (*parsed.unknown, *dropped)


def _layers(
    message: Any,
    wiring: Wiring,
    source: str,
    origins: list[tuple[int | None, int | None]],
    unknown: tuple[Unknown, ...],
) -> tuple[Layer, ...]:
    own: dict[int | None, list[Unknown]] = {}
    for each in unknown:
        own.setdefault(each.layer, []).append(each)
    return tuple(
        Layer(
            each.name,
            each.type,
            bottoms,
            tops,
            each,
            line,
            source,
            tuple(own.get(origin, ())) if origin is not None else (),
        )
        for each, bottoms, tops, (line, origin) in zip(message.layer, wiring.bottoms, wiring.tops, origins, strict=True)
    )
