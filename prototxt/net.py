"""From a text or a message to a :class:`Net`: upgraded, filtered by phase, in-place tops renamed, checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from prototxt.errors import PrototxtError
from prototxt.generations.binary import unknown_fields
from prototxt.generations.upgrade import Upgraded, upgrade
from prototxt.limits import get_limits, raise_hint
from prototxt.schema import message_class
from prototxt.structure import Layer, Net
from prototxt.text_format.files import read_text
from prototxt.text_format.parser import Parsed, Unknown, parse
from prototxt.wiring import Entry, Wiring, included, input_shapes_of, net_state, place, wire

__all__ = [
    "Layer",
    "Net",
    "Rewrite",
    "Unknown",
    "build",
    "dumps",
    "from_message",
    "load",
    "loads",
    "parse_net",
    "parsed_message",
]

#: Changes the layers of a net before it is wired: (kept, left out by the phase rules) → (layers, notes).
Rewrite = Callable[[list[Entry], list[Entry]], tuple[list[Entry], list[str]]]


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
    return build(parse_net(text, source), phase, level, stages, input_shapes)


def parse_net(text: str, source: str) -> Parsed:
    """The text of a net as a message; PrototxtError if it describes no layers."""
    parsed = parse(text, source)
    if not parsed.message.layer and not parsed.message.layers:
        solver = {unknown.path for unknown in parsed.unknown} & {"net", "train_net", "base_lr", "solver_mode"}
        message = "it is a solver's prototxt, not a net's" if solver else "it describes no layers"
        raise PrototxtError(message, where=source, remedy="give the prototxt of a net (deploy.prototxt)")
    return parsed


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
    return build(parsed_message(net_parameter, source), phase, level, stages, input_shapes)


def parsed_message(net_parameter: Any, source: str) -> Parsed:
    """The net of a caffemodel as if it had been read from a text without lines; PrototxtError if it has no layers."""
    own = message_class("NetParameter")
    if not isinstance(net_parameter, own):
        net_parameter = own.FromString(net_parameter.SerializeToString())
    if not net_parameter.layer and not net_parameter.layers:
        raise PrototxtError("it embeds no net", where=source, remedy="give the prototxt as well")
    return Parsed(net_parameter, source, (), unknown_fields(net_parameter, source), MappingProxyType({}))


def build(
    parsed: Parsed,
    phase: str | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    rewrite: Rewrite | None = None,
) -> Net:
    """Upgrade, filter, wire and check."""
    _check_count(parsed)
    upgraded = upgrade(parsed.message, lambda index: _original_place(parsed, index))
    message = upgraded.message
    message.state.CopyFrom(net_state(message.state, phase, level, stages, parsed.source))
    entries = [_entry(parsed, layer, origin) for layer, origin in zip(message.layer, upgraded.origins, strict=True)]
    kept = [entry for entry in entries if included(entry.message, message.state, entry.where)]
    if not kept:
        raise _nothing_left(message.state, parsed.source)
    chosen = {id(entry) for entry in kept}
    absent = [entry for entry in entries if id(entry) not in chosen]
    notes: list[str] = []
    if rewrite is not None:
        kept, notes = rewrite(kept, absent)
    _replace_layers(message, kept)
    kept = [Entry(layer, old.line, old.origin, old.where) for layer, old in zip(message.layer, kept, strict=True)]
    places = [entry.where for entry in kept]
    _check_layers(message.layer, places)
    shapes = input_shapes_of(message.layer, places, input_shapes, parsed.source)
    wiring = wire(message.layer, places, [(top, entry.where) for entry in absent for top in entry.message.top])
    unknown = _unknown(parsed, upgraded)
    layers = _layers(kept, wiring, parsed.source, unknown)
    inputs = MappingProxyType(shapes)
    last = MappingProxyType(wiring.last)
    return Net(
        message.name,
        parsed.source,
        layers,
        inputs,
        wiring.outputs,
        unknown,
        message,
        tuple(notes),
        rewrite is not None,
        last,
    )


def _entry(parsed: Parsed, layer: Any, origin: int | None) -> Entry:
    line = _line(parsed, origin)
    return Entry(layer, line, origin, place(parsed.source, line, layer.name, layer.type))


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
    return place(parsed.source, _line(parsed, index), inner.name, kind)


def _nothing_left(state: Any, source: str) -> PrototxtError:
    phase = state.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_number[state.phase].name
    return PrototxtError(f"no layer is left in phase {phase}", where=source, remedy="choose another phase or stage")


def _replace_layers(message: Any, entries: list[Entry]) -> None:
    """Make the layers of a net those of `entries`, which may be some of its own."""
    if len(entries) == len(message.layer) and all(a.message is b for a, b in zip(entries, message.layer, strict=True)):
        return
    copies = message_class("NetParameter")(layer=[entry.message for entry in entries])
    message.ClearField("layer")
    message.layer.extend(copies.layer)


def _check_count(parsed: Parsed) -> None:
    """Refuse a net of more layers than the limit; a text was refused before, the net of a caffemodel is here."""
    most, count = get_limits().layers, len(parsed.message.layer) + len(parsed.message.layers)
    if count > most:
        message = f"it has {count:,} layers, the limit is {most:,}"
        raise PrototxtError(message, where=parsed.source, remedy=raise_hint("layers"))


def _check_layers(layers: Iterable[Any], places: Iterable[str]) -> None:
    """What Caffe checks of each layer by itself."""
    most = get_limits().blobs_per_layer
    for layer, where in zip(layers, places, strict=True):
        for what, count in (("bottoms", len(layer.bottom)), ("tops", len(layer.top))):
            if count > most:
                message = f"it has {count:,} {what}, the limit is {most:,}"
                raise PrototxtError(message, where=where, remedy=raise_hint("blobs_per_layer"))
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


def _layers(entries: list[Entry], wiring: Wiring, source: str, unknown: tuple[Unknown, ...]) -> tuple[Layer, ...]:
    own: dict[int | None, list[Unknown]] = {}
    for field in unknown:
        own.setdefault(field.layer, []).append(field)
    layers = []
    for entry, bottoms, tops in zip(entries, wiring.bottoms, wiring.tops, strict=True):
        fields = tuple(own.get(entry.origin, ())) if entry.origin is not None else ()
        name, type_ = entry.message.name, entry.message.type
        layers.append(Layer(name, type_, bottoms, tops, entry.message, entry.line, source, fields))
    return tuple(layers)


def dumps(net: Net) -> str:
    """The text of a net: upgraded to today's format, filtered by its phase, inputs as an Input layer.

    Reading it gives an equal net (``Net.message``). Fields that the schema lacks are not written; ``Net.unknown`` lists
    them.

    >>> from prototxt import loads
    >>> net = loads('input: "x" input_dim: [1, 2, 3, 4] layers { type: RELU bottom: "x" top: "y" name: "r" }')
    >>> print(dumps(net))
    state {
      phase: TEST
    }
    layer {
      name: "input"
      type: "Input"
      top: "x"
      input_param {
        shape {
          dim: 1
          dim: 2
          dim: 3
          dim: 4
        }
      }
    }
    layer {
      name: "r"
      type: "ReLU"
      bottom: "x"
      top: "y"
    }
    <BLANKLINE>
    >>> loads(dumps(net)).message == net.message
    True
    """
    from google.protobuf import text_format

    return str(text_format.MessageToString(net.message))
