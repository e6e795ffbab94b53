"""Pooling (Caffe: pooling_layer.cpp): the window rules that most converters get wrong, stated once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..dims import static
from ..graph import Value
from ..ops import Ops
from ..params import Params
from ..registry import layer
from ..view import LayerView

LOWEST = float(np.finfo(np.float32).min)  # what Caffe starts a maximum from: -FLT_MAX
TINY = float(np.finfo(np.float32).tiny)  # FLT_MIN


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a pooling: `count` windows of `kernel` at every `stride`, the first at −pad."""

    length: int
    kernel: int
    stride: int
    pad: int
    ceil: bool

    @property
    def count(self) -> int:
        room = self.length + 2 * self.pad - self.kernel
        count = (-(-room // self.stride) if self.ceil else room // self.stride) + 1
        # The clip rule: with padding, the last window must start inside of the image or of its leading padding.
        return count - 1 if self.pad and (count - 1) * self.stride >= self.length + self.pad else count

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


def _pairs(p: Params, stem: str, single: str, default: int) -> tuple[int, int]:
    if p.has(f"{stem}_h") or p.has(f"{stem}_w"):
        return getattr(p, f"{stem}_h"), getattr(p, f"{stem}_w")
    value = getattr(p, single) if p.has(single) else default
    return value, value


def _axes(view: LayerView, p: Params, x: Value) -> tuple[Axis, ...]:
    if len(x.shape) != 4:
        raise view.error(f"the bottom has {len(x.shape)} axes; pooling needs 4 (N, C, H, W)")
    lengths = [static(dim, "the image size is needed") for dim in x.shape[2:]]
    pads, strides = _pairs(p, "pad", "pad", 0), _pairs(p, "stride", "stride", 1)
    if p.global_pooling:
        if p.has("kernel_size") or p.has("kernel_h") or p.has("kernel_w"):
            raise view.error("global_pooling excludes kernel_size", "remove one of them")
        kernel, pads, strides = (lengths[0], lengths[1]), (0, 0), (1, 1)
    else:
        kernel = _pairs(p, "kernel", "kernel_size", 0)
    if min(kernel) < 1 or min(strides) < 1:
        raise view.error(f"kernel {kernel} and stride {strides} must be positive", "give kernel_size or global_pooling")
    if any(pad >= size for pad, size in zip(pads, kernel)) and any(pads):
        raise view.error(f"pad {pads} must be smaller than kernel {kernel}, as Caffe demands")
    ceil = p.round_mode == "CEIL"
    if p.has("ceil_mode"):  # the forks' spelling of the same choice
        ceil = p.ceil_mode
    return tuple(Axis(*numbers, ceil) for numbers in zip(lengths, kernel, strides, pads))


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
    if any(a.some_empty for a in axes):
        x, pads = ops.pad(x, pads, LOWEST), [(0, 0)] * 2
        with_mask = with_mask and not any(a.pad for a in axes)
    if with_mask:
        values, mask = ops.max_pool_with_mask(x, kernel=kernel, strides=strides, pads=pads)
        return [values, ops.cast(mask, "float32")]
    return [ops.max_pool(x, kernel=kernel, strides=strides, pads=pads)]


@layer("Pooling", tops=(1, 2))
def pooling(ops: Ops, view: LayerView, x: Value) -> list[Value]:
    """MAX, AVE and STOCHASTIC pooling with Caffe's ceiling, clip rule and divisor; a second top of MAX is the mask."""
    p = view.params("pooling_param")
    axes = _axes(view, p, x)
    if p.pool == "MAX":
        tops = _maximum(ops, x, axes, with_mask=len(view.tops) > 1)
        if len(tops) != len(view.tops):
            raise view.error("a mask of windows without any pixel cannot be given", "remove the second top")
        return tops
    if len(view.tops) > 1:
        raise view.error(f"a second top (the mask) needs MAX pooling, not {p.pool}", "remove the second top")
    if p.pool == "AVE":
        return [_average(ops, x, axes)]
    # At TEST, stochastic pooling is the mean weighted by the activations themselves: Σx² / (Σx + FLT_MIN).
    area = ops.const(np.float32(np.prod([a.kernel for a in axes])))
    weighted = ops.mul(_average(ops, ops.mul(x, x), axes), area)
    total = ops.mul(_average(ops, x, axes), area)
    return [ops.div(weighted, ops.add(total, ops.const(np.float32(TINY))))]
