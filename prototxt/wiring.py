"""Which layer reads which value: in-place tops get names of their own, and what Caffe refuses is refused.

After ``Net::AppendTop`` and ``Net::AppendBottom`` in ``caffe/net.cpp``, and ``InsertSplits`` in
``caffe/util/insert_splits.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from prototxt.errors import PrototxtError, nearest_names

__all__ = ["Entry", "Wiring", "place", "wire"]


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
