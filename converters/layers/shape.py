"""Layers that rearrange, cut or join blobs without computing."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from converters.graph.dims import Dim, divide, numel, static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView
from converters.ops import Ops


@layer("Split", tops=(1, None))
def split(ops: Ops, view: LayerView, x: Value) -> list[Value]:
    """the same blob under several names"""
    return [x] * len(view.tops)


@layer("Silence", bottoms=(1, None), tops=0)
def silence(ops: Ops, view: LayerView, *bottoms: Value) -> list[Value]:
    """swallows its bottoms"""
    return []


@layer("Concat", bottoms=(1, None))
def concat(ops: Ops, view: LayerView, *bottoms: Value) -> Value:
    """bottoms one after another along `axis` (Caffe: concat_layer.cpp)"""
    p = view.params("concat_param")
    if p.has("concat_dim") and p.has("axis"):
        raise view.error("axis and concat_dim are both given", "remove concat_dim")
    axis = view.axis(p.concat_dim if p.has("concat_dim") else p.axis, len(bottoms[0].shape))
    return ops.concat(bottoms, axis)


@layer("Slice", tops=(1, None))
def slice_(ops: Ops, view: LayerView, x: Value) -> list[Value]:
    """parts of a blob along `axis`, cut at `slice_point` or evenly (Caffe: slice_layer.cpp)"""
    p = view.params("slice_param")
    if p.has("slice_dim") and p.has("axis"):
        raise view.error("axis and slice_dim are both given", "remove slice_dim")
    axis = view.axis(p.slice_dim if p.has("slice_dim") else p.axis, len(x.shape))
    length, count = static(x.shape[axis], "the length of the axis to slice is needed"), len(view.tops)
    points = list(p.slice_point)
    if points and len(points) != count - 1:
        raise view.error(f"{len(points)} slice_point(s) for {count} tops", f"give {count - 1}")
    if not points:
        if length % count:
            raise view.error(f"{length} elements do not divide into {count} tops", "give slice_point")
        points = [length // count * i for i in range(1, count)]
    edges = [0, *points, length]
    if any(a >= b for a, b in pairwise(edges)):
        raise view.error(f"slice_point {points} must rise between 0 and {length}")
    return [ops.slice(x, axis, a, b) for a, b in pairwise(edges)]


@layer("Flatten")
def flatten(ops: Ops, view: LayerView, x: Value) -> Value:
    """axes `axis` to `end_axis` as one (Caffe: flatten_layer.cpp)"""
    p = view.params("flatten_param")
    first, last = view.axis(p.axis, len(x.shape)), view.axis(p.end_axis, len(x.shape))
    if first > last + 1:  # one axis apart, Caffe inserts an axis of length 1
        raise view.error(f"axis {p.axis} comes after end_axis {p.end_axis}")
    return ops.reshape(x, (*x.shape[:first], numel(x.shape[first : last + 1]), *x.shape[last + 1 :]))


@layer("Reshape")
def reshape(ops: Ops, view: LayerView, x: Value) -> Value:
    """another shape: 0 copies a dimension, −1 infers one, `axis` and `num_axes` limit the change (reshape_layer.cpp)"""
    p = view.params("reshape_param")
    rank = len(x.shape)
    start = p.axis if p.axis >= 0 else rank + p.axis + 1
    end = rank if p.num_axes == -1 else start + p.num_axes
    if not 0 <= start <= rank or p.num_axes < -1 or end > rank:
        raise view.error(f"axis {p.axis} with num_axes {p.num_axes} is outside of a blob with {rank} axes")
    asked = [int(dim) for dim in p.shape.dim]
    new: list[Dim] = []
    for i, dim in enumerate(asked):
        if dim == 0 and start + i >= rank:
            raise view.error(f"dim {i} is 0, which copies axis {start + i} of a blob with {rank} axes")
        new.append(x.shape[start + i] if dim == 0 else dim)
    inferred = [i for i, dim in enumerate(asked) if dim == -1]
    if len(inferred) > 1 or min(asked, default=0) < -1:
        raise view.error(f"shape {asked} must hold one -1 at most, and nothing below it")
    if inferred:
        others = numel(x.shape[:start]) * numel(new[: inferred[0]] + new[inferred[0] + 1 :]) * numel(x.shape[end:])
        try:
            new[inferred[0]] = divide(numel(x.shape), others)
        except ValueError:
            raise view.error(f"{numel(x.shape)} elements do not divide into the other dimensions ({others})") from None
    return ops.reshape(x, (*x.shape[:start], *new, *x.shape[end:]))


@layer("Crop", bottoms=2)
def crop(ops: Ops, view: LayerView, x: Value, reference: Value) -> Value:
    """the first bottom cut to the second's size from `axis` on, at `offset` (Caffe: crop_layer.cpp)"""
    p = view.params("crop_param")
    first = view.axis(p.axis, len(x.shape))
    if len(reference.shape) < len(x.shape):
        raise view.error(f"its bottoms have shapes {x.shape} and {reference.shape}; the second needs as many axes")
    offsets = list(p.offset)
    if len(offsets) > 1 and len(offsets) != len(x.shape) - first:
        raise view.error(f"{len(offsets)} offsets for {len(x.shape) - first} axes", "give one, or one per axis")
    for axis in range(first, len(x.shape)):
        offset = offsets[axis - first] if len(offsets) > 1 else (offsets[0] if offsets else 0)
        if offset == 0 and x.shape[axis] == reference.shape[axis]:
            continue
        length, size = static(x.shape[axis]), static(reference.shape[axis])
        if offset + size > length:
            raise view.error(f"axis {axis}: {size} from offset {offset} does not fit into {length}")
        x = ops.slice(x, axis, offset, offset + size)
    return x


@layer("Permute")
def permute(ops: Ops, view: LayerView, x: Value) -> Value:
    """axes in another `order`; axes not named follow (SSD: permute_layer.cpp)"""
    order = [int(axis) for axis in view.params("permute_param").order]
    if len(set(order)) != len(order) or any(axis >= len(x.shape) for axis in order):
        raise view.error(f"order {order} must name each axis of a blob with {len(x.shape)} axes once at most")
    return ops.transpose(x, order + [axis for axis in range(len(x.shape)) if axis not in order])


FEW_TILES = 64  # as operands of one Concat; a file may ask for thousands


@layer("Tile")
def tile(ops: Ops, view: LayerView, x: Value) -> Value:
    """the blob repeated `tiles` times along `axis` (Caffe: tile_layer.cpp)"""
    p = view.params("tile_param")
    axis = view.axis(p.axis, len(x.shape))
    if p.tiles < 1:
        raise view.error("tiles is missing or not positive")
    if p.tiles <= FEW_TILES:
        return ops.concat([x] * p.tiles, axis)
    outer, inner = numel(x.shape[:axis]), numel(x.shape[axis:])
    rows = ops.expand(ops.reshape(x, (outer, 1, inner)), (outer, p.tiles, inner))
    return ops.reshape(rows, (*x.shape[:axis], x.shape[axis] * p.tiles, *x.shape[axis + 1 :]))


@layer("ShuffleChannel")
def shuffle_channel(ops: Ops, view: LayerView, x: Value) -> Value:
    """channels (g, C/g) transposed to (C/g, g) (ShuffleNet's fork: shuffle_channel_layer.cpp)"""
    group, channels = view.params("shuffle_channel_param").group, static(x.shape[1])
    if group < 1 or channels % group:
        raise view.error(f"{channels} channels do not divide into {group} groups")
    tail = x.shape[2:]
    y = ops.reshape(x, (x.shape[0], group, channels // group, *tail))
    y = ops.transpose(y, [0, 2, 1, *range(3, len(y.shape))])
    return ops.reshape(y, (x.shape[0], channels, *tail))


@layer("Flip")
def flip(ops: Ops, view: LayerView, x: Value) -> Value:
    """mirrored in width (`flip_width`, on by default) or height (FlowNet-style fork: flip_layer.cpp)"""
    p = view.params("flip_param")
    for wanted, axis in ((p.flip_width, 3), (p.flip_height, 2)):
        if wanted:
            length = static(x.shape[axis], "the image size is needed")
            x = ops.slice(x, axis, length - 1, -1, -1)
    return x


@layer("Reorg")
def reorg(ops: Ops, view: LayerView, x: Value) -> Value:
    """darknet's rearrangement of space into channels by `stride`, or its `reverse` (reorg_layer.cpp)"""
    p = view.params("reorg_param")
    stride, (channels, height, width) = p.stride, (static(dim) for dim in x.shape[1:])
    if stride < 1:
        raise view.error(f"stride {stride} must be positive", "give stride")
    if channels % (stride * stride) and not p.reverse:
        raise view.error(f"{channels} channels are not a multiple of stride² = {stride * stride}")
    if (height % stride or width % stride) and not p.reverse:
        raise view.error(f"{height} x {width} is not a multiple of stride {stride}")
    view.constant(channels * height * width)
    # Darknet indexes as if the blob had C/s² channels of (H·s, W·s), whichever way it goes; a gather says just that.
    index = np.arange(channels * height * width).reshape(channels, height, width)
    source, shape = _darknet(index, stride, p.reverse)
    y = ops.gather(ops.reshape(x, (x.shape[0], index.size)), ops.const(source.reshape(-1), "order"), 1)
    return ops.reshape(y, (x.shape[0], *shape))


def _darknet(index: np.ndarray, stride: int, reverse: bool) -> tuple[np.ndarray, tuple[int, int, int]]:
    channels, height, width = index.shape
    if reverse:
        shape = (channels // (stride * stride), height * stride, width * stride)
    else:
        shape = (channels * stride * stride, height // stride, width // stride)
    inner = channels // (stride * stride)
    k, j, i = np.indices(index.shape)
    offset = k // inner
    row, column = j * stride + offset // stride, i * stride + offset % stride
    spread = column + width * stride * (row + height * stride * (k % inner))
    if reverse:
        source = np.empty(index.size, np.int64)
        source[spread.reshape(-1)] = index.reshape(-1)
        return source, shape
    return spread, shape
