"""The protobuf wire format, as far as a weight file needs it: walking fields, copying a message without its big ones.

Source: the encoding chapter of the protobuf documentation. Only offsets are returned, so a field of 400 MB costs as
much as one of four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from prototxt.limits import get_limits

__all__ = [
    "FIXED32",
    "FIXED64",
    "LEN",
    "VARINT",
    "Field",
    "Strip",
    "WireError",
    "delimited",
    "fields",
    "read_field",
    "read_varint",
    "run",
    "strip",
    "tag",
    "varint",
]

VARINT, FIXED64, LEN, GROUP, END_GROUP, FIXED32 = range(6)

Strip: TypeAlias = "Mapping[int, Strip | None]"
"""Field number → None (leave the field out) or the rules for the message in it."""
_KEEP: Strip = {}


class WireError(ValueError):
    """Bytes that no protobuf writer produces; callers turn it into a WeightsError that names the file.

    ``needs`` is the offset up to which the data would have to reach, where a length points past the end; ``inside``
    says which part of the file was being read.
    """

    def __init__(self, message: str, offset: int, *, needs: int | None = None) -> None:
        super().__init__(message)
        self.message, self.offset, self.needs, self.inside = message, offset, needs, ""

    def __str__(self) -> str:
        return f"{self.inside}: {self.message}" if self.inside else self.message


class Field(NamedTuple):
    """One field: where its tag begins, and where its payload begins and ends (``value``: of a varint)."""

    number: int
    wire: int
    tag: int
    start: int
    end: int
    value: int


def read_varint(data: memoryview, position: int, end: int) -> tuple[int, int]:
    """The number at ``position`` (64 bits, unsigned) and the offset behind it; WireError if it is cut off.

    >>> read_varint(memoryview(bytes.fromhex("ac02")), 0, 2)
    (300, 2)
    """
    value = shift = 0
    for at in range(position, min(position + 10, end)):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + 1
        shift += 7
    if end - position < 10:
        raise WireError("a number is cut off", position, needs=end + 1)
    raise WireError("a number has more than 10 bytes", position)


def _skip_group(data: memoryview, number: int, position: int, end: int, depth: int) -> int:
    while position < end:
        field = read_field(data, position, end, depth=depth + 1)
        position = field.end
        if field.wire == END_GROUP:
            if field.number != number:
                raise WireError(f"group {number} is closed as {field.number}", field.tag)
            return position
    raise WireError(f"group {number} is not closed", position, needs=end + 1)


def read_field(data: memoryview, position: int, end: int, *, depth: int = 0) -> Field:
    """The field whose tag lies at ``position`` of a message ending at ``end``; WireError if it does not fit.

    >>> read_field(memoryview(b"\\x0a\\x03net"), 0, 5)
    Field(number=1, wire=2, tag=0, start=2, end=5, value=0)
    """
    key, start = read_varint(data, position, end)
    number, wire, value = key >> 3, key & 7, 0
    if not 0 < number < 1 << 29:
        raise WireError(f"field number {number} is impossible", position)
    if wire == VARINT:
        value, stop = read_varint(data, start, end)
    elif wire == LEN:
        length, start = read_varint(data, start, end)
        stop = start + length
    elif wire in (FIXED32, FIXED64):
        stop = start + (4 if wire == FIXED32 else 8)
    elif wire == GROUP:
        if depth >= get_limits().nesting:
            raise WireError("groups are nested too deeply", position)
        stop = _skip_group(data, number, start, end, depth)
    elif wire == END_GROUP and depth:
        stop = start
    else:
        raise WireError(f"wire type {wire} of field {number} is impossible here", position)
    if stop > end:
        raise WireError(f"field {number} ends at byte {stop:,}, beyond the end at {end:,}", position, needs=stop)
    return Field(number, wire, position, start, stop, value)


def fields(data: memoryview, start: int, end: int) -> Iterator[Field]:
    """All fields of the message in ``data[start:end]``, known or not; WireError at the first impossible one."""
    while start < end:
        field = read_field(data, start, end)
        yield field
        start = field.end


def run(data: memoryview, first: Field, end: int) -> np.ndarray:
    """The payload bytes of ``first`` and of all fields like it that follow at once, (count, 4 or 8) uint8.

    An unpacked ``repeated float`` has a tag in front of every value; walking a million of them one by one takes
    seconds, so whole stretches are compared at a time (ever longer ones, so that short runs stay cheap).
    """
    width = first.end - first.tag
    head = np.frombuffer(data, np.uint8, first.start - first.tag, first.tag)
    count, step = 1, 64
    while True:
        offset = first.tag + count * width
        repeats = min(step, (end - offset) // width)
        if repeats <= 0:
            break
        block = np.frombuffer(data, np.uint8, repeats * width, offset).reshape(repeats, width)
        same = (block[:, : head.size] == head).all(axis=1)
        good = repeats if same.all() else int(same.argmin())
        count += good
        if good < repeats:
            break
        step = min(step * 2, 1 << 20)
    block = np.frombuffer(data, np.uint8, count * width, first.tag).reshape(count, width)
    return block[:, head.size :]


def strip(data: memoryview, start: int, end: int, rules: Strip) -> bytes:
    """A copy of the message ``data[start:end]`` without the fields that ``rules`` leave out; lengths are corrected.

    >>> strip(memoryview(b"\\x0a\\x03net\\x12\\x02\\x08\\x01"), 0, 9, {2: {1: None}})
    b'\\n\\x03net\\x12\\x00'
    """
    parts: list[bytes] = []
    for field in fields(data, start, end):
        rule = rules.get(field.number, _KEEP)
        if rule is None:
            continue
        if rule and field.wire == LEN:
            parts.append(delimited(field.number, strip(data, field.start, field.end, rule)))
        else:
            parts.append(bytes(data[field.tag : field.end]))
    return b"".join(parts)


def varint(value: int) -> bytes:
    """A number as protobuf writes it.

    >>> varint(300).hex()
    'ac02'
    """
    out = bytearray()
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(number: int, wire: int = LEN) -> bytes:
    """The tag in front of a field."""
    return varint(number << 3 | wire)


def delimited(number: int, payload: bytes) -> bytes:
    """A length-delimited field: a string, bytes, a message, or packed numbers."""
    return tag(number) + varint(len(payload)) + payload
