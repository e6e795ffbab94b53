"""Pooling (Caffe: pooling_layer.cpp): the window rules that most converters get wrong, stated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops

LOWEST = float(np.finfo(np.float32).min)  # what Caffe starts a maximum from: -FLT_MAX


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a pooling: `count` windows of `kernel` at every `stride`, the first at −pad.

    `clip`: whether any axis of the pooling is padded; then the clip rule holds for all of them.
    """

    length: int
    kernel: int
    stride: int
    pad: int
    ceil: bool = True
    clip: bool = False

    @property
    def count(self) -> int:
        room = self.length + 2 * self.pad - self.kernel
        count = (-(-room // self.stride) if self.ceil else room // self.stride) + 1
        # The clip rule: with padding, the last window must start inside of the image or of its leading padding.
        return count - 1 if self.clip and (count - 1) * self.stride >= self.length + self.pad else count

    @property
    def overhang(self) -> int:
        """How far the last window reaches past the padded image."""
        return max(0, (self.count - 1) * self.stride + self.kernel - self.length - 2 * self.pad)

    @property
    def starts(self) -> np.ndarray:
        return np.arange(self.count) * self.stride - self.pad

    @property
    def divisors(self) -> np.ndarray:
        """Caffe's share of the divisor of an average: the window clipped to length + pad, so padding counts."""
        return np.asarray(np.minimum(self.starts + self.kernel, self.length + self.pad) - self.starts)

    @property
    def some_empty(self) -> bool:
        """Whether a window holds no pixel at all (stride > kernel, or more padding than the window is wide)."""
        return bool((self.starts >= self.length).any() or (self.starts + self.kernel <= 0).any())


def _pairs(view: LayerView, p: Params, stem: str, single: str, default: int) -> tuple[int, int]:
    given = [p.has(f"{stem}_{side}") for side in "hw"]
    if not any(given):
        value = getattr(p, single) if p.has(single) else default
        return value, value
    if p.has(single) or not all(given):
        raise view.error(f"{single}, {stem}_h and {stem}_w are mixed", f"give {single}, or both {stem}_h and {stem}_w")
    return getattr(p, f"{stem}_h"), getattr(p, f"{stem}_w")


def _axes(view: LayerView, p: Params, x: Value) -> tuple[Axis, ...]:
    if len(x.shape) != 4:
        raise view.error(f"the bottom has {len(x.shape)} axes; pooling needs 4 (N, C, H, W)")
    lengths = [static(dim, "the image size is needed") for dim in x.shape[2:]]
    pads, strides = _pairs(view, p, "pad", "pad", 0), _pairs(view, p, "stride", "stride", 1)
    if p.global_pooling:
        if p.has("kernel_size") or p.has("kernel_h") or p.has("kernel_w"):
            raise view.error("global_pooling excludes kernel_size", "remove one of them")
        if any(pads) or strides != (1, 1):
            raise view.error(f"global_pooling excludes pad {pads} and stride {strides}", "remove them")
        kernel = (lengths[0], lengths[1])
    else:
        kernel = _pairs(view, p, "kernel", "kernel_size", 0)
    if min(kernel) < 1 or min(strides) < 1:
        raise view.error(f"kernel {kernel} and stride {strides} must be positive", "give kernel_size or global_pooling")
    if any(pad >= size for pad, size in zip(pads, kernel)) and any(pads):
        raise view.error(f"pad {pads} must be smaller than kernel {kernel}, as Caffe demands")
    if any(pads) and p.pool == "STOCHASTIC":
        raise view.error(f"pad {pads} is for MAX and AVE pooling only", "remove it")
    ceil = p.round_mode == "CEIL"
    if p.has("ceil_mode"):  # the forks' spelling of the same choice
        ceil = p.ceil_mode
    return tuple(Axis(*numbers, ceil, any(pads)) for numbers in zip(lengths, kernel, strides, pads))


def _average(ops: Ops, x: Value, axes: Sequence[Axis]) -> Value:
    kernel, strides = [a.kernel for a in axes], [a.stride for a in axes]
    overhang = [(0, a.overhang) for a in axes]
    if not any(a.overhang for a in axes):
        pads = [(a.pad, a.pad) for a in axes]
        return ops.avg_pool(x, kernel=kernel, strides=strides, pads=pads, count_pads=True)
    padded = ops.pad(x, [(a.pad, a.pad) for a in axes])
    if not any(a.some_empty for a in axes):
        # Padding is part of the tensor now and counts; the ceiling's overhang is not and does not.
        return ops.avg_pool(padded, kernel=kernel, strides=strides, pads=overhang, count_pads=False)
    mean = ops.avg_pool(ops.pad(padded, overhang), kernel=kernel, strides=strides, pads=[(0, 0)] * 2, count_pads=True)
    with np.errstate(divide="ignore"):
        ratio = np.prod(kernel) / np.multiply.outer(*[a.divisors.astype(np.float64) for a in axes])
    return ops.mul(mean, ops.const(ratio, "ratio", dtype="float32"))


def _maximum(ops: Ops, x: Value, axes: Sequence[Axis], with_mask: bool) -> list[Value]:
    kernel, strides = [a.kernel for a in axes], [a.stride for a in axes]
    pads = [(a.pad, a.pad + a.overhang) for a in axes]
    # Also where torch, which pads by half a window at most, has no mask of its own.
    empty = any(a.some_empty or (with_mask and 2 * a.pad > a.kernel) for a in axes)
    if empty:
        x, pads = ops.pad(x, pads, LOWEST), [(0, 0)] * 2
    if not with_mask:
        return [ops.max_pool(x, kernel=kernel, strides=strides, pads=pads)]
    values, mask = ops.max_pool_with_mask(x, kernel=kernel, strides=strides, pads=pads)
    return [values, ops.cast(_in_the_image(ops, mask, values, axes) if empty else mask, "float32")]


def _in_the_image(ops: Ops, mask: Value, values: Value, axes: Sequence[Axis]) -> Value:
    """A mask of places in the padded image as one of places in the image; −1, as in Caffe, where there is no pixel."""
    vertical, horizontal = axes
    width = ops.const(horizontal.length + 2 * horizontal.pad + horizontal.overhang)
    row = ops.sub(ops.div(mask, width), ops.const(vertical.pad))
    column = ops.sub(ops.mod(mask, width), ops.const(horizontal.pad))
    place = ops.add(ops.mul(row, ops.const(horizontal.length)), column)
    return ops.where(ops.greater(values, ops.const(np.float32(LOWEST))), place, ops.const(-1))


def _stochastic(ops: Ops, x: Value, axes: Sequence[Axis]) -> Value:
    """At TEST the mean weighted by the activations themselves, Σx² / Σx, and 0 where Σx is not positive.

    Only Caffe's GPU has it (pooling_layer.cu). Both means have one divisor, which cancels.
    """
    weighted, total = _average(ops, ops.mul(x, x), axes), _average(ops, x, axes)
    zero = ops.const(np.float32(0))
    positive = ops.greater(total, zero)
    return ops.where(positive, ops.div(weighted, ops.where(positive, total, ops.const(np.float32(1)))), zero)


@layer("Pooling", tops=(1, 2))
def pooling(ops: Ops, view: LayerView, x: Value) -> list[Value]:
    """MAX, AVE and STOCHASTIC pooling with Caffe's ceiling, clip rule and divisor; a second top of MAX is the mask."""
    p = view.params("pooling_param")
    axes = _axes(view, p, x)
    if len(view.tops) > 1 and p.pool != "MAX":
        raise view.error(f"a second top (the mask) needs MAX pooling, not {p.pool}", "remove the second top")
    return _pooled(ops, p.pool, x, axes, with_mask=len(view.tops) > 1)


def _pooled(ops: Ops, method: str, x: Value, axes: Sequence[Axis], with_mask: bool = False) -> list[Value]:
    if method == "MAX":
        return _maximum(ops, x, axes, with_mask)
    return [_average(ops, x, axes) if method == "AVE" else _stochastic(ops, x, axes)]


@layer("SPP")
def spp(ops: Ops, view: LayerView, x: Value) -> Value:
    """a pyramid of poolings into 1, 4, 16, … bins, flattened and joined (Caffe: spp_layer.cpp)"""
    p = view.params("spp_param")
    if len(x.shape) != 4 or p.pyramid_height < 1:
        raise view.error(f"pyramid_height {p.pyramid_height} must be positive, and the bottom {x.shape} have 4 axes")
    lengths = [static(dim, "the image size is needed") for dim in x.shape[2:]]
    levels = []
    for level in range(p.pyramid_height):
        kernel = [-(-length // 2**level) for length in lengths]
        pads = [(size * 2**level - length + 1) // 2 for size, length in zip(kernel, lengths)]
        if any(pad >= size for pad, size in zip(pads, kernel)):
            raise view.error(
                f"level {level} of the pyramid cuts {lengths} into {2**level} bins, which Caffe refuses",
                f"give pyramid_height {level} at most",
            )
        if any(pads) and p.pool == "STOCHASTIC":
            raise view.error(f"level {level} of the pyramid pads by {pads}, and STOCHASTIC pooling cannot")
        axes = [Axis(n, k, k, pad, clip=any(pads)) for n, k, pad in zip(lengths, kernel, pads)]
        levels.append(_pooled(ops, p.pool, x, axes)[0])
    if len(levels) == 1:
        return levels[0]  # not even flattened
    return ops.concat([ops.flatten_from(y, 1) for y in levels], 1)
