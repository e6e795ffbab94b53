"""Small prototxts, and the one-line error of a bad one."""

from __future__ import annotations

import pytest

from prototxt import PrototxtError, loads

DATA = 'input: "data" input_shape { dim: [1, 2, 3, 4] }\n'


def unary(name: str, bottom: str, top: str, type_: str = "ReLU", rest: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{type_}" bottom: "{bottom}" top: "{top}" {rest} }}\n'


def error(text: str, **options: object) -> str:
    with pytest.raises(PrototxtError) as caught:
        loads(text, source="f.prototxt", **options)  # the options are what is tested
    assert "\n" not in str(caught.value) and ";" in str(caught.value)
    return str(caught.value)
