"""The wire format: the examples of protobuf's documentation, and impossible bytes."""

from __future__ import annotations

import pytest

from weights.files.wire import WireError, fields, read_varint, run, strip, varint


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "00"), (1, "01"), (150, "9601"), (2**31, "8080808008"), (-2, "fe" + "ff" * 8 + "01")]
)
def test_varint(value: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert varint(value) == data
    assert read_varint(memoryview(data), 0, len(data)) == (value % 2**64, len(data))


def test_fields() -> None:
    data = memoryview(bytes.fromhex("089601 120774657374696e67 1d0000803f 21000000000000f03f 2b0801 2c"))
    found = list(fields(data, 0, len(data)))
    assert [(one.number, one.wire) for one in found] == [(1, 0), (2, 2), (3, 5), (4, 1), (5, 3)]
    assert found[0].value == 150
    assert bytes(data[found[1].start : found[1].end]) == b"testing"
    assert found[-1].end == len(data)


@pytest.mark.parametrize(
    "damaged",
    [
        "08",  # a tag, no number
        "08" + "80" * 3,  # a number without end
        "08" + "80" * 10 + "01",  # a number of 11 bytes
        "0a05616263",  # a string of 5 bytes, 3 there
        "0d000000",  # fixed32, 3 bytes there
        "09" + "00" * 7,  # fixed64, 7 bytes there
        "0001",  # field number 0
        "0e",  # wire type 6
        "0c",  # a group ends that never began
        "0b",  # a group without end
        "0b14",  # a group closed as another
        "0b" * 200 + "0c" * 200,  # deeper than protobuf allows
        "808080808001",  # field number 2**29 and more
    ],
)
def test_impossible_bytes(damaged: str) -> None:
    data = memoryview(bytes.fromhex(damaged))
    with pytest.raises(WireError):
        list(fields(data, 0, len(data)))


def test_run_stops_at_another_tag_and_at_the_end() -> None:
    data = memoryview(b"\x2d\x00\x00\x80\x3f" * 200 + b"\x35\x00\x00\x00\x00" + b"\x2d\x00\x00\x80\x3f")
    first = next(fields(data, 0, len(data)))
    assert run(data, first, len(data)).shape == (200, 4)
    assert run(data, first, 5 * 150 + 3).shape == (150, 4)


def test_strip_keeps_everything_else_byte_for_byte() -> None:
    inner = b"\x0a\x01a" + b"\x3a\x02\x08\x01" + b"\x18\x05"
    data = b"\x0a\x03net" + b"\xa2\x06" + bytes([len(inner)]) + inner + b"\xf8\x07\x01"
    kept = b"\x0a\x01a\x18\x05"
    expected = b"\x0a\x03net" + b"\xa2\x06" + bytes([len(kept)]) + kept + b"\xf8\x07\x01"
    assert strip(memoryview(data), 0, len(data), {100: {7: None}}) == expected
