"""What a net inside a caffemodel holds beyond the schema: fields of forks, told by number, and enum values of forks.

Protobuf keeps such fields aside without a word. A dropped enum value would leave Caffe's default in its place: a fork's
pooling method would be read as MAX.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from prototxt.errors import PrototxtError
from prototxt.text_format.fields import is_repeated
from prototxt.text_format.parser import Unknown
from prototxt.wiring import place

__all__ = ["unknown_fields"]

# Enums that have no say in what a layer computes in phase TEST.
_IRRELEVANT = {"backend", "engine", "norm", "normalization", "phase", "share_mode", "variance_norm"}


def unknown_fields(net: Any, source: str) -> tuple[Unknown, ...]:
    """Every field of a NetParameter that the schema lacks.

    Raises:
        PrototxtError: an enum has a value that the schema lacks, or a string is not UTF-8 text.
    """
    fields = [Unknown(path, None, None, text) for path, text in _unknown(net, "", "", source, ("layer", "layers"))]
    for index, layer in enumerate(net.layers or net.layer):
        kind = layer.type if isinstance(layer.type, str) else "of Caffe's old format"
        where = place(source, None, layer.name, kind)
        fields += [Unknown(path, None, None, text, index) for path, text in _unknown(layer, "", "", where, ("blobs",))]
    return tuple(fields)


def _unknown(message: Any, path: str, name: str, where: str, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """(path, value) of each unknown field of a message and of those inside it."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    known = {field.number: field for field in message.DESCRIPTOR.fields}
    unknown = UnknownFieldSet(message)
    for entry in (unknown[index] for index in range(len(unknown))):
        field = known.get(entry.field_number)
        if field is None or field.enum_type is None:
            yield f"{path}field {entry.field_number}", _text(entry.data)
        elif field.name not in _IRRELEVANT and (name or field.name != "type"):  # V1's type: the upgrade refuses it
            text = f"{path}{field.name} is {entry.data}, a value that only a fork knows"
            raise PrototxtError(text, where=where, remedy="give the prototxt of the net as well")
    for descriptor, value in message.ListFields():
        if descriptor.type == FieldDescriptor.TYPE_STRING:
            _check_text(value if is_repeated(descriptor) else (value,), descriptor.name, where)
        if descriptor.message_type is None or descriptor.name in skip:
            continue
        for inner in value if hasattr(value, "__len__") else (value,):
            yield from _unknown(inner, f"{path}{descriptor.name}.", descriptor.name, where, ("blobs",))


def _check_text(values: Iterable[str | bytes], name: str, where: str) -> None:
    """Refuse strings that are not UTF-8: protobuf hands them out as bytes, in some releases it raises."""
    try:
        wrong = next((value for value in values if isinstance(value, bytes)), None)
    except UnicodeDecodeError as error:
        wrong = error.object
    if wrong is not None:
        text = f"{name} is no UTF-8 text: {wrong[:40]!r}"
        raise PrototxtError(
            text, where=where, remedy="download the file again, or give the prototxt of the net as well"
        )


def _text(data: Any) -> str:
    if isinstance(data, int):
        return str(data)
    return f"{len(data)} bytes" if isinstance(data, bytes) else "a group"
