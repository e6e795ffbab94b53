"""LSTM against torch's, RNN and LSTMUnit against their formulas step by step; restarts, sizes and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import parity
import pytest
import torch
from small_nets import check, net

import converters
from prototxt.errors import CamcompatError

BACKENDS = pytest.mark.parametrize("backend", parity.BACKENDS)
STEPS, STREAMS, FEATURES, OUTPUTS, EXTRA = 6, 3, 5, 4, 2
CONT = np.float32([[0, 0, 0], [1, 1, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1], [1, 1, 0]])


def draw(seed: int, *shape: int) -> np.ndarray:
    return (np.random.RandomState(seed).standard_normal(shape) * 0.7).astype(np.float32)


def layer(kind: str, bottoms: str, tops: str, expose: bool = False) -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms.split()) + " "
    names += " ".join(f'top: "{name}"' for name in tops.split())
    exposed = "expose_hidden: true" if expose else ""
    return f'layer {{ name: "r" type: "{kind}" {names} recurrent_param {{ num_output: {OUTPUTS} {exposed} }} }}'


X, STATIC = draw(0, STEPS, STREAMS, FEATURES), draw(1, STREAMS, EXTRA)
W_X, B, W_STATIC, W_H = (
    draw(2, 4 * OUTPUTS, FEATURES),
    draw(3, 4 * OUTPUTS),
    draw(4, 4 * OUTPUTS, EXTRA),
    draw(5, 4 * OUTPUTS, OUTPUTS),
)
H0, C0 = draw(6, 1, STREAMS, OUTPUTS), draw(7, 1, STREAMS, OUTPUTS)


def torch_lstm(x: np.ndarray, h: np.ndarray, c: np.ndarray, static: bool) -> tuple[np.ndarray, ...]:
    """torch.nn.LSTM, one step at a time so that CONT can restart it.

    torch's gates are i, f, g, o; Caffe's are i, f, o, g.
    """
    order = np.concatenate([np.arange(g * OUTPUTS, (g + 1) * OUTPUTS) for g in (0, 1, 3, 2)])
    weight = np.concatenate([W_X, W_STATIC], 1) if static else W_X
    if static:
        x = np.concatenate([x, np.broadcast_to(STATIC, (STEPS, *STATIC.shape))], 2)
    cell = torch.nn.LSTM(weight.shape[1], OUTPUTS).double()
    state = {"weight_ih_l0": weight, "weight_hh_l0": W_H, "bias_ih_l0": B, "bias_hh_l0": np.zeros_like(B)}
    cell.load_state_dict({name: torch.from_numpy(array[order]).double() for name, array in state.items()})
    hidden = []
    with torch.no_grad():
        state_h, state_c = torch.from_numpy(h).double(), torch.from_numpy(c).double()
        for t in range(STEPS):
            keep = torch.from_numpy(CONT[t]).double().reshape(1, STREAMS, 1)
            step = torch.from_numpy(x[t : t + 1]).double()
            out, (state_h, state_c) = cell(step, (state_h * keep, state_c * keep))
            hidden.append(out.numpy())
    return np.concatenate(hidden), state_h.numpy(), state_c.numpy()


@BACKENDS
@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("expose", [False, True])
def test_lstm_is_torchs(static: bool, expose: bool, backend: str, tmp_path: Path) -> None:
    feeds = {"x": X, "cont": CONT, **({"static": STATIC} if static else {}), **({"h0": H0, "c0": C0} if expose else {})}
    zero = np.zeros_like(H0)
    h, h_last, c_last = torch_lstm(X, H0 if expose else zero, C0 if expose else zero, static)
    wanted = {"h": h, **({"hT": h_last, "cT": c_last} if expose else {})}
    blobs = [W_X, B, *([W_STATIC] if static else []), W_H]
    text = layer("LSTM", " ".join(feeds), " ".join(wanted), expose)
    check(text, feeds, wanted, backend, tmp_path, weights={"r": blobs}, tolerance=parity.SINGLE)


@BACKENDS
@pytest.mark.parametrize("expose", [False, True])
def test_rnn_is_its_formula(expose: bool, backend: str, tmp_path: Path) -> None:
    w_x, b, w_static, w_h, w_o, b_o = (
        array.astype(np.float64) for array in
        (W_X[:OUTPUTS], B[:OUTPUTS], W_STATIC[:OUTPUTS], W_H[:OUTPUTS], W_H[OUTPUTS : 2 * OUTPUTS], B[-OUTPUTS:])
    )  # fmt: skip
    h = H0[0].astype(np.float64) if expose else np.zeros((STREAMS, OUTPUTS))
    outputs = []
    for t in range(STEPS):
        h = np.tanh(CONT[t][:, None] * h @ w_h.T + X[t] @ w_x.T + b + STATIC @ w_static.T)
        outputs.append(np.tanh(h @ w_o.T + b_o))
    feeds = {"x": X, "cont": CONT, "static": STATIC, **({"h0": H0} if expose else {})}
    wanted = {"o": np.stack(outputs), **({"hT": h[None]} if expose else {})}
    text = layer("RNN", " ".join(feeds), " ".join(wanted), expose)
    blobs = [array.astype(np.float32) for array in (w_x, b, w_static, w_h, w_o, b_o)]
    check(text, feeds, wanted, backend, tmp_path, weights={"r": blobs}, tolerance=parity.SINGLE)


@BACKENDS
def test_lstm_unit_is_a_step(backend: str, tmp_path: Path) -> None:
    gates, cont = draw(8, 1, STREAMS, 4 * OUTPUTS), np.float32([[1, 0, 0.5]])
    i, f, o, g = np.split(gates.astype(np.float64), 4, axis=2)
    i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
    c = cont[..., None] * f * C0 + i * np.tanh(g)
    text = 'layer { name: "u" type: "LSTMUnit" bottom: "c0" bottom: "x" bottom: "cont" top: "c" top: "h" }'
    feeds = {"c0": C0, "x": gates, "cont": cont}
    check(text, feeds, {"c": c, "h": o * np.tanh(c)}, backend, tmp_path, tolerance=parity.SINGLE)


@BACKENDS
def test_features_of_several_axes(backend: str, tmp_path: Path) -> None:
    """InnerProduct's `axis: 2` flattens whatever follows the streams."""
    h, _, _ = torch_lstm(X, np.zeros_like(H0), np.zeros_like(C0), False)
    feeds = {"x": X.reshape(STEPS, STREAMS, 1, FEATURES), "cont": CONT}
    check(layer("LSTM", "x cont", "h"), feeds, {"h": h}, backend, tmp_path, weights={"r": [W_X, B, W_H]})


def test_the_input_is_projected_at_once(tmp_path: Path) -> None:
    """One product for all steps of the input, and at most 20 ONNX nodes for each step."""
    built = net(layer("LSTM", "x cont", "h"), {"x": X.shape, "cont": CONT.shape})
    path = converters.to_onnx(built, {"r": [W_X, B, W_H]}, tmp_path / "net.onnx")
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("Gemm") == 1
    assert kinds.count("MatMul") == STEPS - 1
    assert len(kinds) <= 20 * STEPS


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        (layer("LSTM", "x cont", "h", expose=True), [(2, 3, 4), (2, 3)], "give 4 bottoms, or 5 with a static input"),
        (layer("LSTM", "x cont", "h hT cT"), [(2, 3, 4), (2, 3)], "without expose_hidden"),
        (layer("LSTM", "x cont", "h"), [(2, 3), (2, 3)], "features"),
        (layer("LSTM", "x cont", "h"), [(2, 3, 4), (2, 4)], "continuation markers"),
        (layer("RNN", "x cont h0", "h"), [(2, 3, 4), (2, 3), (2, 5)], "the 3 streams"),
        (layer("RNN", "x cont h0", "h hT", expose=True), [(2, 3, 4), (2, 3), (1, 3, 9)], "initial state"),
        (layer("RNN", "x cont", "h").replace("num_output: 4", ""), [(2, 3, 4), (2, 3)], "num_output"),
        (layer("LSTM", "x cont", "h"), [(2, 3, 4), (2, 3)], "no weights"),
        (
            'layer { type: "LSTMUnit" bottom: "x" bottom: "h0" bottom: "cont" top: "c" top: "h" }',
            [(1, 3, 4), (1, 3), (1, 3, 12)],
            "gates has shape",
        ),
    ],
)
def test_refusals(text: str, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        converters.to_numpy(net(text, dict(zip(("x", "cont", "h0"), shapes))), {})
