"""Accidents that happen to files, and some that are arranged: bytes, words of a text, fields of a protobuf message."""

from __future__ import annotations

import random
import re
import struct
import zlib
from collections.abc import Callable, Sequence

from weights.files.wire import LEN, WireError, delimited, fields, tag, varint

__all__ = ["mutant", "structured"]

Mutation = Callable[[random.Random, bytes, Sequence[bytes]], bytes]

_SPANS = (1, 1, 1, 2, 4, 8, 40, 400)
_BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x0A, 0x20, 0x22, 0x7B, 0x7D)
_INTEGERS = (0, 1, -1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 10**9, 65536)
_WORD = re.compile(rb"[A-Za-z_]+|-?[0-9.]+|\"[^\"\n]*\"|[^\sA-Za-z0-9]")
_WORDS = (
    b"{", b"}", b"[", b"]", b"<", b">", b":", b'"', b"'", b"#", b"-1", b"0", b"1e38", b"nan", b"inf", b"4294967295",
    b"9223372036854775807", b"99999999999999999999", b"layer", b"layers", b"true", b"\xff", b"\0", b'"\\377"',
    b'"a" "b"', b'bottom: "x"', b'top: "x"', b'type: "ReLU"', b"type: RELU", b"include { phase: TRAIN }",
    b"dim: 1000000000",
    b"num_output: 2147483647", b"kernel_size: 0", b"stride: 0", b"axis: -9", b"layer {}", b"blobs { data: 1 }",
)  # fmt: skip


def _bytes(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """Bits flipped, bytes set, pieces cut out, doubled, moved, put in from elsewhere; the end lost."""
    at = rng.randrange(len(data) + 1)
    end = min(len(data), at + rng.choice(_SPANS))
    choice = rng.randrange(8)
    if choice == 0:
        return data[:at]
    if choice == 1:
        return data[:at] + data[end:]
    if choice == 2:
        return data[:end] + data[at:]
    if choice == 3:
        return data[:at] + bytes(rng.choice(_BYTES) for _ in range(rng.choice(_SPANS))) + data[at:]
    if choice == 4:
        other = rng.choice(others)
        start = rng.randrange(len(other) + 1)
        return data[:at] + other[start : start + rng.choice(_SPANS)] + data[end:]
    if choice == 5:
        number = rng.choice(_INTEGERS) & (2**32 - 1)
        return data[:at] + number.to_bytes(4, rng.choice(("little", "big"))) + data[at + 4 :]
    if at < len(data):
        new = data[at] ^ (1 << rng.randrange(8)) if choice == 6 else rng.choice(_BYTES)
        return data[:at] + bytes([new]) + data[at + 1 :]
    return data


def _words(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A word replaced, left out, doubled, or exchanged with one of another text."""
    words = list(_WORD.finditer(data))
    if not words:
        return data
    word = rng.choice(words)
    new = rng.choice(_WORDS)
    choice = rng.randrange(10)
    if choice == 0:
        new = b""
    elif choice == 1:
        new = word[0] + b" " + word[0]
    elif choice == 2:
        new = rng.choice(words)[0]
    elif choice > 3:  # a word of the same kind, so that the text stays one that is read to its end
        found = [each for each in _WORD.findall(rng.choice(others)) if _kind(each) == _kind(word[0])]
        numbers = [str(rng.choice(_INTEGERS)).encode(), str(rng.randrange(-2, 9)).encode(), b"0.5"]
        new = rng.choice(found + numbers * (_kind(word[0]) == 1) or [new])
    return data[: word.start()] + b" " + new + b" " + data[word.end() :]


def _kind(word: bytes) -> int:
    """0 a string, 1 a number, 2 a name, 3 punctuation."""
    return 0 if word[:1] == b'"' else 1 if word[-1:].isdigit() else 2 if word[:1].isalpha() else 3


def _fields(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One field of a message, at any depth, changed; the lengths around it are made to fit."""
    view = memoryview(data)
    try:
        found = list(fields(view, 0, len(data)))
    except WireError:
        return _bytes(rng, data, others)
    if not found:
        return data + tag(rng.randrange(1, 140), rng.randrange(8)) + varint(rng.choice(_INTEGERS))
    field = rng.choice(found)
    whole, payload = data[field.tag : field.end], data[field.start : field.end]
    choice = rng.randrange(8)
    if field.wire == LEN and payload and choice < 4:
        new = delimited(field.number, _fields(rng, payload, others))
    elif choice == 4:
        new = b""
    elif choice == 5:
        new = whole * rng.choice((2, 3, 200))
    elif choice == 6:
        new = tag(field.number, rng.randrange(6)) + varint(rng.choice(_INTEGERS))
    elif choice == 7:
        new = tag(rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 50, 100)), field.wire) + whole[-len(payload) - 1 :]
    else:
        new = tag(field.number, LEN) + varint(rng.choice(_INTEGERS)) + payload
    return data[: field.tag] + new + data[field.end :]


def _png(rng: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """A PNG's head changed, its checksum right again, so that the decoder sees it; else plain bytes."""
    if not data.startswith(b"\x89PNG") or len(data) < 33:
        return _bytes(rng, data, others)
    head = bytearray(data[12:29])
    if rng.randrange(2):
        struct.pack_into(">I", head, rng.choice((4, 8)), rng.choice(_INTEGERS) & (2**32 - 1))
    else:
        head[rng.randrange(4, 17)] = rng.randrange(256)
    return data[:12] + bytes(head) + struct.pack(">I", zlib.crc32(bytes(head))) + data[33:]


_STRUCTURED: dict[str, Mutation] = {
    "prototxt": _words,
    "convert": _words,
    "caffemodel": _fields,
    "mean": _fields,
    "onnx": _fields,
    "picture": _png,
    "hdf5": _bytes,
}


def structured(target: str, rng: random.Random, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """One mutation that knows the format of a target's files."""
    return _STRUCTURED[target](rng, data, seeds)


def mutant(target: str, seeds: Sequence[bytes], number: int) -> bytes:
    """The mutated file of this number: always the same one.

    >>> mutant("prototxt", [b'layer { name: "a" }'], 3) == mutant("prototxt", [b'layer { name: "a" }'], 3)
    True
    """
    rng = random.Random(f"{target} {number}")
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 2, 4))):
        mutation = _STRUCTURED[target] if rng.randrange(2) else _bytes
        data = mutation(rng, data, seeds)
    return data
