"""One object for the options of a conversion: what contradicts, what is done, what is recorded."""

from __future__ import annotations

import pytest

from converters.options import OF_THE_NET, Options
from prototxt import ConversionError


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ({}, {}),
        (
            {"outputs": ["a"], "input_shapes": {"data": (1, 3, 8, 8)}},
            {"outputs": ["a"], "input_shapes": {"data": (1, 3, 8, 8)}},
        ),
        (
            {"fold": False, "winograd": False, "keep_losses": False},
            {"fold": False, "winograd": False, "keep_losses": False},
        ),
        ({"symbolic_batch": False, "portable": True}, {"symbolic_batch": False, "portable": True}),
        ({"top_k": 3, "dtype": "fp16"}, {}),
        ({"cam": False}, {"cam": False}),
        ({"cam": True}, {}),
        ({"cam": True, "portable": True}, {"cam": True, "portable": True}),
        ({"cam": True, "outputs": ["a"]}, {"cam": True, "outputs": ["a"]}),
        ({"dtype": "int8", "winograd": True}, {"winograd": False}),
    ],
)
def test_what_is_recorded_is_what_was_done_otherwise_than_by_default(given: dict, recorded: dict) -> None:
    assert Options(**given).recorded() == recorded


def test_of_the_net_alone() -> None:
    assert Options(outputs=["a"], winograd=True).recorded(OF_THE_NET) == {"outputs": ["a"]}


@pytest.mark.parametrize(
    ("given", "cam", "expected"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"winograd": True}, False, True),
        ({"winograd": False}, True, False),
        ({"portable": True}, True, False),
        ({"dtype": "int8"}, True, False),
        ({"dtype": "int8", "winograd": True}, True, False),
        ({"dtype": "fp16"}, True, True),
    ],
)
def test_when_large_convolutions_take_winograds_form(given: dict, cam: bool, expected: bool) -> None:
    assert Options(**given).in_winograds_form(cam=cam) is expected


def test_contradictions_are_refused() -> None:
    with pytest.raises(ConversionError, match="a portable file has no Winograd's form; choose portable or winograd"):
        Options(portable=True, winograd=True)
