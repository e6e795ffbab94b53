"""C3D's layers on clips (N, C, L, H, W): Convolution3D, Deconvolution3D and Pooling3D (facebook/C3D, C3D-v1.0)."""

from __future__ import annotations

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops


def _once(view: LayerView, p: Params, name: str, default: int | None = None) -> int:
    """A field that C3D has once; Caffe's schema lets it repeat."""
    value = getattr(p, name)
    values = value if isinstance(value, tuple) else ((value,) if p.has(name) else ())
    if not values and default is not None:
        return default
    if len(values) != 1:
        raise view.error(f"{name} is given {len(values)} times", f"give one {name}, for height and width")
    return int(values[0])


def _clip_size(view: LayerView, x: Value) -> tuple[int, int, int, int]:
    if len(x.shape) != 5:
        raise view.error(f"its bottom has shape {x.shape}; (N, C, length, height, width) is needed")
    channels, length, height, width = (static(dim, "the size of the clip is needed") for dim in x.shape[1:])
    return channels, length, height, width


def _convolution(ops: Ops, view: LayerView, x: Value, *, transposed: bool) -> Value:
    p = view.params("convolution_param")
    channels = _clip_size(view, x)[0]
    for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "dilation", "hole"):
        if p.has(name):
            raise view.error(f"{name} is no parameter of {view.type}", "it takes kernel_size, stride and pad")
    size = _once(view, p, "kernel_size")
    kernel = (_once(view, p, "kernel_depth"), size, size)
    strides = (p.temporal_stride, *(_once(view, p, "stride", 1),) * 2)
    pads = (p.temporal_pad, *(_once(view, p, "pad", 0),) * 2)
    outputs, group = p.num_output, p.filter_group
    if min(*kernel, *strides) < 1 or outputs < 1:
        raise view.error(f"num_output {outputs}, kernel {kernel} and stride {strides} must be positive")
    # filter_group splits the filters to save memory; each part still sees every channel.
    if group < 1 or outputs % group:
        raise view.error(f"num_output {outputs} is not a multiple of filter_group {group}")
    if p.has("group") and p.group != 1:
        raise view.error(f"group {p.group} is no parameter of {view.type}", "remove it")
    ends = (channels, outputs) if transposed else (outputs, channels)
    weight = view.blob(0, (*ends, *kernel), "weight")
    bias = None
    if p.bias_term:  # C3D keeps it with five axes
        bias = ops.const(view.array(1, (1, 1, 1, 1, outputs), "bias").reshape(outputs), "bias", learned=True)
    primitive = ops.conv_transpose if transposed else ops.conv
    return primitive(x, weight, bias, strides=strides, pads=pads, dilations=(1, 1, 1), group=1)


@layer("Convolution3D", verified="by definition")
def convolution3d(ops: Ops, view: LayerView, x: Value) -> Value:
    """3-d cross-correlation over length, height and width (C3D: convolution3d_layer.cpp)"""
    return _convolution(ops, view, x, transposed=False)


@layer("Deconvolution3D", verified="by definition")
def deconvolution3d(ops: Ops, view: LayerView, x: Value) -> Value:
    """the gradient of a Convolution3D with respect to its input (C3D: deconvolution3d_layer.cpp)"""
    return _convolution(ops, view, x, transposed=True)


@layer("Pooling3D", verified="by definition")
def pooling3d(ops: Ops, view: LayerView, x: Value) -> Value:
    """MAX and AVE pooling over length, height and width, without the clip rule (C3D: pooling3d_layer.cpp)"""
    p = view.params("pooling_param")
    for name in ("kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "temporal_pad"):
        if p.has(name):
            raise view.error(
                f"{name} is no parameter of Pooling3D", "it takes kernel_size, stride, pad and kernel_depth"
            )
    if p.global_pooling or p.round_mode != "CEIL" or not p.ceil_mode:
        raise view.error("Pooling3D has neither global_pooling nor round_mode", "give kernel_size and kernel_depth")
    if p.pool == "STOCHASTIC":
        raise view.error("STOCHASTIC pooling has no forward pass in C3D", "use MAX or AVE")
    if p.pool == "MAX" and p.pad:
        raise view.error(f"pad {p.pad}: C3D pads AVE pooling only", "remove it")
    size = _once(view, p, "kernel_size")
    kernel, strides = (_once(view, p, "kernel_depth"), size, size), (p.temporal_stride, p.stride, p.stride)
    pads = (0, p.pad, p.pad)
    lengths = _clip_size(view, x)[1:]
    if min(*kernel, *strides) < 1 or any(s > k for s, k in zip(strides, kernel)):
        raise view.error(f"kernel {kernel} must be positive and no smaller than the stride {strides}")
    overhang = []
    for length, k, s, pad in zip(lengths, kernel, strides, pads):
        room = length + 2 * pad - k
        if room < 0:
            raise view.error(f"a window of {kernel} does not fit into a clip of {lengths} padded by {pads}")
        overhang.append((0, -(-room // s) * s - room))
    if p.pool == "MAX":
        return ops.max_pool(x, kernel=kernel, strides=strides, pads=overhang)
    padded = ops.pad(x, [(pad, pad) for pad in pads])  # padding counts in the mean, the ceiling's overhang does not
    return ops.avg_pool(padded, kernel=kernel, strides=strides, pads=overhang, count_pads=not np.any(overhang))
