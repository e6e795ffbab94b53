"""Nets that start from constants: DummyData and Parameter, with no input at all, and numbers without an axis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import parity
import pytest

import converters
import prototxt

CONSTANT = 'shape { dim: 2 dim: 3 } data_filler { type: "constant" value: 2 }'
TWO = np.full((2, 3), 2.0)
LEARNED = np.float32([[1, -2, 3], [0.5, 0.25, -1]])
AFTER: list[tuple[str, Callable[[np.ndarray], np.ndarray]]] = [
    ('type: "Threshold"', lambda x: (x > 0) * 1.0),
    ('type: "ArgMax" argmax_param { axis: 1 }', lambda x: (x.shape[1] - 1 - x[:, ::-1].argmax(1))[:, None]),
    ('type: "Power" power_param { power: 0 }', np.ones_like),
    ('type: "TanH"', np.tanh),
]


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize(("layer", "function"), AFTER)
def test_without_an_input(layer: str, function, backend: str, tmp_path: Path) -> None:
    dummy = f'layer {{ name: "d" type: "DummyData" top: "d" dummy_data_param {{ {CONSTANT} }} }}'
    learned = 'layer { name: "d" type: "Parameter" top: "d" parameter_param { shape { dim: 2 dim: 3 } } }'
    for source, values in ((dummy, TWO), (learned, LEARNED)):
        net = prototxt.loads(f'{source} layer {{ name: "l" bottom: "d" top: "out" {layer} }}')
        found = parity.run(backend, net, {"d": [LEARNED]}, [], ["out"], tmp_path)["out"]
        assert parity.error(np.asarray(found), function(values.astype(np.float64))) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("kind", ["ReLU", "Sigmoid", "AbsVal", "Exp", "Threshold", "BNLL", "ELU"])
def test_a_learned_number_alone(kind: str, backend: str, tmp_path: Path) -> None:
    net = prototxt.loads(f"""
        layer {{ name: "p" type: "Parameter" top: "p" parameter_param {{ shape {{ }} }} }}
        layer {{ name: "l" type: "{kind}" bottom: "p" top: "out" }}""")
    functions = {
        "ReLU": 0.75, "Sigmoid": 1 / (1 + np.exp(-0.75)), "AbsVal": 0.75, "Exp": np.exp(0.75), "Threshold": 1.0,
        "BNLL": np.log1p(np.exp(0.75)), "ELU": 0.75,
    }  # fmt: skip
    found = parity.run(backend, net, {"p": [np.float32(0.75)]}, [], ["out"], tmp_path)["out"]
    assert parity.error(np.asarray(found), np.asarray(functions[kind])) <= parity.SINGLE


def test_a_learned_number_is_a_parameter() -> None:
    net = prototxt.loads("""
        layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "s" type: "Scale" bottom: "x" top: "y" scale_param { axis: 0 num_axes: 0 } }""")
    module = converters.to_torch(net, {"s": [np.float32(3)]})
    assert [(name, value.item()) for name, value in module.named_parameters()] == [("s.weight", 3.0)]
