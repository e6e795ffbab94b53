"""Input shapes: declared in every style, or given by the caller."""

from __future__ import annotations

import pytest
from net_texts import DATA, error, unary

from prototxt import PrototxtError, loads


def test_input_layers_of_all_styles() -> None:
    text = (
        'layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: [2, 3] } } }\n'
        'layer { name: "j" type: "Input" top: "c" top: "d" input_param { shape { dim: 4 } shape { } } }\n'
        'layer { name: "s" type: "Silence" bottom: ["a", "b", "c", "d"] }'
    )
    net = loads(text)
    assert list(net.inputs.items()) == [("a", (2, 3)), ("b", (2, 3)), ("c", (4,)), ("d", ())]
    assert net.outputs == ()


def test_input_shapes_replace_declared_ones() -> None:
    text = 'layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: [2, 3] } } }\n'
    net = loads(text + unary("r", "a", "c"), input_shapes={"b": [5, 6, 7]})
    assert dict(net.inputs) == {"a": (2, 3), "b": (5, 6, 7)}
    assert [list(shape.dim) for shape in net.message.layer[0].input_param.shape] == [[2, 3], [5, 6, 7]]


@pytest.mark.parametrize("text", ['input: "data" ', 'layer { name: "i" type: "Input" top: "data" } '])
def test_an_input_without_a_shape_needs_one(text: str) -> None:
    text += unary("r", "data", "y")
    assert 'input "data" declares no shape; give one: --input-shape data=1,3,224,224' in error(text)
    assert dict(loads(text, input_shapes={"data": (1, 2)}).inputs) == {"data": (1, 2)}


def test_input_errors() -> None:
    text = DATA + unary("r", "data", "y")
    assert 'there is no input "dat" to give a shape to; the inputs are data' in error(text, input_shapes={"dat": (1,)})
    assert "has the shape 0x3" in error(text, input_shapes={"data": (0, 3)})
    three = 'layer { name: "i" type: "Input" top: ["a", "b", "c"] input_param { shape { } shape { } } }'
    assert "an Input layer of 3 top(s) declares 2 shapes" in error(three)


def test_sizes_are_whole_numbers() -> None:
    text = 'input: "x" input_shape { dim: 1 dim: 2 } layer { type: "ReLU" bottom: "x" top: "y" }'
    with pytest.raises(PrototxtError, match=r'\(1, 2\.5\), given for input "x", is not a shape; give whole numbers'):
        loads(text, input_shapes={"x": (1, 2.5)})
