"""Limits: one place, each adjustable, each an error that says how; and errors that are one printable line."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from prototxt import CamcompatError, Limits, PrototxtError, get_limits, limited, load, loads, set_limits
from prototxt.limits import check_size

RELU = 'layer { name: "r%d" type: "ReLU" bottom: "x" top: "x" } '
INPUT = 'input: "x" input_shape { dim: 1 } '


@pytest.mark.parametrize(
    ("limit", "text", "found"),
    [
        ({"layers": 3}, INPUT + "".join(RELU % i for i in range(4)), "more than 3 layers"),
        ({"unknown_fields": 2}, INPUT + "layer { a: 1 b: 2 c: 3 }", "more than 2 unknown fields"),
        ({"blobs_per_layer": 2}, INPUT + 'layer { type: "Concat" bottom: "x" bottom: "x" bottom: "x" }', "3 bottoms"),
        ({"axes": 2}, 'input: "x" input_shape { dim: [1, 1, 1] } layer { type: "ReLU" bottom: "x" }', "3 axes"),
        ({"elements": 5}, 'input: "x" input_shape { dim: [1, 2, 3] } layer { type: "ReLU" bottom: "x" }', "6 elements"),
    ],
)
def test_a_limit_is_told_with_its_name_and_can_be_raised(limit: dict[str, int], text: str, found: str) -> None:
    ((name, value),) = limit.items()
    text = text.replace('type: "Concat"', 'type: "Concat" top: "y"')
    with limited(**limit), pytest.raises(PrototxtError) as caught:
        loads(text)
    assert found in str(caught.value) and f"CAMCOMPAT_LIMIT_{name.upper()}" in str(caught.value)
    with limited(**{name: value + 1}):
        try:
            loads(text)
        except PrototxtError as error:
            assert "limit" not in str(error)


def test_a_text_file_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "f.prototxt"
    path.write_text(INPUT + RELU % 1 + "#" * 20_000)
    with limited(text_bytes=10_000), pytest.raises(PrototxtError, match=r"more than 10,000 bytes.*TEXT_BYTES"):
        load(path)
    assert load(path).outputs == ("x@r1",)


def test_limits_are_put_back() -> None:
    before = get_limits()
    with pytest.raises(ZeroDivisionError), limited(layers=1):
        raise ZeroDivisionError
    assert get_limits() == before
    set_limits(Limits(layers=7))
    try:
        assert get_limits().layers == 7
    finally:
        set_limits(None)
    assert get_limits() == before


@pytest.mark.parametrize("value", [0, -1, "5", 1.5, True])
def test_a_limit_is_a_whole_number(value: object) -> None:
    with pytest.raises(CamcompatError, match="give a whole number above 0"):
        Limits(layers=value)


def _environment(**variables: str) -> str:
    code = """
from prototxt import CamcompatError, get_limits
try:
    print(get_limits().layers)
except CamcompatError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **variables}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_environment_sets_limits() -> None:
    assert _environment(CAMCOMPAT_LIMIT_LAYERS="77") == "77"
    assert "give a whole number" in _environment(CAMCOMPAT_LIMIT_LAYERS="many")
    assert "there is no such limit; choose from text_bytes" in _environment(CAMCOMPAT_LIMIT_LAYER="7")


def test_every_limit_is_documented() -> None:
    told = Limits.__doc__ or ""
    assert all(f"        {field.name}: " in told for field in fields(Limits))


def test_sizes_are_spelt_shortly() -> None:
    assert check_size((1, 2, 3)) == ""
    assert len(check_size((10**18,) * 30)) < 700
    assert "more than 10^30" in check_size((10**10, 10**10, 10**10))


@pytest.mark.parametrize("name", ["\x1b[2J", "a\nb", "\x00", "\u202e", "é" * 5, "x" * 1_000_000])
def test_an_error_is_one_line_that_a_terminal_can_show(name: str) -> None:
    text = str(CamcompatError(f'layer "{name}"', where=name, remedy="rename it"))
    assert text.isprintable() and len(text) < 5000 and text.endswith("rename it")
    assert ("é" in name) == ("é" in text)
