"""LSTM, RNN and LSTMUnit over (T, N, …) sequences (Caffe: recurrent_layer.cpp, lstm_layer.cpp, rnn_layer.cpp).

Caffe unrolls these layers into nets of their own; here all steps of the input are projected by one product, and only
the recurrence is unrolled. Caffe keeps the last state for its next forward pass; a converted net has no such memory and
starts every call from zero, as Caffe's first pass does. To carry the state on, give the layer `expose_hidden`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from converters.graph.dims import numel, same, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.ops import Ops


@dataclass
class Sequences:
    """The checked bottoms and sizes of one recurrent layer.

    Attributes:
        projected: the input's share of every step's sum, (T, N, width), static input included.
        cont: (T, N, 1); 0 where a sequence starts, which forgets the state.
        states: the exposed initial states, each (1, N, outputs); none where they are zero.
        used: how many blobs the projections took.
    """

    steps: int
    outputs: int
    projected: Value
    cont: Value
    states: tuple[Value, ...]
    used: int


def _sequences(ops: Ops, view: LayerView, bottoms: tuple[Value, ...], gates: int, states: int, names: str) -> Sequences:
    p = view.params("recurrent_param")
    x, cont, *others = bottoms
    exposed = states if p.expose_hidden else 0
    if len(others) not in (exposed, 1 + exposed) or len(view.tops) != 1 + exposed:
        raise view.error(
            f"it has {len(bottoms)} bottoms and {len(view.tops)} top(s) with{'' if exposed else 'out'} expose_hidden",
            f"give {2 + exposed} bottoms, or {3 + exposed} with a static input, and {1 + exposed} top(s)",
        )
    if p.num_output < 1:
        raise view.error("num_output is missing or 0", "state how many outputs it makes")
    constant, initial = others[: len(others) - exposed], others[len(others) - exposed :]
    _check(view, x, cont, constant, initial, p.num_output)
    width = gates * p.num_output
    projected = _project(ops, view, x, 2, width, 0, f"W_x{names}", bias=f"b_{names}")
    for y in constant:
        share = _project(ops, view, y, 1, width, 2, f"W_x{names}_static")
        projected = ops.add(projected, ops.reshape(share, (1, *share.shape)))
    column = ops.reshape(cont, (*cont.shape, 1))
    return Sequences(static(x.shape[0]), p.num_output, projected, column, tuple(initial), 2 + len(constant))


def _check(
    view: LayerView, x: Value, cont: Value, constant: Sequence[Value], initial: Sequence[Value], outputs: int
) -> None:
    if len(x.shape) < 3:
        raise view.error(f"its bottom has shape {x.shape}; (steps, streams, features) is needed")
    static(x.shape[0], "the number of time steps is needed")
    streams = x.shape[1]
    if len(cont.shape) != 2 or not all(map(same, cont.shape, x.shape)):
        raise view.error(f"the continuation markers have shape {cont.shape}; {x.shape[:2]} is needed")
    for y in constant:
        if len(y.shape) < 2 or not same(y.shape[0], streams):
            raise view.error(f"the static input has shape {y.shape}; its first axis must be the {streams} streams")
    for state in initial:
        if len(state.shape) != 3 or not all(map(same, state.shape, (1, streams, outputs))):
            raise view.error(f"an initial state has shape {state.shape}; {(1, streams, outputs)} is needed")


def _project(
    ops: Ops, view: LayerView, x: Value, axis: int, width: int, index: int, name: str, *, bias: str = ""
) -> Value:
    features = static(numel(x.shape[axis:]), "the number of features is needed")
    weight = view.blob(index, (width, features), name)
    offset = view.blob(index + 1, (width,), bias) if bias else None
    return ops.reshape(ops.linear(ops.flatten_from(x, axis), weight, offset), (*x.shape[:axis], width))


def _recurrent(ops: Ops, view: LayerView, index: int, shape: tuple[int, int], name: str) -> Value:
    return ops.const(view.array(index, shape, name).T, name, learned=True)


def _cell(ops: Ops, gates: Value, previous: Value | None, cont: Value, outputs: int) -> tuple[Value, Value]:
    """One step of an LSTM: gates (1, N, 4·outputs) in the order input, forget, output, candidate → c, h."""
    opened = ops.sigmoid(ops.slice(gates, 2, 0, 3 * outputs))
    candidate = ops.tanh(ops.slice(gates, 2, 3 * outputs, 4 * outputs))
    c = ops.mul(ops.slice(opened, 2, 0, outputs), candidate)
    if previous is not None:
        forget = ops.mul(ops.slice(opened, 2, outputs, 2 * outputs), cont)
        c = ops.add(ops.mul(forget, previous), c)
    return c, ops.mul(ops.slice(opened, 2, 2 * outputs, 3 * outputs), ops.tanh(c))


@layer("LSTM", bottoms=(2, 5), tops=(1, 3))
def lstm(ops: Ops, view: LayerView, *bottoms: Value) -> list[Value]:
    """long short-term memory over (T, N, …) with restarts where `cont` is 0; T is fixed (Caffe: lstm_layer.cpp)"""
    s = _sequences(ops, view, bottoms, gates=4, states=2, names="c")
    weight = _recurrent(ops, view, s.used, (4 * s.outputs, s.outputs), "W_hc")
    h, c = s.states if s.states else (None, None)
    hidden: list[Value] = []
    for t in range(s.steps):
        gates, cont = ops.slice(s.projected, 0, t, t + 1), ops.slice(s.cont, 0, t, t + 1)
        if h is not None:
            gates = ops.add(ops.matmul(ops.mul(h, cont), weight), gates)
        c, h = _cell(ops, gates, c, cont, s.outputs)
        hidden.append(h)
    tops = [ops.concat(hidden, 0), hidden[-1], c]
    return [top for top in tops[: len(view.tops)] if top is not None]


@layer("RNN", bottoms=(2, 4), tops=(1, 2))
def rnn(ops: Ops, view: LayerView, *bottoms: Value) -> list[Value]:
    """h = tanh(W_hh·h + W_xh·x + b_h), o = tanh(W_ho·h + b_o), restarting where `cont` is 0 (Caffe: rnn_layer.cpp)"""
    s = _sequences(ops, view, bottoms, gates=1, states=1, names="h")
    weight = _recurrent(ops, view, s.used, (s.outputs, s.outputs), "W_hh")
    h = s.states[0] if s.states else None
    hidden: list[Value] = []
    for t in range(s.steps):
        total = ops.slice(s.projected, 0, t, t + 1)
        if h is not None:
            total = ops.add(ops.matmul(ops.mul(h, ops.slice(s.cont, 0, t, t + 1)), weight), total)
        h = ops.tanh(total)
        hidden.append(h)
    joined = ops.concat(hidden, 0)
    outputs = ops.tanh(_project(ops, view, joined, 2, s.outputs, s.used + 1, "W_ho", bias="b_o"))
    return [outputs, hidden[-1]][: len(view.tops)]


@layer("LSTMUnit", bottoms=3, tops=2, verified="by definition")
def lstm_unit(ops: Ops, view: LayerView, c: Value, gates: Value, cont: Value) -> list[Value]:
    """one step of an LSTM: c, the four gates' sums and cont → c, h (Caffe: lstm_unit_layer.cpp)"""
    if len(c.shape) != 3 or not same(c.shape[0], 1):
        raise view.error(f"the cell state has shape {c.shape}; (1, streams, outputs) is needed")
    outputs = static(c.shape[2], "the number of outputs is needed")
    for name, x, wanted in (("gates", gates, (1, c.shape[1], 4 * outputs)), ("cont", cont, c.shape[:2])):
        if len(x.shape) != len(wanted) or not all(map(same, x.shape, wanted)):
            raise view.error(f"{name} has shape {x.shape}; {wanted} is needed")
    return list(_cell(ops, gates, c, ops.reshape(cont, (*cont.shape, 1)), outputs))
