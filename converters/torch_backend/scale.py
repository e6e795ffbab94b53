"""Scale in PyTorch: the product and the sum that a Scale layer lowers to, as one module of the layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import fx

from converters.graph.dims import static
from converters.graph.graph import Node
from converters.torch_backend.functions import Scale

if TYPE_CHECKING:
    from converters.torch_backend.writer import TorchWriter

__all__ = ["offset_of", "scale", "scaled_channels"]


def scaled_channels(node: Node) -> int:
    """How many channels (axis 1) a product multiplies, each by its own learned weight; 0 if it is no such product."""
    return _per_channel(node) if node.op == "mul" else 0


def _per_channel(node: Node) -> int:
    x, weight = node.inputs
    if x is None or weight is None or weight.data is None or not weight.learned or weight.name.startswith("shared."):
        return 0
    column = (x.shape[1], *(1,) * (len(x.shape) - 2)) if len(x.shape) > 1 else ()
    return static(x.shape[1]) if column and weight.shape == column else 0


def offset_of(node: Node, after: Node | None) -> Node | None:
    """The sum behind a product that the same layer makes of its result with learned offsets, or None."""
    if after is None or after.op != "add" or after.index != node.index or after.inputs[0] is not node.outputs[0]:
        return None
    return after if _per_channel(after) and not node.outputs[0].name else None


def scale(w: TorchWriter, node: Node, offset: Node | None, x: Any) -> fx.Node:
    """The call of a `Scale` that stands for both."""
    channels = scaled_channels(node)
    module = Scale(channels, bias=offset is not None)
    bias = offset.inputs[1] if offset is not None else None
    return w.module(node, module, x, (channels,), weight=node.inputs[1], bias=bias)
