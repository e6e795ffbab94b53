"""How large a net's input is, where only its weights tell: an InnerProduct layer fits one size of its bottom."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Node
from converters.lowering.blobs import FileBlobs
from converters.lowering.lower_net import Lowered, lower
from prototxt import Layer, Net
from prototxt.errors import CamcompatError, ConversionError, WeightsError
from prototxt.training.data_layers import UnknownShape

__all__ = ["channels_of", "infer_shape"]

USUAL = (224, 227, 299, 321, 331, 256, 192, 160, 128, 112, 96, 64, 48, 32, 28, 24, 12)
LARGEST = 1024
WINDOWS = ("conv", "max_pool", "max_pool_with_mask", "avg_pool")

WithShape = Callable[[tuple[int, ...]], Net]


def channels_of(blobs: FileBlobs, layer: Any) -> int | None:
    """The channels that a Convolution's weights take, None for another layer; `layer` is its LayerParameter."""
    stored = blobs.blobs.get(layer.name, ())
    if layer.type != "Convolution" or not stored or stored[0].ndim < 3:
        return None
    return int(stored[0].shape[1]) * max(1, int(layer.convolution_param.group))


def infer_shape(unknown: UnknownShape, with_shape: WithShape, blobs: FileBlobs) -> tuple[tuple[int, ...], str]:
    """The shape of an input that every InnerProduct layer fits, and a note that says how it was found.

    Args:
        unknown: what the prototxt leaves open.
        with_shape: the net with that input in a given shape.
        blobs: the net's weights.

    Raises:
        UnknownShape: no square fits, or too many do.
    """
    if len(unknown.shape) != 4:  # a video: length and size cannot both be told
        raise unknown
    batch, channels = unknown.shape[0] or 1, unknown.shape[1]
    if channels is None:
        return _flat(unknown, batch, blobs)
    search = _Search(lambda side: with_shape((batch, channels, side, side)), blobs)
    low, high = search.range()
    if low > high or high >= LARGEST:
        raise unknown
    side = search.usual(low, high) or search.most_exact(low, high)
    if not side:
        raise unknown
    shape = (batch, channels, side, side)
    fits = f"{low} to {high}" if low < high else f"{low} only"
    note = (
        f'input "{unknown.name}" is taken to be {"x".join(map(str, shape))}: its InnerProduct weights fit the sizes '
        f"{fits}; another one: --input-shape {unknown.name}=N,C,H,W"
    )
    return shape, f"{unknown.where}: {note}"


def _flat(unknown: UnknownShape, batch: int, blobs: FileBlobs) -> tuple[tuple[int, ...], str]:
    """The shape for an InnerProduct layer that reads the input itself: a grey square picture if it is one."""
    stored = blobs.blobs.get(unknown.reader, ())
    if not stored or stored[0].ndim < 2:
        raise unknown
    count = int(stored[0].shape[-1])
    side = isqrt(count)
    shape = (batch, 1, side, side) if side * side == count and side > 1 else (batch, count)
    spelt = "x".join(map(str, shape))
    note = f'input "{unknown.name}" is taken to be {spelt}: "{unknown.reader}" has weights for {count} numbers'
    return shape, f"{unknown.where}: {note}"


class _Misfit(WeightsError):
    """An InnerProduct layer wants fewer or more weights per output than are stored."""

    def __init__(self, too_large: bool) -> None:
        super().__init__("the input is too large" if too_large else "the input is too small")
        self.too_large = too_large


class _Probe(FileBlobs):
    """Blobs of zeros without memory, except that InnerProduct's weights must be as many as stored."""

    def get(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        stored = self.blobs.get(layer.name, ())
        if layer.type == "InnerProduct" and index == 0 and stored and stored[0].size:
            wanted = int(np.prod(shape, dtype=np.int64))
            if wanted != stored[0].size:
                raise _Misfit(wanted > stored[0].size)
        return np.broadcast_to(np.float32(0), shape)


class _Search:
    """Lowers a net at several sizes of its input; what a layer wants grows with the size."""

    def __init__(self, with_side: Callable[[int], Net], blobs: FileBlobs) -> None:
        self.with_side, self.blobs = with_side, _Probe(blobs.blobs, blobs.source)
        self._errors: dict[int, CamcompatError | None] = {}

    def _lower(self, side: int) -> Lowered:
        return lower(self.with_side(side), self.blobs, symbolic_batch=False)

    def _compare(self, side: int) -> int:
        """-1 where the size is too small, 0 where it fits, 1 where it is too large."""
        try:
            self._lower(side)
        except _Misfit as error:
            return 1 if error.too_large else -1
        except ConversionError:
            if side == LARGEST:  # not for its size: a layer that is not supported
                raise
            return -1  # windows larger than their image
        return 0

    def range(self) -> tuple[int, int]:
        """The smallest and the largest size that fit; empty (smallest above largest) where none does."""
        return self._first(0), self._first(1) - 1

    def _first(self, wanted: int) -> int:
        """The smallest size that compares as at least `wanted`."""
        below, above = 0, LARGEST + 1
        while above - below > 1:
            middle = (below + above) // 2
            if self._compare(middle) >= wanted:
                above = middle
            else:
                below = middle
        return above

    def usual(self, low: int, high: int) -> int:
        """The first usual size that tiling poolings (stride = kernel) cover exactly; 0 where none is."""
        sizes = [size for size in USUAL if low <= size <= high]
        return next((size for size in sizes if _inexact(self._lower(size), tiling=True) == 0), 0)

    def most_exact(self, low: int, high: int) -> int:
        """The one size at which the fewest windows overhang or leave pixels over; 0 where several do equally well."""
        counts = {side: _inexact(self._lower(side)) for side in range(low, high + 1)}
        best = [side for side, count in counts.items() if count == min(counts.values())]
        return best[0] if len(best) == 1 else 0


def _inexact(lowered: Lowered, *, tiling: bool = False) -> int:
    """How many convolutions and poolings do not end exactly at their image's edge, axis by axis.

    Args:
        lowered: the net at one size.
        tiling: count only poolings whose windows do not overlap: 3x3 windows at stride 2 overhang in many nets.
    """
    nodes = [node for node in lowered.graph.nodes if node.op in WINDOWS]
    if tiling:
        nodes = [node for node in nodes if node.attrs.get("kernel") == node.attrs["strides"]]
    return sum(_misses(node) for node in nodes)


def _misses(node: Node) -> int:
    x, weight = (*node.inputs, None)[:2]
    assert x is not None
    kernel = node.attrs["kernel"] if "kernel" in node.attrs else weight.shape[2:] if weight else ()
    count = 0
    for axis, k in enumerate(kernel):
        pad = node.attrs["pads"][axis]  # a pair for poolings: ceil mode adds to the second
        before, after = pad if isinstance(pad, tuple) else (pad, pad)
        reach = (node.attrs["dilations"][axis] if "dilations" in node.attrs else 1) * (k - 1) + 1
        left_over = (static(x.shape[2 + axis]) + before + after - reach) % node.attrs["strides"][axis]
        count += left_over != 0 or after > before
    return count
