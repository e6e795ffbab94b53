"""From the layers of a file to a connected net: those of the phase, the inputs' shapes, which layer reads which value.

After ``Net::FilterNet``, ``Net::StateMeetsRule``, ``Net::AppendTop`` and ``Net::AppendBottom`` in ``caffe/net.cpp``,
and ``InsertSplits`` in ``caffe/util/insert_splits.cpp``. In-place tops get names of their own.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prototxt.errors import PrototxtError, nearest_names
from prototxt.limits import check_blob, raise_hint
from prototxt.schema import message_class

__all__ = ["Entry", "Wiring", "included", "input_shapes_of", "net_state", "place", "wire"]

_SHOWN = 32  # sizes of a shape in a message


def place(source: str, line: int | None, name: str, type_: str) -> str:
    """A layer's place for messages.

    >>> place("deploy.prototxt", 12, "conv1", "Convolution")
    'deploy.prototxt:12: layer "conv1" (Convolution)'
    """
    file = f"{source}:{line}" if source and line is not None else source
    return f'{file}: layer "{name}" ({type_})' if file else f'layer "{name}" ({type_})'


@dataclass(frozen=True, eq=False)
class Entry:
    """A layer before the net is wired.

    Attributes:
        message: the LayerParameter in today's format.
        line: of the layer in the text, or None.
        origin: its index among the layers of the file, None for one that was made here.
        where: its place, for errors.
    """

    message: Any
    line: int | None
    origin: int | None
    where: str


def net_state(own: Any, phase: str | None, level: int | None, stages: Iterable[str], where: str) -> Any:
    """The NetState that the rules are judged by.

    Args:
        own: the ``state`` field of the net; holds where the caller gives nothing, and its stages always count.
        phase: ``TRAIN``, ``TEST``, or None for the net's own, which is TEST unless written otherwise.
        level: None for the net's own, which is 0 unless written otherwise.
        stages: names of stages, added to the net's own.
        where: the file, for errors.

    Raises:
        PrototxtError: there is no such phase.
    """
    state = message_class("NetState")()
    state.CopyFrom(own)
    if phase is not None:
        phases = state.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_name
        if phase.upper() not in phases:
            raise PrototxtError(f'there is no phase "{phase}"', where=where, remedy=f"choose from {', '.join(phases)}")
        state.phase = phases[phase.upper()].number
    else:
        state.phase = own.phase
    if level is not None:
        state.level = level
    state.stage.extend(stage for stage in stages if stage not in state.stage)
    return state


def included(layer: Any, state: Any, where: str) -> bool:
    """Whether a net in `state` has a layer.

    Raises:
        PrototxtError: the layer has both ``include`` and ``exclude`` rules.
    """
    if layer.include and layer.exclude:
        message = "it has both include and exclude rules, which Caffe refuses"
        raise PrototxtError(message, where=where, remedy="keep one kind")
    if layer.include:
        return any(_meets(state, rule) for rule in layer.include)
    return not any(_meets(state, rule) for rule in layer.exclude)


def _meets(state: Any, rule: Any) -> bool:
    """Whether a state meets every condition of a rule."""
    return not (
        (rule.HasField("phase") and rule.phase != state.phase)
        or (rule.HasField("min_level") and state.level < rule.min_level)
        or (rule.HasField("max_level") and state.level > rule.max_level)
        or not set(rule.stage) <= set(state.stage)
        or set(rule.not_stage) & set(state.stage)
    )


def input_shapes_of(
    layers: Sequence[Any], places: Sequence[str], given: Mapping[str, Sequence[int]] | None, source: str
) -> dict[str, tuple[int, ...]]:
    """The shape of every input blob, in net order; shapes that the caller gives are written into the Input layers.

    Args:
        layers: LayerParameter messages; their ``input_param`` is changed where a shape is given.
        places: where each of them is, for errors.
        given: shapes that replace the declared ones, by input name.
        source: the file, for errors.

    Raises:
        PrototxtError: an input without a shape, something that is not a shape, or a given name that is not an input.
    """
    given = dict(given or {})
    inputs = [layer for layer in layers if layer.type == "Input"]
    names = [top for layer in inputs for top in layer.top]
    for name in given:
        if name not in names:
            known = f"the inputs are {', '.join(names)}" if names else "the net has no Input layer"
            raise PrototxtError(f'there is no input "{name}" to give a shape to', where=source, remedy=known)
    result: dict[str, tuple[int, ...]] = {}
    for layer, where in zip(layers, places, strict=True):
        if layer.type == "Input":
            declared = _declared(layer, where)
            for top in layer.top:
                result[top] = _checked(top, _whole(top, given[top], where) if top in given else declared[top], where)
            if any(top in given for top in layer.top):
                del layer.input_param.shape[:]
                for top in layer.top:
                    layer.input_param.shape.add(dim=result[top])
    return result


def _whole(name: str, shape: Sequence[int], where: str) -> tuple[int, ...]:
    try:
        return tuple(operator.index(size) for size in shape)
    except TypeError:
        remedy = f"give whole numbers: input_shapes={{{name!r}: (1, 3, 224, 224)}}"
        raise PrototxtError(
            f'{shape!r}, given for input "{name}", is not a shape', where=where, remedy=remedy
        ) from None


def _declared(layer: Any, where: str) -> dict[str, tuple[int, ...] | None]:
    """The shapes that an Input layer declares: none, one for all tops, or one each (``InputLayer::LayerSetUp``)."""
    shapes: list[tuple[int, ...] | None] = [tuple(shape.dim) for shape in layer.input_param.shape]
    if len(shapes) not in (0, 1, len(layer.top)):
        message = f"an Input layer of {len(layer.top)} top(s) declares {len(shapes)} shapes"
        raise PrototxtError(message, where=where, remedy="declare one shape for all tops, or one for each")
    if len(shapes) != len(layer.top):
        shapes = (shapes or [None]) * len(layer.top)
    return dict(zip(layer.top, shapes, strict=True))


def _checked(name: str, shape: tuple[int, ...] | None, where: str) -> tuple[int, ...]:
    remedy = f"give one: --input-shape {name}=1,3,224,224 (or input_shapes={{{name!r}: (1, 3, 224, 224)}})"
    if shape is None:
        raise PrototxtError(f'input "{name}" declares no shape', where=where, remedy=remedy)
    if any(size < 1 for size in shape):
        written = "x".join(str(size) for size in shape[:_SHOWN])
        raise PrototxtError(f'input "{name}" has the shape {written}, but sizes start at 1', where=where, remedy=remedy)
    problem = check_blob(shape)
    if problem:
        hint = raise_hint("axes" if "axes" in problem else "elements")
        raise PrototxtError(f'input "{name}": {problem}', where=where, remedy=f"{remedy}; {hint}")
    return shape


@dataclass
class _Value:
    """One value of a blob: the layer that writes it, the layers that read it."""

    blob: str
    writer: int
    readers: list[int] = field(default_factory=list)
    overwriter: int | None = None
    name: str = ""


@dataclass(frozen=True)
class Wiring:
    """The versioned names of a net's blobs.

    Attributes:
        bottoms: per layer.
        tops: per layer.
        outputs: values that no layer reads, unused inputs aside, in the order in which they are produced.
        last: blob name as written in the file, to the versioned name of its last value.
    """

    bottoms: tuple[tuple[str, ...], ...]
    tops: tuple[tuple[str, ...], ...]
    outputs: tuple[str, ...]
    last: dict[str, str]


def wire(layers: Sequence[Any], places: Sequence[str], absent: Iterable[tuple[str, str]] = ()) -> Wiring:
    """Connect the layers of a net.

    Args:
        layers: LayerParameter messages, filtered.
        places: where each of them is, for errors.
        absent: (blob, place of the layer) of the tops of layers that the phase rules left out.

    Raises:
        PrototxtError: a bottom that nothing produces, a blob with two producers, or a blob that one layer reads and
            another overwrites.
    """
    current: dict[str, _Value] = {}
    values: list[_Value] = []
    bottoms: list[list[_Value]] = []
    tops: list[list[_Value]] = []
    for index, layer in enumerate(layers):
        bottoms.append([])
        tops.append([])
        for bottom in layer.bottom:
            if bottom not in current:
                raise _unknown_bottom(bottom, current, places[index], dict(absent))
            current[bottom].readers.append(index)
            bottoms[-1].append(current[bottom])
        for position, top in enumerate(layer.top):
            before = current.get(top)
            if before is not None:
                if top not in layer.bottom or top in layer.top[:position]:
                    message = f'blob "{top}" is produced by multiple sources: also by {places[before.writer]}'
                    raise PrototxtError(message, where=places[index], remedy="give one of the two tops another name")
                before.overwriter = index
            current[top] = _Value(top, index)
            values.append(current[top])
            tops[-1].append(current[top])
    _check_overwritten(values, places)
    _name(values, current, layers)
    return Wiring(
        tuple(tuple(value.name for value in row) for row in bottoms),
        tuple(tuple(value.name for value in row) for row in tops),
        tuple(value.name for value in values if not value.readers and layers[value.writer].type != "Input"),
        {blob: value.name for blob, value in current.items()},
    )


def _unknown_bottom(bottom: str, known: Iterable[str], where: str, absent: dict[str, str]) -> PrototxtError:
    if bottom in absent:
        message = f'bottom blob "{bottom}" comes only from a layer that this phase leaves out: {absent[bottom]}'
        return PrototxtError(message, where=where, remedy="use the deploy prototxt, or another phase")
    near = next(iter(nearest_names(bottom, known)), "")
    remedy = f'did you mean "{near}"?' if near else "a layer above, or an input, has to produce it"
    return PrototxtError(f'unknown bottom blob "{bottom}"', where=where, remedy=remedy)


def _check_overwritten(values: Iterable[_Value], places: Sequence[str]) -> None:
    # Caffe gives each reader of a shared blob a copy under another name (InsertSplits), so that an in-place top beside
    # another reader is no longer its layer's bottom: "produced by multiple sources".
    for value in values:
        if value.overwriter is None or len(value.readers) == 1:
            continue
        others = [reader for reader in value.readers if reader != value.overwriter]
        reader = places[others[0]] if others else "the same layer twice"
        message = f'blob "{value.blob}" is overwritten in place here, but also read by {reader}'
        message += ' (Caffe: "produced by multiple sources")'
        raise PrototxtError(message, where=places[value.overwriter], remedy="give the top another name")


def _name(values: Iterable[_Value], current: dict[str, _Value], layers: Sequence[Any]) -> None:
    """Name every value: the blob's own name for the last one, or for an input; ``blob@layer`` for the others."""
    inputs = {value.blob for value in values if layers[value.writer].type == "Input"}
    taken = set(current)
    numbers: dict[str, int] = {}
    for value in values:
        layer = layers[value.writer]
        plain = layer.type == "Input" if value.blob in inputs else current[value.blob] is value
        if plain:
            value.name = value.blob
            continue
        # Layers may be nameless, and names may repeat.
        stem = value.name = f"{value.blob}@{layer.name or layer.type}"
        number = numbers.get(stem, 1)  # ten thousand layers may share a name: none is counted twice
        while value.name in taken:
            number += 1
            value.name = f"{stem}#{number}"
        numbers[stem] = number
        taken.add(value.name)
