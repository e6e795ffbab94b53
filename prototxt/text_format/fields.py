"""The schema's fields in the form that reading a text needs, and the values that they take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from prototxt.errors import PrototxtError, nearest_names
from prototxt.text_format.tokens import IDENTIFIER, NUMBER, STRING, Tokens, float_value, int_value, short

__all__ = [
    "BOOL",
    "ENUM",
    "FLOAT",
    "INT",
    "MESSAGE",
    "TEXT",
    "SchemaField",
    "SchemaMessage",
    "is_repeated",
    "read_value",
    "schema_message",
]

MESSAGE, INT, FLOAT, BOOL, ENUM, TEXT = range(6)


@dataclass
class SchemaField:
    """A field: its name, kind (``MESSAGE``, ``INT``, …) and what a value of it may be."""

    name: str
    kind: int
    repeated: bool
    takes: str
    low: int = 0
    high: int = 0
    is_bytes: bool = False
    values: dict[str, int] = field(default_factory=dict)
    schema: SchemaMessage | None = None
    is_layer: bool = False


@dataclass
class SchemaMessage:
    """The fields of a message, by name, and the names of those that must be there."""

    fields: dict[str, SchemaField]
    required: tuple[str, ...]


_schemas: dict[str, SchemaMessage] = {}


def schema_message(descriptor: Any) -> SchemaMessage:
    """What the schema says about a message, from its descriptor; made once."""
    schema = _schemas.get(descriptor.full_name)
    if schema is None:
        schema = _schemas[descriptor.full_name] = SchemaMessage({}, ())
        schema.fields.update((field.name, _field(field)) for field in descriptor.fields)
        schema.required = tuple(field.name for field in descriptor.fields if _is_required(field))
    return schema


def is_repeated(descriptor: Any) -> bool:
    """Whether a field takes several values."""
    # `label` is deprecated since protobuf 6.31, `is_repeated` absent before it.
    known = getattr(descriptor, "is_repeated", None)
    return bool(descriptor.label == FieldDescriptor.LABEL_REPEATED if known is None else known)


def _is_required(descriptor: Any) -> bool:
    known = getattr(descriptor, "is_required", None)
    return bool(descriptor.label == FieldDescriptor.LABEL_REQUIRED if known is None else known)


def _field(descriptor: Any) -> SchemaField:
    name, repeated, cpp_type = descriptor.name, is_repeated(descriptor), descriptor.cpp_type
    if cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        schema = schema_message(descriptor.message_type)
        is_layer = descriptor.message_type.name in ("LayerParameter", "V1LayerParameter")
        return SchemaField(name, MESSAGE, repeated, "fields in braces", schema=schema, is_layer=is_layer)
    if cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        values = {value.name: value.number for value in descriptor.enum_type.values}
        return SchemaField(name, ENUM, repeated, "a name without quotes", values=values)
    if cpp_type == FieldDescriptor.CPPTYPE_STRING:
        is_bytes = descriptor.type == FieldDescriptor.TYPE_BYTES
        return SchemaField(name, TEXT, repeated, "a string in quotes", is_bytes=is_bytes)
    if cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return SchemaField(name, BOOL, repeated, "true or false")
    if cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return SchemaField(name, FLOAT, repeated, "a number")
    bits = 64 if cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else 32
    if cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return SchemaField(name, INT, repeated, "a whole number", 0, 2**bits - 1)
    return SchemaField(name, INT, repeated, "a whole number", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


_TRUE, _FALSE = ("true", "True", "t", "1"), ("false", "False", "f", "0")


def read_value(tokens: Tokens, field: SchemaField, index: int) -> tuple[Any, int]:
    """The value that begins at a token, and the index of the token after it.

    Raises:
        PrototxtError: the field takes no such value.
    """
    kind, text = tokens.kinds[index], tokens.texts[index]
    if field.kind == INT:
        number = int_value(text) if kind == NUMBER else None
        if number is not None:
            if field.low <= number <= field.high:
                return number, index + 1
            allowed = f"{field.low} to {field.high}"
            raise tokens.error(index, f"{field.name}: {short(text)} is out of range", f"it may be {allowed}")
    elif field.kind == FLOAT:
        value = float_value(text) if kind in (NUMBER, IDENTIFIER) else None
        if value is not None:
            return value, index + 1
    elif field.kind == BOOL:
        if text in _TRUE or text in _FALSE:
            return text in _TRUE, index + 1
    elif field.kind == ENUM:
        if kind in (IDENTIFIER, NUMBER):
            return _enum(tokens, field, index), index + 1
    elif kind == STRING:
        return _string(tokens, field, index)
    raise _wrong(tokens, field, index)


def _string(tokens: Tokens, field: SchemaField, index: int) -> tuple[str | bytes, int]:
    """A string; adjacent ones are one."""
    text = tokens.texts[index]
    after = index + 1
    if "\\" not in text and tokens.kinds[after] != STRING and not field.is_bytes:
        return text[1:-1], after
    joined = bytearray(tokens.string(index))
    while tokens.kinds[after] == STRING:
        joined += tokens.string(after)
        after += 1
        tokens.reach(after + 1)
    data = bytes(joined)
    if field.is_bytes:
        return data, after
    try:
        return data.decode(), after
    except UnicodeDecodeError:
        # Old files name their classes and folders in latin-1, escaped byte by byte.
        return data.decode("latin-1"), after


def _enum(tokens: Tokens, field: SchemaField, index: int) -> int:
    """The number of an enum value, given by name or by number."""
    text = tokens.texts[index]
    if tokens.kinds[index] == IDENTIFIER:
        if text in field.values:
            return field.values[text]
    elif (number := int_value(text)) is not None and number in field.values.values():
        return number
    near = next(iter(nearest_names(short(text), field.values)), "")
    hint = f"; nearest: {near}" if near else ""
    if _is_layer_type(field):
        message = f"{short(text)} is not a layer type of Caffe's old format{hint}"
        raise tokens.error(index, message, 'it is a fork\'s: write the layer in the new format, layer { type: "..." }')
    message = f"{field.name}: {short(text)} is not one of {', '.join(field.values)}{hint}"
    raise tokens.error(index, message, "if it is a fork's, choose a value that Caffe has")


def _is_layer_type(field: SchemaField) -> bool:
    return field.name == "type" and "CONVOLUTION" in field.values


def _wrong(tokens: Tokens, field: SchemaField, index: int) -> PrototxtError:
    """The error of a value of the wrong kind."""
    kind, text = tokens.kinds[index], tokens.texts[index]
    bare = short(text[1:-1] if kind == STRING else text)
    if text == "[" and not field.repeated:
        return tokens.error(index, f"{field.name} takes one value, found a list", "write a single value")
    remedy = "correct the value"
    if kind == STRING and field.kind != TEXT:
        remedy = f"write {bare} without quotes"
        if _is_layer_type(field):
            remedy = "the old layers { } take a name such as CONVOLUTION; the new layer { } takes a type in quotes"
    elif kind == IDENTIFIER and field.kind == TEXT:
        remedy = f'write "{bare}"'
        if field.name == "type" and text.isupper():
            remedy = 'such names belong to the old layers { }; the new layer { } takes one such as "Convolution"'
    elif kind == NUMBER and field.kind == FLOAT:
        remedy = "write it in decimal"
    elif kind == NUMBER and field.kind == TEXT:
        remedy = f'write "{bare}"'
    return tokens.error(index, f"{field.name} takes {field.takes}, found {tokens.shown(index)}", remedy)
