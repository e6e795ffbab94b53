"""Which axes of a net's inputs may be symbolic: the candidates that `lower` tries in turn."""

from __future__ import annotations

from typing import TypeAlias

from prototxt import Net

__all__ = ["Axes", "candidates"]

Axes: TypeAlias = "dict[str, tuple[int, str]]"
"""Input → which of its axes is symbolic, and the symbol."""

RECURRENT = {"LSTM", "RNN"}


def candidates(net: Net) -> list[Axes]:
    """The symbols to try, most general first.

    Axis 0 of each input gets its own (a net may declare one region beside its one image, and be fed 300), then one for
    all of the same declared size; a recurrent net's batch is its streams, axis 1; then each group of equal size alone.

    >>> import prototxt
    >>> net = 'input: "x" input_shape { dim: 2 dim: 3 } layer { type: "TanH" bottom: "x" top: "y" }'
    >>> candidates(prototxt.loads(net))
    [{'x': (0, 'N')}]
    """
    groups: dict[int, list[str]] = {}
    for name, shape in net.inputs.items():
        if shape:
            groups.setdefault(shape[0], []).append(name)
    inputs = [name for name, shape in net.inputs.items() if shape]
    apart: Axes = {name: (0, "N" if i == 0 else f"N_{name}") for i, name in enumerate(inputs)}
    named = [(names, "N" if i == 0 else f"N_{names[0]}") for i, names in enumerate(groups.values())]
    every: Axes = {name: (0, symbol) for names, symbol in named for name in names}
    alone: list[Axes] = [dict.fromkeys(names, (0, symbol)) for names, symbol in named] if len(named) > 1 else []
    tried: list[Axes] = []
    for axes in (apart, every, _streams(net), *alone):
        if axes and axes not in tried:
            tried.append(axes)
    return tried


def _streams(net: Net) -> Axes:
    """The streams of a recurrent net: axis 1 of (T, N, …) and of states (1, N, …), axis 0 of what has no time."""
    markers = [layer.bottoms[1] for layer in net.layers if layer.type in RECURRENT and len(layer.bottoms) > 1]
    declared = next((net.inputs[name] for name in markers if name in net.inputs), ())
    if len(declared) != 2:
        return {}
    steps, streams = declared
    axes: Axes = {}
    for name, shape in net.inputs.items():
        if len(shape) > 1 and shape[0] in (steps, 1) and shape[1] == streams and (shape[0] == steps or len(shape) == 3):
            axes[name] = (1, "N")
        elif shape and shape[0] == streams:
            axes[name] = (0, "N")
    return axes
