"""Interp and Upsample: larger (or smaller) maps."""

from __future__ import annotations

from converters.graph.dims import Shape, numel, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops


@layer("Interp", bottoms=(1, 2))
def interp(ops: Ops, view: LayerView, x: Value, *like: Value) -> Value:
    """bilinear interpolation with aligned corners to a size, or by whole factors (DeepLab, PSPNet: interp_layer.cpp)"""
    p = view.params("interp_param")
    if p.has("factor"):
        raise view.error("factor belongs to another fork's Interp", "give height and width")
    if p.pad_beg > 0 or p.pad_end > 0:
        raise view.error(f"pad_beg {p.pad_beg} and pad_end {p.pad_end} must not be positive: they crop")
    inner = [static(dim, "the image size is needed") + p.pad_beg + p.pad_end for dim in x.shape[2:]]
    if len(inner) != 2 or min(inner) < 1:
        raise view.error(f"pad_beg {p.pad_beg} and pad_end {p.pad_end} leave {inner} of a bottom of shape {x.shape}")
    height, width = _like(view, p, like[0]) if like else (_size(view, p, i, n) for i, n in enumerate(inner))
    for axis, length in zip((2, 3), inner):
        x = ops.slice(x, axis, -p.pad_beg, -p.pad_beg + length)
    return ops.resize_bilinear(x, (height, width))


def _like(view: LayerView, p: Params, like: Value) -> tuple[int, int]:
    if any(map(p.has, ("height", "width", "zoom_factor", "shrink_factor"))):
        raise view.error("a second bottom gives the size already", "remove height, width and the factors")
    height, width = (static(dim, "the image size is needed") for dim in like.shape[2:])
    return height, width


def _size(view: LayerView, p: Params, axis: int, length: int) -> int:
    """The new length of an axis; the order of precedence is Caffe's."""
    shrink, zoom = p.has("shrink_factor"), p.has("zoom_factor")
    if (shrink and p.shrink_factor < 1) or (zoom and p.zoom_factor < 1):
        raise view.error(f"shrink_factor {p.shrink_factor} and zoom_factor {p.zoom_factor} must be positive")
    if shrink == zoom:
        if p.has("height") and p.has("width"):
            size = (p.height, p.width)[axis]
            if size < 1:
                raise view.error(f"height {p.height} and width {p.width} must be positive")
            return int(size)
        if not shrink:
            raise view.error("no size is given", "give height and width, zoom_factor or shrink_factor")
    length = (length - 1) // p.shrink_factor + 1 if shrink else length
    return length + (length - 1) * (p.zoom_factor - 1) if zoom else length


@layer("Upsample", bottoms=(1, 2))
def upsample(ops: Ops, view: LayerView, x: Value, *mask: Value) -> Value:
    """with a mask, each value back where its pooling took it from (SegNet); without, each pixel repeated (YOLO)"""
    p = view.params("upsample_param")
    if any(p.has(name) for name in ("stride", "stride_h", "stride_w")):
        raise view.error("stride belongs to another fork's Upsample", "give scale")
    if mask:
        view.variant = "SegNet: unpooling by a mask"
        return _unpool(ops, view, p, x, mask[0])
    view.variant = "YOLO: nearest neighbour"
    scales = _scales(p, default=1)
    if min(scales) < 1 or len(x.shape) < 2:
        raise view.error(f"scale {scales} must be positive, and the bottom {x.shape} have 2 axes at least")
    if any(p.has(name) for name in ("upsample_h", "upsample_w", "pad_out_h", "pad_out_w")):
        raise view.error("a size is for unpooling, which needs the pooling's mask as a second bottom", "add it")
    *outer, height, width = x.shape
    wide: Shape = (*outer, height, scales[0], width, scales[1])
    y = ops.expand(ops.reshape(x, (*outer, height, 1, width, 1)), wide)
    return ops.reshape(y, (*outer, height * scales[0], width * scales[1]))


def _scales(p: Params, default: int) -> tuple[int, int]:
    if p.has("scale_h") or p.has("scale_w"):
        return int(p.scale_h), int(p.scale_w)
    return (int(p.scale) if p.has("scale") else default,) * 2


def _unpool(ops: Ops, view: LayerView, p: Params, x: Value, mask: Value) -> Value:
    if len(x.shape) != 4 or tuple(mask.shape) != tuple(x.shape):
        raise view.error(f"its bottoms have shapes {x.shape} and {mask.shape}; they must be equal, with 4 axes")
    plane = [static(dim, "the image size is needed") for dim in x.shape[2:]]
    if p.has("upsample_h") and p.has("upsample_w"):
        for name in ("scale", "scale_h", "scale_w", "pad_out_h", "pad_out_w"):
            p.has(name)  # the size overrides them
        height, width = int(p.upsample_h), int(p.upsample_w)
    else:
        scales, pads = _scales(p, default=2), (p.pad_out_h, p.pad_out_w)
        if any(pad and scale != 2 for pad, scale in zip(pads, scales)):
            raise view.error("pad_out_h and pad_out_w need a scale of 2", "give upsample_h and upsample_w")
        if min(scales) < 2:
            raise view.error(f"scale {scales} must be 2 at least", "give upsample_h and upsample_w")
        height, width = (n * scale - int(pad) for n, scale, pad in zip(plane, scales, pads))
    if height * width < plane[0] * plane[1]:
        raise view.error(f"{height} x {width} is smaller than the bottom's {plane[0]} x {plane[1]}")
    rows = (numel(x.shape[:2]), plane[0] * plane[1])
    places = ops.cast(ops.reshape(mask, rows), "int64")
    y = ops.scatter_zeros(ops.reshape(x, rows), places, height * width)
    return ops.reshape(y, (*x.shape[:2], height, width))
