"""Convolution and Deconvolution (Caffe: base_conv_layer.cpp, conv_layer.cpp, deconv_layer.cpp)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converters.graph.dims import Shape, numel, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops


def spatial(view: LayerView, p: Params, field: str, count: int, default: int | None) -> tuple[int, ...]:
    """`kernel_size`, `stride`, `pad` or `dilation` for each spatial axis: written once, per axis, or as _h and _w."""
    values = tuple(getattr(p, field))
    stem = field.replace("_size", "")
    two_d = [p.has(f"{stem}_{side}") for side in "hw"] if field != "dilation" else [False]
    if any(two_d):
        if values or count != 2:
            raise view.error(f"{stem}_h and {stem}_w are for 2 spatial axes and exclude {field}; here are {count}")
        return tuple(getattr(p, f"{stem}_{side}") for side in "hw")
    if not values and default is not None:
        values = (default,)
    if len(values) not in (1, count):
        raise view.error(f"{field} is given {len(values)} times for {count} spatial axes", "give it once, or per axis")
    return values * count if len(values) == 1 else values


def dilation(view: LayerView, p: Params, count: int) -> tuple[int, ...]:
    """`dilation`, or DeepLab's name for it: `hole`, `hole_h` and `hole_w`."""
    sides = p.has("hole_h") or p.has("hole_w")
    if not (p.has("hole") or sides):
        return spatial(view, p, "dilation", count, 1)
    if p.dilation or (sides and (p.has("hole") or count != 2)):
        raise view.error("dilation, hole, and hole_h with hole_w exclude each other", "give dilation")
    return (p.hole_h, p.hole_w) if sides else (p.hole,) * count


class Geometry:
    """The numbers of one (de)convolution, read once and checked."""

    def __init__(self, view: LayerView, x: Value) -> None:
        p = view.params("convolution_param")
        self.axis = view.axis(p.axis, len(x.shape))
        count = len(x.shape) - self.axis - 1
        if count > 3:
            raise view.error(f"{count} spatial axes are not supported; up to 3 are")
        self.kernel = spatial(view, p, "kernel_size", count, None)
        self.strides = spatial(view, p, "stride", count, 1)
        self.pads = spatial(view, p, "pad", count, 0)
        self.dilations = dilation(view, p, count)
        self.channels = static(x.shape[self.axis])
        self.outputs = p.num_output or (self.channels if view.type == "ConvolutionDepthwise" else 0)
        self.group = self.channels if view.type == "ConvolutionDepthwise" else p.group
        self.bias = p.bias_term
        if min((*self.kernel, *self.strides, *self.dilations), default=1) < 1:
            raise view.error(f"kernel {self.kernel}, stride {self.strides}, dilation {self.dilations} must be positive")
        if self.outputs < 1:
            raise view.error("num_output is missing or 0", "state how many channels it makes")
        if self.group < 1 or self.channels % self.group or self.outputs % self.group:
            raise view.error(
                f"{self.channels} channels and {self.outputs} outputs do not divide into {self.group} groups"
            )


def _each(ops: Ops, view: LayerView, bottoms: Sequence[Value], transposed: bool) -> list[Value]:
    geometry = Geometry(view, bottoms[0])
    g = geometry
    ends = (g.channels, g.outputs // g.group) if transposed else (g.outputs, g.channels // g.group)
    weight = view.blob(0, (*ends, *g.kernel), "weight")
    bias = view.blob(1, (g.outputs,), "bias") if g.bias else None
    if not g.kernel:
        return [_pointwise(ops, g, x, view.array(0, ends, "weight"), bias, transposed) for x in bottoms]
    primitive = ops.conv_transpose if transposed else ops.conv
    tops = []
    for x in bottoms:
        outer: Shape = x.shape[: g.axis]
        images = ops.reshape(x, (numel(outer), *x.shape[g.axis :]))
        y = primitive(images, weight, bias, strides=g.strides, pads=g.pads, dilations=g.dilations, group=g.group)
        tops.append(ops.reshape(y, (*outer, *y.shape[1:])))
    return tops


def _pointwise(ops: Ops, g: Geometry, x: Value, weight: np.ndarray, bias: Value | None, transposed: bool) -> Value:
    """A blob that ends in its channels has no spatial axis; one of length 1 makes no difference."""
    kernel = ops.const(weight[..., None], "weight", learned=True)
    primitive = ops.conv_transpose if transposed else ops.conv
    columns = ops.reshape(x, (numel(x.shape[: g.axis]), g.channels, 1))
    y = primitive(columns, kernel, bias, strides=(1,), pads=(0,), dilations=(1,), group=g.group)
    return ops.reshape(y, (*x.shape[: g.axis], g.outputs))


@layer("Convolution", "ConvolutionDepthwise", "DepthwiseConvolution", bottoms=(1, None), tops=(1, None))
def convolution(ops: Ops, view: LayerView, *bottoms: Value) -> list[Value]:
    """N-d cross-correlation with groups and dilation; several bottoms share the weights."""
    return _each(ops, view, bottoms, transposed=False)


@layer("Deconvolution", "DeconvolutionDepthwise", bottoms=(1, None), tops=(1, None))
def deconvolution(ops: Ops, view: LayerView, *bottoms: Value) -> list[Value]:
    """The gradient of a convolution with respect to its input; `pad` crops the result."""
    return _each(ops, view, bottoms, transposed=True)
