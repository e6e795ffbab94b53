"""What the schema says about each message's fields, in the form that reading a text needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

__all__ = ["BOOL", "ENUM", "FLOAT", "INT", "MESSAGE", "TEXT", "Field", "Table", "is_repeated", "table_of"]

MESSAGE, INT, FLOAT, BOOL, ENUM, TEXT = range(6)


@dataclass
class Field:
    """A field: its name, kind (``MESSAGE``, ``INT``, …) and what a value of it may be."""

    name: str
    kind: int
    repeated: bool
    takes: str
    low: int = 0
    high: int = 0
    is_bytes: bool = False
    values: dict[str, int] = field(default_factory=dict)
    table: Table | None = None
    is_layer: bool = False


@dataclass
class Table:
    """The fields of a message, by name, and the names of those that must be there."""

    fields: dict[str, Field]
    required: tuple[str, ...]


_tables: dict[str, Table] = {}


def table_of(descriptor: Any) -> Table:
    """The table of a message of the schema, from its descriptor; made once."""
    table = _tables.get(descriptor.full_name)
    if table is None:
        table = _tables[descriptor.full_name] = Table({}, ())
        table.fields.update((each.name, _field(each)) for each in descriptor.fields)
        table.required = tuple(each.name for each in descriptor.fields if _is_required(each))
    return table


def is_repeated(descriptor: Any) -> bool:
    """Whether a field takes several values."""
    # `label` is deprecated since protobuf 6.31, `is_repeated` absent before it.
    known = getattr(descriptor, "is_repeated", None)
    return bool(descriptor.label == FieldDescriptor.LABEL_REPEATED if known is None else known)


def _is_required(descriptor: Any) -> bool:
    known = getattr(descriptor, "is_required", None)
    return bool(descriptor.label == FieldDescriptor.LABEL_REQUIRED if known is None else known)


def _field(descriptor: Any) -> Field:
    name, repeated, cpp_type = descriptor.name, is_repeated(descriptor), descriptor.cpp_type
    if cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        table = table_of(descriptor.message_type)
        is_layer = descriptor.message_type.name in ("LayerParameter", "V1LayerParameter")
        return Field(name, MESSAGE, repeated, "fields in braces", table=table, is_layer=is_layer)
    if cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        values = {value.name: value.number for value in descriptor.enum_type.values}
        return Field(name, ENUM, repeated, "a name without quotes", values=values)
    if cpp_type == FieldDescriptor.CPPTYPE_STRING:
        is_bytes = descriptor.type == FieldDescriptor.TYPE_BYTES
        return Field(name, TEXT, repeated, "a string in quotes", is_bytes=is_bytes)
    if cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return Field(name, BOOL, repeated, "true or false")
    if cpp_type in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return Field(name, FLOAT, repeated, "a number")
    bits = 64 if cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else 32
    if cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64):
        return Field(name, INT, repeated, "a whole number", 0, 2**bits - 1)
    return Field(name, INT, repeated, "a whole number", -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
