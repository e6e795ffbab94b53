"""From a Caffe net and its blobs to the graph of primitives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from converters.graph.dims import Shape, Sym, SymbolicError
from converters.graph.graph import Graph, Node, Symbol, Value
from converters.layers.registry import find_layer, nearest
from converters.layers.view import Fetch, LayerView, unread
from converters.lowering.blobs import BlobSource
from converters.lowering.notes import file_notes, surplus, warn
from converters.ops import Ops, ShapeMismatch
from prototxt import Layer, Net
from prototxt.errors import CamcompatError, ConversionError, WeightsError
from prototxt.limits import get_limits, raise_hint

__all__ = ["Axes", "Lowered", "accumulate_in_double", "candidates", "lower"]


@dataclass
class Lowered:
    """A lowered net.

    Attributes:
        graph: the primitives.
        net: the net they came from.
        notes: what was not used, one line each.
        static: why the batch axis is fixed; "" where it is symbolic.
        variants: layer index → which of several layers of its type name it is.
        parameters: layer index → how many learned numbers it has (shared ones count where they first occur).
        reads: layer index → the parameter fields that its function read.
        blobs: layer index → blob index → the constant that the layer took it as.
        errors: layer index → why it could not be lowered (only where `lower` was told to be tolerant).
    """

    graph: Graph
    net: Net
    notes: list[str] = field(default_factory=list)
    static: str = ""
    variants: dict[int, str] = field(default_factory=dict)
    parameters: dict[int, int] = field(default_factory=dict)
    reads: dict[int, set[str]] = field(default_factory=dict)
    blobs: dict[int, dict[int, Value]] = field(default_factory=dict)
    errors: dict[int, CamcompatError] = field(default_factory=dict)

    def warn(self) -> None:
        """Say the notes as one `CamcompatWarning`."""
        warn(self.notes)


def lower(net: Net, blobs: BlobSource, *, symbolic_batch: bool = True, tolerant: bool = False) -> Lowered:
    """Lower a net, with a symbolic batch axis where it allows one.

    Args:
        net: from `prototxt.load`.
        blobs: where the weights come from.
        symbolic_batch: False fixes every dimension at its declared value.
        tolerant: keep an error of a layer in `Lowered.errors` and go on with what does not depend on it.

    Raises:
        ConversionError: an unsupported layer, or shapes and parameters that do not fit (with the layer's line).
        WeightsError: blobs that are missing or have another shape.
    """
    reason = "asked for" if not symbolic_batch else ""
    for axes in candidates(net) if symbolic_batch else []:
        whole = len(axes) == sum(map(bool, net.inputs.values()))
        try:
            return _Lowering(net, blobs, axes, tolerant).run("" if whole else reason)
        except _NeedsStatic as error:
            reason = str(error) if whole else reason
    return _Lowering(net, blobs, {}, tolerant).run(reason)


class _NeedsStatic(Exception):
    """A layer needs a size that is only known as a symbol."""


class _Lowering:
    """One pass over the layers."""

    def __init__(self, net: Net, blobs: BlobSource, axes: Axes, tolerant: bool) -> None:
        self.net, self.blobs, self.axes, self.tolerant = net, blobs, axes, tolerant
        self.graph = Graph(net.name)
        self.ops = Ops(self.graph)
        self.shared: dict[str, Value] = {}
        self.owners = _last_owners(net, blobs)
        self.result = Lowered(self.graph, net)

    def run(self, reason: str) -> Lowered:
        self._inputs()
        for index, layer in enumerate(self.net.layers):
            if layer.type == "Input" or any(name not in self.graph.blobs for name in layer.bottoms):
                continue  # (a missing bottom: tolerant, and an earlier layer failed)
            try:
                self._layer(index, layer)
            except CamcompatError as error:
                if not self.tolerant:
                    raise
                self.result.errors[index] = error
        for name in self.net.outputs:
            if name in self.graph.blobs and name not in self.net.inputs:
                self.graph.outputs[name] = self.graph.blobs[name]
        mark_logits(self.graph)
        self.result.static = reason
        self.result.notes = [*self.net.notes, *self.result.notes, *file_notes(self.net, self.blobs)]
        return self.result

    def _inputs(self) -> None:
        for name, declared in self.net.inputs.items():
            shape: Shape = tuple(declared)
            axis, symbol = self.axes.get(name, (0, ""))
            if symbol:
                shape = (*declared[:axis], Sym.of(symbol), *declared[axis + 1 :])
            value = self.ops.input(name, shape)
            if symbol and symbol not in self.graph.symbols:
                self.graph.symbols[symbol] = Symbol(value, axis)
            self.graph.blobs[name] = value

    def _layer(self, index: int, layer: Layer) -> None:
        entry = find_layer(_type_of(layer))
        if entry is None:
            raise _unsupported(layer)
        for what, names, (least, most) in (("bottom", layer.bottoms, entry.bottoms), ("top", layer.tops, entry.tops)):
            if len(names) < least or (most is not None and len(names) > most):
                span = f"{least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
                raise ConversionError(f"it has {len(names)} {what}(s); {layer.type} takes {span}", where=layer.where)
        self.ops.layer, self.ops.index = layer.name or f"{layer.type}{index}", index
        _check_parameters(layer)
        view = LayerView(layer, self.ops, self._fetcher(layer), self.blobs.count(layer))
        if layer.type == "Python":  # module and layer have chosen the function; param_str is for it to read
            view.reads |= {"python_param", "python_param.module", "python_param.layer"}
        tops = self._call(entry.function, view, [self.graph.blobs[name] for name in layer.bottoms])
        if len(tops) != len(layer.tops):
            raise view.error(f"{len(layer.tops)} tops are declared, and it makes {len(tops)}")
        unused = surplus(self.blobs, layer, max(view.blobs, default=-1) + 1)
        if unused:
            self.result.notes.append(unused)
        for name, value in zip(layer.tops, tops):
            self.graph.blobs[name] = value
            if value.producer is not None and not value.name:
                value.name = name
        self._notes(index, layer, view)

    def _call(self, function: object, view: LayerView, bottoms: list[Value]) -> list[Value]:
        assert callable(function)
        try:
            result = function(self.ops, view, *bottoms)
        except SymbolicError as error:
            raise _NeedsStatic(f"{view.where}: {error}") from None
        except CamcompatError:
            raise
        except (ShapeMismatch, ValueError, IndexError, AssertionError) as error:
            shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in zip(view.bottoms, bottoms))
            problem = "it asks for an axis that a bottom lacks" if isinstance(error, IndexError) else error
            raise view.error(
                f"{problem} (bottoms: {shapes or 'none'})", "check its parameters and the input shape"
            ) from error
        if result is None:
            return []
        return list(result) if isinstance(result, Sequence) else [result]

    def _fetcher(self, layer: Layer) -> Fetch:
        def fetch(index: int, shape: tuple[int, ...]) -> np.ndarray | Value:
            name = layer.param_names[index] if index < len(layer.param_names) else ""
            if not name:
                return self.blobs.get(layer, index, shape)
            if self.blobs.count(layer) is None:
                self.blobs.get(layer, index, shape)  # invented blobs are drawn in order, unused ones too
            if name not in self.shared:
                owner, position = self.owners.get(name, (layer, index))
                array = _refit(self.blobs, owner, position, shape, layer)
                self.shared[name] = self.ops.const(array, f"shared.{name}", dtype="float32", learned=True)
            value = self.shared[name]
            if value.shape != shape:  # share_mode PERMISSIVE: as many numbers, in another shape
                assert value.data is not None
                return value.data.reshape(shape)
            return value

        return fetch

    def _notes(self, index: int, layer: Layer, view: LayerView) -> None:
        own = [blob for blob in view.blobs.values() if blob.layer == self.ops.layer and blob.data is not None]
        self.result.parameters[index] = sum(blob.data.size for blob in own if blob.data is not None)
        self.result.reads[index] = view.reads
        self.result.blobs[index] = view.blobs
        if view.variant:
            self.result.variants[index] = view.variant
        self.result.notes += [f"{layer.where}: {note}" for note in view.notes]
        for name in unread(layer.message, view.reads):
            self.result.notes.append(f"{layer.where}: {name} is set, and {layer.type} does not read it")


DOUBLE_LIMIT = 1 << 23  # weights; beyond it their float64 copy costs more memory than the digits are worth


def mark_logits(graph: Graph) -> None:
    """Have a classifier that feeds a softmax accumulate in float64.

    A softmax turns an absolute error of its logits into a relative one of the probabilities: at a logit of 200, one
    float32 rounding (1.5e-5) already costs more than the parity that is promised. The price,
    measured on two cores: in onnxruntime nothing beyond the noise; in torch 0.5 ms a call for 1024 x 1000 weights,
    3 ms for 4096 x 1000, because they are widened each time.
    """
    for node in graph.nodes:
        above = node.inputs[0].producer if node.op == "softmax" and node.inputs[0] else None
        while above is not None and above.op == "reshape":
            above = above.inputs[0].producer if above.inputs[0] else None
        if above is not None:
            accumulate_in_double(above)


def accumulate_in_double(node: Node) -> None:
    """Have a classifier of reasonable size accumulate in float64; other primitives stay what they are."""
    weight = node.inputs[1].data if node.op == "linear" and node.inputs[1] is not None else None
    if weight is not None and weight.size <= DOUBLE_LIMIT:
        node.attrs["accumulate"] = "float64"


def _refit(blobs: BlobSource, owner: Layer, position: int, shape: tuple[int, ...], layer: Layer) -> np.ndarray:
    """A shared blob as the file's last user of it has it: Caffe copies layer by layer, so the last one stays."""
    try:
        return blobs.get(owner, position, shape)
    except WeightsError:
        if owner is layer:
            raise
        return blobs.get(layer, position, shape)


def _last_owners(net: Net, blobs: BlobSource) -> dict[str, tuple[Layer, int]]:
    owners: dict[str, tuple[Layer, int]] = {}
    for layer in net.layers:
        if blobs.count(layer) == 0:
            continue
        for index, name in enumerate(layer.param_names):
            if name:
                owners[name] = (layer, index)
    return owners


def _type_of(layer: Layer) -> str:
    if layer.type != "Python":
        return layer.type
    p = layer.message.python_param
    return f"Python:{p.module}.{p.layer}"


def _unsupported(layer: Layer) -> ConversionError:
    kind = _type_of(layer)
    return ConversionError(
        f'layer type "{kind}" is not supported',
        where=layer.where,
        remedy=f"{nearest(kind)}see docs/layers.md for what is, and CONTRIBUTING.md for how to register your own",
    )


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


# Parameters that arrays or loops as long as their value are made for, whatever the blobs' shapes are.
_WINDOW = ("dilation", "hole", "kernel", "local_size", "pad", "pyramid_height", "stride", "temporal_")


def _check_parameters(layer: Layer) -> None:
    """Refuse a window (kernel, stride, pad, dilation, local_size) that no image is large enough for.

    Raises:
        ConversionError: with the layer's place.
    """
    most = get_limits().window
    for descriptor, value in layer.message.ListFields():
        if descriptor.message_type is None or not hasattr(value, "ListFields"):
            continue
        for inner, found in value.ListFields():
            if inner.name.startswith(_WINDOW) and (largest := _largest(found)) > most:
                message = f"{inner.name} is {largest:,}, the limit is {most:,}"
                raise ConversionError(message, where=layer.where, remedy=raise_hint("window"))


def _largest(value: Any) -> int:
    if isinstance(value, int):
        return value
    return max((each for each in value if isinstance(each, int)), default=0) if hasattr(value, "__len__") else 0
