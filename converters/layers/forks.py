"""Layers whose name means different things in different forks; the blobs and parameters tell which it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops


def _column(x: Value, channels: int) -> tuple[int, ...]:
    return (channels,) + (1,) * (len(x.shape) - 2)


def _channels(view: LayerView, x: Value) -> int:
    if len(x.shape) < 2:
        raise view.error(f"its bottom has shape {x.shape}; images and channels are needed")
    return static(x.shape[1], "the number of channels is needed")


@layer("Normalize", tops=(1, 2))
def normalize(ops: Ops, view: LayerView, x: Value) -> list[Value]:
    """x over its L2 norm, times a learned scale (SSD: normalize_layer.cpp); without a scale in happynear's fork"""
    p, other = view.params("norm_param"), view.params("normalize_param")
    ssd = any(map(p.has, ("across_spatial", "channel_shared", "scale_filler", "eps")))
    foreign = view.has_params("normalize_param") or len(view.tops) > 1
    if view.blob_count or (not foreign and (ssd or view.blob_count is None)):
        return [_normalize_ssd(ops, view, p, x)]
    view.variant = "happynear: no scale"
    return _normalize_plain(ops, view, other, x)


def _normalize_ssd(ops: Ops, view: LayerView, p: Params, x: Value) -> Value:
    view.variant = "SSD: learned scale"
    if len(view.tops) > 1:
        raise view.error("a second top is happynear's, whose layer has no blob", "remove the second top")
    channels = _channels(view, x)
    axes = range(1, len(x.shape)) if p.across_spatial else (1,)
    square = ops.reduce("sum", ops.mul(x, x), axes)
    norm = ops.sqrt(ops.add(square, ops.const(np.float32(p.eps))))
    if p.channel_shared:
        weight = view.array(0, (), "weight")
    else:
        weight = view.array(0, (channels,), "weight").reshape(_column(x, channels))
    return ops.mul(ops.div(x, norm), ops.const(weight, "weight", learned=True))


def _normalize_plain(ops: Ops, view: LayerView, p: Params, x: Value) -> list[Value]:
    """Over the channels of each place, with 1e-6 under the root; a second top is the norm itself."""
    if p.normalize_type not in ("L1", "L2"):
        raise view.error(f'normalize_type "{p.normalize_type}" is neither L1 nor L2')
    _channels(view, x)
    size = ops.abs(x) if p.normalize_type == "L1" else ops.mul(x, x)
    total = ops.add(ops.reduce("sum", size, (1,)), ops.const(np.float32(1e-6)))
    norm = total if p.normalize_type == "L1" else ops.sqrt(total)
    return [ops.div(x, norm), norm][: len(view.tops)]


@layer("BN", tops=(1, 3))
def bn(ops: Ops, view: LayerView, x: Value) -> list[Value]:
    """batch normalization with scale and shift: 2 blobs in SegNet's fork, 4 in PSPNet's (bn_layer.cpp of each)"""
    p = view.params("bn_param")
    segnet = any(map(p.has, ("bn_mode", "shift_filler")))
    count = view.blob_count if view.blob_count is not None else (2 if segnet else 4)
    if count not in (2, 4):
        raise view.error(f"the caffemodel holds {count} blobs for it; SegNet's BN has 2 and PSPNet's 4")
    if count == 2:
        view.variant = "SegNet: 2 blobs"
        return _bn_segnet(ops, view, p, x)
    if len(view.tops) > 1:
        raise view.error(f"{len(view.tops)} tops; PSPNet's BN, which has 4 blobs, makes one")
    view.variant = "PSPNet: 4 blobs"
    channels = _channels(view, x)
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = [view.array(i, (1, channels, 1, 1), name).reshape(channels) for i, name in enumerate(names)]
    mean, variance = (ops.const(a, name, learned=True) for a, name in zip(arrays[2:], names[2:]))
    epsilon = p.var_eps if p.has("var_eps") else p.eps
    if epsilon < 0:
        raise view.error(f"eps {epsilon} must not be negative")
    return [_affine(ops, ops.batch_norm(x, mean, variance, epsilon), arrays[:2], channels)]


def _bn_segnet(ops: Ops, view: LayerView, p: Params, x: Value) -> list[Value]:
    """INFERENCE: scale·x + shift. LEARN: first normalized by this batch's own statistics, even at TEST."""
    channels = _channels(view, x)
    arrays = [view.array(i, (1, channels, 1, 1), name) for i, name in enumerate(("weight", "bias"))]
    if p.bn_mode == "INFERENCE":
        if len(view.tops) > 1:
            raise view.error(
                "the second and third top (mean, variance) are filled in bn_mode LEARN only", "remove them"
            )
        return [_affine(ops, x, arrays, channels)]
    axes = [axis for axis in range(len(x.shape)) if axis != 1]
    mean = ops.reduce("mean", x, axes)
    centred = ops.sub(x, mean)
    variance = ops.reduce("mean", ops.mul(centred, centred), axes)
    y = ops.div(centred, ops.sqrt(ops.add(variance, ops.const(np.float32(p.var_eps)))))
    statistics = [ops.reshape(value, (1, channels, 1, 1)) for value in (mean, variance)]
    return [_affine(ops, y, arrays, channels), *statistics][: len(view.tops)]


def _affine(ops: Ops, x: Value, arrays: Sequence[np.ndarray], channels: int) -> Value:
    weight, bias = (a.reshape(_column(x, channels)) for a in arrays)
    y = ops.mul(x, ops.const(weight, "weight", learned=True))
    return ops.add(y, ops.const(bias, "bias", learned=True))
