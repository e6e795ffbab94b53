"""Pooling of regions of interest: ROIPooling (Fast R-CNN) and PSROIPooling (R-FCN)."""

from __future__ import annotations

import numpy as np

from converters.graph.dims import numel, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.ops import Ops


def _check_rois(view: LayerView, rois: Value) -> Value:
    if len(rois.shape) < 2 or numel(rois.shape[1:]) != 5:
        raise view.error(f"the regions have shape {rois.shape}; rows of [image x1 y1 x2 y2] are expected")
    return rois


@layer("ROIPooling", bottoms=2)
def roi_pooling(ops: Ops, view: LayerView, x: Value, rois: Value) -> Value:
    """the maximum of each of pooled_h x pooled_w bins of each region (Fast R-CNN's fork: roi_pooling_layer.cpp)"""
    p = view.params("roi_pooling_param")
    if p.pooled_h < 1 or p.pooled_w < 1:
        raise view.error(f"pooled_h {p.pooled_h} and pooled_w {p.pooled_w} must be positive")
    if p.spatial_scale <= 0:
        raise view.error(f"spatial_scale {p.spatial_scale} must be positive")
    if p.has("pad_ratio") and p.pad_ratio:
        raise view.error(f"pad_ratio {p.pad_ratio} belongs to a fork's ROIPooling", "remove it")
    rois = ops.reshape(_check_rois(view, rois), (rois.shape[0], 5))
    return ops.roi_max_pool(x, rois, pooled=(p.pooled_h, p.pooled_w), spatial_scale=p.spatial_scale)


@layer("PSROIPooling", bottoms=2)
def psroi_pooling(ops: Ops, view: LayerView, x: Value, rois: Value) -> Value:
    """the mean of each bin of each region, each bin from its own channels (R-FCN's fork: psroi_pooling_layer.cu)"""
    p = view.params("psroi_pooling_param")
    group, outputs, scale = p.group_size, p.output_dim, p.spatial_scale
    channels, height, width = (static(dim, "the image size is needed") for dim in x.shape[1:])
    if min(group, outputs) < 1 or scale <= 0:
        raise view.error(f"output_dim {outputs}, group_size {group} and spatial_scale {scale} must be positive")
    if channels != outputs * group * group:
        raise view.error(f"{channels} channels; output_dim x group_size² = {outputs * group * group} are expected")
    count = rois.shape[0]
    rois = ops.reshape(_check_rois(view, rois), (count, 5))
    # Sums over rectangles from sums up to each corner, in float64 so that the differences keep float32's digits.
    corner = ops.cast(ops.pad(x, [(1, 0), (1, 0)]), "float64")
    sums = ops.reshape(ops.cumsum(ops.cumsum(corner, 2), 3), (numel(corner.shape),))
    left, right = (ops.reshape(e, (count, 1, 1, group)) for e in _edges(ops, rois, (1, 3), scale, group, width))
    top, bottom = (ops.reshape(e, (count, 1, group, 1)) for e in _edges(ops, rois, (2, 4), scale, group, height))
    image = ops.reshape(ops.cast(ops.slice(rois, 1, 0, 1), "int64"), (count, 1, 1, 1))
    plane = ops.add(
        ops.mul(image, ops.const(channels)), ops.const(np.arange(channels).reshape(1, outputs, group, group))
    )

    def total(y: Value, x: Value) -> Value:
        row = ops.add(ops.mul(plane, ops.const(height + 1)), y)
        return ops.gather(sums, ops.add(ops.mul(row, ops.const(width + 1)), x), 0)

    inner = ops.add(ops.sub(ops.sub(total(bottom, right), total(top, right)), total(bottom, left)), total(top, left))
    area = ops.mul(ops.sub(bottom, top), ops.sub(right, left))
    # An empty bin has the sum 0, and any divisor leaves it so.
    return ops.div(ops.cast(inner, "float32"), ops.cast(ops.maximum(area, ops.const(1)), "float32"))


def _edges(ops: Ops, rois: Value, columns: tuple[int, int], scale: float, bins: int, limit: int) -> tuple[Value, Value]:
    """First and last + 1 pixel (R, bins) of the bins along one axis, int64, each step rounded to float32 as Caffe's."""

    def single(x: Value) -> Value:
        return ops.round_to_float32(x)

    start, stop = (_round(ops, ops.slice(rois, 1, column, column + 1)) for column in columns)
    start = single(ops.mul(start, ops.const(np.float32(scale))))
    stop = single(ops.mul(ops.add(stop, ops.const(np.float32(1))), ops.const(np.float32(scale))))
    length = ops.maximum(single(ops.sub(stop, start)), ops.const(np.float32(0.1)))
    size = single(ops.div(length, ops.const(np.float32(bins))))
    edges = []
    for shift, rounding in ((0, ops.floor), (1, ops.ceil)):
        place = ops.const(np.arange(bins, dtype=np.float32).reshape(1, bins) + shift, "bins")
        edge = rounding(single(ops.add(single(ops.mul(place, size)), start)))
        edges.append(ops.cast(ops.clip(edge, 0.0, float(limit)), "int64"))
    return edges[0], ops.maximum(edges[0], edges[1])


def _round(ops: Ops, x: Value) -> Value:
    """To the nearest integer, halves away from zero: C's round."""
    size = ops.abs(x)
    whole = ops.floor(size)
    up = ops.greater_equal(ops.sub(size, whole), ops.const(np.float32(0.5)))
    return ops.mul(ops.sign(x), ops.add(whole, ops.cast(up, "float32")))
