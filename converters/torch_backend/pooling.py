"""Pooling in PyTorch: its own modules where their rules make just these windows, explicit padding where not."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn import functional as F

from converters.graph.dims import fixed
from converters.graph.graph import Node
from converters.torch_backend import functions as torch_functions

if TYPE_CHECKING:
    from converters.torch_backend.writer import TorchWriter

__all__ = ["avg_pool", "flat_pads", "max_pool", "max_pool_with_mask"]

Operands = list[Any]


def flat_pads(pads: Sequence[tuple[int, int]]) -> list[int]:
    """(before, after) per axis as `torch.nn.functional.pad` wants it: last axis first."""
    return [amount for pair in reversed(pads) for amount in pair]


def _symmetric(pads: Sequence[tuple[int, int]], kernel: Sequence[int]) -> tuple[int, ...] | None:
    """The one number per axis that torch's pooling takes, or None where it cannot say these pads."""
    fits = all(a == b and 2 * a <= k for (a, b), k in zip(pads, kernel))
    return tuple(a for a, _ in pads) if fits else None


def _ceiling(node: Node) -> tuple[int, ...] | None:
    """The leading pads if torch's ceil_mode makes just these windows, else None."""
    a, x = node.attrs, node.inputs[0]
    assert x is not None
    lengths, counts = fixed(x.shape[2:]), fixed(node.outputs[0].shape[2:])
    for length, made, k, s, (before, after) in zip(lengths, counts, a["kernel"], a["strides"], a["pads"]):
        count = -(-(length + 2 * before - k) // s) + 1
        count -= (count - 1) * s >= length + before
        if 2 * before > k or after < before or count != made:
            return None
    return tuple(before for before, _ in a["pads"])


def max_pool(w: TorchWriter, node: Node, xs: Operands) -> Any:
    a = node.attrs
    make: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(a["kernel"]) - 1]
    pads = _symmetric(a["pads"], a["kernel"])
    if pads is not None:
        return w.module(node, make(a["kernel"], a["strides"], pads), xs[0])
    pads = _ceiling(node)
    if pads is not None:
        return w.module(node, make(a["kernel"], a["strides"], pads, ceil_mode=True), xs[0])
    return w.module(
        node, make(a["kernel"], a["strides"]), w.call(F.pad, xs[0], flat_pads(a["pads"]), value=float("-inf"))
    )


def max_pool_with_mask(w: TorchWriter, node: Node, xs: Operands) -> Any:
    a, pads = node.attrs, _symmetric(node.attrs["pads"], node.attrs["kernel"])
    ceil = _ceiling(node) if pads is None else None
    if pads is None and ceil is None:
        raise ValueError(f"torch cannot give the mask of a pooling padded by {a['pads']}")
    options = {"ceil_mode": ceil is not None, "return_indices": True}
    both = w.call(F.max_pool2d, xs[0], a["kernel"], a["strides"], pads or ceil, **options)
    return w.call(operator.getitem, both, 0), w.call(operator.getitem, both, 1)


def avg_pool(w: TorchWriter, node: Node, xs: Operands) -> Any:
    a = node.attrs
    make: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(a["kernel"]) - 1]
    pads, ceil = _symmetric(a["pads"], a["kernel"]), _ceiling(node)
    if pads is not None and (a["count_pads"] or not any(pads)):
        return w.module(node, make(a["kernel"], a["strides"], pads), xs[0])
    if a["count_pads"]:
        return w.module(node, make(a["kernel"], a["strides"]), w.call(F.pad, xs[0], flat_pads(a["pads"])))
    if ceil is not None and not any(ceil):  # torch's ceil_mode also divides by what lies inside
        return w.module(node, make(a["kernel"], a["strides"], ceil_mode=True), xs[0])
    lists = (list(a["kernel"]), list(a["strides"]), flat_pads(a["pads"]))
    return w.call(torch_functions.avg_pool_inside, xs[0], *lists)
