"""What is in a Caffe net: layers, shapes, parameters, multiply-adds, and what cannot be converted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from converters import Lowered
    from converters.graph.graph import Graph, Node
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike, Shapes

__all__ = ["Inspection", "Row", "inspect"]


@dataclass(frozen=True)
class Row:
    """A layer: one shape per top with symbols as text, multiply-adds for one image, and why it is not supported."""

    name: str
    type: str
    variant: str
    shape: tuple[tuple[int | str, ...], ...]
    parameters: int
    multiply_adds: int
    error: str


@dataclass(frozen=True)
class Inspection:
    """A net's layers and what holds for the whole.

    Attributes:
        name, source: of the net.
        inputs: shape by name.
        outputs: the blobs it returns.
        rows: one per layer.
        batch: the symbol of the batch axis, or "fixed: …" with the reason.
        cam: the class activation mapping head in words, or "".
        notes: fields and weights that are not used.
    """

    name: str
    source: str
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]
    rows: tuple[Row, ...]
    batch: str
    cam: str
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        return sum(row.multiply_adds for row in self.rows)

    @property
    def unsupported(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.error)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        totals = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        return {**asdict(self), **totals}


def inspect(
    prototxt: NetLike | None,
    caffemodel: WeightsLike | None = None,
    *,
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
) -> Inspection:
    """Describe a net layer by layer; a layer that is not supported is a row, not an error.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`; None takes the net inside the caffemodel.
        caffemodel: its weights; without them, shapes come from the prototxt alone.
        input_shapes: input name → another shape than the prototxt declares.
        keep_losses: of a training definition: True keeps losses and labels; see `prototxt.deploy`.

    Raises:
        PrototxtError: the definition cannot be read at all.
        WeightsError: the weights cannot be read at all.

    >>> inspect("deploy.prototxt").parameters                        # doctest: +SKIP
    10352024
    """
    from converters.lowering.blobs import ShapesOnly, blob_source
    from converters.lowering.build import load_net
    from converters.lowering.lower_net import lower

    blobs = ShapesOnly() if caffemodel is None else blob_source(caffemodel)
    net = load_net(prototxt, input_shapes, blobs=blobs, keep_losses=keep_losses)
    lowered = lower(net, blobs, tolerant=True)
    counts = _multiply_adds(lowered)
    graph = lowered.graph
    rows = []
    for index, layer in enumerate(net.layers):
        shapes = tuple(_plain(graph.blobs[top].shape) if top in graph.blobs else ("?",) for top in layer.tops)
        error = str(lowered.errors.get(index, ""))
        parameters, operations = lowered.parameters.get(index, 0), counts.get(index, 0)
        rows.append(Row(layer.name, layer.type, lowered.variants.get(index, ""), shapes, parameters, operations, error))
    return Inspection(
        name=net.name,
        source=net.source,
        inputs={x.name: _plain(x.shape) for x in graph.inputs},
        outputs=tuple(graph.outputs),
        rows=tuple(rows),
        batch=f"fixed: {lowered.static}" if lowered.static else ", ".join(_batch_symbols(graph)) or "none",
        cam=_cam(lowered),
        notes=tuple(lowered.notes),
    )


def _batch_symbols(graph: Graph) -> list[str]:
    """Those of the inputs: a number of detections is a symbol too, and no batch."""
    return [name for name, symbol in graph.symbols.items() if any(symbol.source is x for x in graph.inputs)]


def _plain(shape: Sequence[object]) -> tuple[int | str, ...]:
    return tuple(dim if isinstance(dim, int) else str(dim) for dim in shape)


def _multiply_adds(lowered: Lowered) -> dict[int, int]:
    """Multiply-adds per layer index, for one image (every symbol 1)."""
    counts: dict[int, int] = {}
    for node in lowered.graph.nodes:
        counts[node.index] = counts.get(node.index, 0) + _node_cost(node)
    return counts


def _node_cost(node: Node) -> int:
    def size(shape: Sequence[Any]) -> int:
        return int(np.prod([dim if isinstance(dim, int) else dim.factor for dim in shape]))

    x, weight = (*node.inputs, None, None)[:2]
    if x is None or weight is None:
        return 0
    if node.op == "conv":
        return size(node.outputs[0].shape) * size(weight.shape[1:])
    if node.op == "conv_transpose":
        return size(x.shape) * size(weight.shape[1:])
    if node.op in ("linear", "matmul"):
        return size(node.outputs[0].shape) * size(x.shape[-1:])
    return 0


def _cam(lowered: Lowered) -> str:
    from converters.cam.head import find_cam_head

    head = find_cam_head(lowered.graph)
    if head is None:
        return ""
    shape = "x".join(map(str, head.features.shape[1:]))
    form = "its class maps" if head.weight is None else f"features of {head.source}"
    return f"{form} ({shape}), {head.classes} classes by {head.classifier}"
