"""The primitives as NumPy in float64: slow, obvious, and independent of torch and onnxruntime.

Each function takes the operands' arrays and the node's attributes and returns one array or a tuple.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["TRANSLATIONS"]

Array = np.ndarray
DTYPES = {"float32": np.float64, "float64": np.float64, "int64": np.int64, "bool": np.bool_}


def windows(x: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """(N, C, *D) → a view (N, C, *out, *kernel) of all windows."""
    n = len(kernel)
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilations))
    view = sliding_window_view(x, extent, axis=tuple(range(2, 2 + n)))
    every = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in strides),
        *(slice(None, None, d) for d in dilations),
    )
    return view[every]


def padded(x: Array, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    return np.pad(x, [(0, 0)] * (x.ndim - len(pads)) + list(pads), constant_values=value) if np.any(pads) else x


def conv(x: Array, w: Array, b: Array | None, *, strides: Any, pads: Any, dilations: Any, group: int) -> Array:
    x = padded(x, [(p, p) for p in pads])
    spatial = w.ndim - 2
    view = windows(x, w.shape[2:], strides, dilations)
    batch, size = x.shape[0], view.shape[2 : 2 + spatial]
    # Rows are (image, place), columns (channel, kernel): one matrix product per group.
    order = (0, *range(2, 2 + spatial), 1, *range(2 + spatial, 2 + 2 * spatial))
    result = np.empty((batch, w.shape[0], *size))
    step_in, step_out = x.shape[1] // group, w.shape[0] // group
    for n in range(batch):
        for g in range(group):
            part = view[n : n + 1, g * step_in : (g + 1) * step_in].transpose(order)
            columns = part.reshape(int(np.prod(size)), -1)
            kernel = w[g * step_out : (g + 1) * step_out].reshape(step_out, -1)
            result[n, g * step_out : (g + 1) * step_out] = (kernel @ columns.T).reshape(step_out, *size)
    return result if b is None else result + b.reshape(-1, *(1,) * spatial)


def conv_transpose(
    x: Array, w: Array, b: Array | None, *, strides: Any, pads: Any, dilations: Any, group: int
) -> Array:
    spatial, inner = w.ndim - 2, w.shape[1]
    full = tuple(s * (n - 1) + d * (k - 1) + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], strides, dilations))
    result = np.zeros((x.shape[0], inner * group, *full))
    step = x.shape[1] // group
    for place in np.ndindex(*w.shape[2:]):
        # One kernel element adds the whole image, spread by the stride, at its own offset.
        target = tuple(
            slice(k * d, k * d + s * (n - 1) + 1, s) for k, d, s, n in zip(place, dilations, strides, x.shape[2:])
        )
        for g in range(group):
            weight = w[(slice(g * step, (g + 1) * step), slice(None), *place)]
            part = np.tensordot(weight, x[:, g * step : (g + 1) * step], axes=(0, 1))
            result[(slice(None), slice(g * inner, (g + 1) * inner), *target)] += np.moveaxis(part, 0, 1)
    cut = tuple(slice(p, size - p) for p, size in zip(pads, full))
    result = result[(slice(None), slice(None), *cut)]
    return result if b is None else result + b.reshape(-1, *(1,) * spatial)


def _pool_windows(x: Array, kernel: Any, strides: Any, pads: Any, value: float) -> Array:
    view = windows(padded(x, pads, value), kernel, strides, (1,) * len(kernel))
    flat: Array = view.reshape(*view.shape[: 2 + len(kernel)], -1)
    return flat


def max_pool(x: Array, *, kernel: Any, strides: Any, pads: Any) -> Array:
    return np.asarray(_pool_windows(x, kernel, strides, pads, -np.inf).max(axis=-1))


def max_pool_with_mask(x: Array, *, kernel: Any, strides: Any, pads: Any) -> tuple[Array, Array]:
    view = _pool_windows(x, kernel, strides, pads, -np.inf)
    plane = np.arange(int(np.prod(x.shape[2:]))).reshape(1, 1, *x.shape[2:])
    places = _pool_windows(plane.astype(np.float64), kernel, strides, pads, -1)
    best = view.argmax(axis=-1)
    mask = np.take_along_axis(np.broadcast_to(places, view.shape), best[..., None], -1)[..., 0]
    return view.max(axis=-1), mask.astype(np.int64)


def avg_pool(x: Array, *, kernel: Any, strides: Any, pads: Any, count_pads: bool) -> Array:
    total = _pool_windows(x, kernel, strides, pads, 0.0).sum(axis=-1)
    inside = np.ones((1, 1, *x.shape[2:]))
    divisor = np.prod(kernel) if count_pads else _pool_windows(inside, kernel, strides, pads, 0.0).sum(axis=-1)
    return np.asarray(total / divisor)


def resize_bilinear(x: Array, *, size: tuple[int, int]) -> Array:
    for axis, length in zip((2, 3), size):
        old = x.shape[axis]
        # The places in float32, as Caffe has them: its rounding is part of the result.
        step = np.float32(old - 1) / np.float32(length - 1) if length > 1 else np.float32(0)
        place = (np.arange(length, dtype=np.float32) * step).astype(np.float64)
        low = np.minimum(np.floor(place).astype(int), old - 1)
        high = np.minimum(low + 1, old - 1)
        share = (place - low).reshape(-1, *(1,) * (3 - axis))
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def lrn(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Array:
    half = size // 2
    square = np.pad(x * x, [(0, 0), (half, half)] + [(0, 0)] * (x.ndim - 2))
    total = sum(square[:, i : i + x.shape[1]] for i in range(size))
    return np.asarray(x / (k + alpha / size * total) ** beta)


def batch_norm(x: Array, mean: Array, variance: Array, *, epsilon: float) -> Array:
    column = (-1, *(1,) * (x.ndim - 2))
    return np.asarray((x - mean.reshape(column)) / np.sqrt(variance.reshape(column) + epsilon))


def prelu(x: Array, slope: Array) -> Array:
    column = slope.reshape(-1, *(1,) * (x.ndim - 2)) if slope.size > 1 else slope
    return np.asarray(np.maximum(x, 0) + column * np.minimum(x, 0))


def softmax(x: Array, *, axis: int) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


def linear(x: Array, w: Array, b: Array | None, *, accumulate: str = "float64") -> Array:
    return np.asarray(x @ w.T if b is None else x @ w.T + b)


def slice_(x: Array, *, axis: int, start: int, stop: int, step: int) -> Array:
    end = None if stop < 0 else stop
    return x[(slice(None),) * axis + (slice(start, end, step),)]


def top_k(x: Array, *, k: int, axis: int) -> tuple[Array, Array]:
    order = np.argsort(-x, axis=axis, kind="stable").take(range(k), axis=axis)
    return np.take_along_axis(x, order, axis), order


def scatter_zeros(values: Array, indices: Array, *, length: int) -> Array:
    result = np.zeros((values.shape[0], length), values.dtype)
    np.put_along_axis(result, indices, values, axis=1)  # of equal indices the last wins
    return result


def nms(boxes: Array, scores: Array, *, iou_threshold: float, eta: float) -> Array:
    alive = scores > -np.inf
    # Decided in float32, as Caffe does it; all rows at once, or 80 classes would take minutes.
    boxes = boxes.astype(np.float32)
    limit = np.full(len(boxes), np.float32(iou_threshold))
    kept, count = np.zeros_like(alive), np.zeros(len(boxes), int)
    chosen = np.zeros_like(boxes)  # what is kept so far, row by row; a box of no size overlaps nothing
    for i in range(boxes.shape[1]):
        rows = np.flatnonzero(alive[:, i])
        if not rows.size:
            break
        overlap = _iou(boxes[rows, i, None], chosen[rows, : count.max()])
        free = rows[(overlap <= limit[rows, None]).all(axis=1)]
        kept[free, i] = True
        chosen[free, count[free]] = boxes[free, i]
        count[free] += 1
        limit[free] *= np.where(limit[free] > 0.5, np.float32(eta), np.float32(1))
    return kept


def _iou(a: Array, b: Array) -> Array:
    """Intersection over union of boxes in the last axis; 0 where they do not meet."""
    inner = (np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])).clip(0).prod(axis=-1)
    area_a, area_b = ((box[..., 2:] - box[..., :2]).prod(axis=-1) for box in (a, b))
    return np.where(inner > 0, inner / (area_a + area_b - inner), 0)


def roi_max_pool(x: Array, rois: Array, *, pooled: tuple[int, int], spatial_scale: float) -> Array:
    result = np.zeros((len(rois), x.shape[1], *pooled))
    for r, roi in enumerate(rois):
        corners = np.float32(roi[1:]) * np.float32(spatial_scale)
        x1, y1, x2, y2 = (np.sign(corners) * np.floor(np.abs(corners) + np.float32(0.5))).astype(int)
        edges = []
        for start, end, bins, limit in ((y1, y2, pooled[0], x.shape[2]), (x1, x2, pooled[1], x.shape[3])):
            size = np.float32(max(end - start + 1, 1)) / np.float32(bins)
            place = np.arange(bins, dtype=np.float32)
            low = np.clip(np.floor(place * size).astype(int) + start, 0, limit)
            high = np.clip(np.ceil((place + 1) * size).astype(int) + start, 0, limit)
            edges.append(list(zip(low, high)))
        for i, (top, bottom) in enumerate(edges[0]):
            for j, (left, right) in enumerate(edges[1]):
                if bottom > top and right > left:
                    result[r, :, i, j] = x[int(roi[0]), :, top:bottom, left:right].max(axis=(1, 2))
    return result


def _reduce(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda x, *, axes, keepdims: np.asarray(function(x, axis=axes, keepdims=keepdims))


def _divide(a: Array, b: Array) -> Array:
    return np.asarray(a // b if a.dtype.kind == "i" else a / b)


TRANSLATIONS: dict[str, Callable[..., Any]] = {
    "conv": conv,
    "conv_transpose": conv_transpose,
    "max_pool": max_pool,
    "max_pool_with_mask": max_pool_with_mask,
    "avg_pool": avg_pool,
    "resize_bilinear": resize_bilinear,
    "lrn": lrn,
    "batch_norm": batch_norm,
    "prelu": prelu,
    "softmax": softmax,
    "linear": linear,
    "matmul": np.matmul,
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x, *, alpha: np.where(x > 0, x, alpha * x),
    "elu": lambda x, *, alpha: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
    "sigmoid": lambda x: 0.5 * np.tanh(0.5 * x) + 0.5,
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "neg": np.negative,
    "floor": np.floor,
    "ceil": np.ceil,
    "sign": np.sign,
    "clip": lambda x, *, min, max: np.clip(x, min, max),
    "hard_sigmoid": lambda x, *, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "cast": lambda x, *, to: x.astype(DTYPES[to]),
    "round_to_float32": lambda x: x.astype(np.float32).astype(np.float64),
    "logical_not": np.logical_not,
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _divide,
    "mod": np.mod,
    "pow": np.power,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "equal": np.equal,
    "logical_and": np.logical_and,
    "where": np.where,
    "reduce_sum": _reduce(np.sum),
    "reduce_mean": _reduce(np.mean),
    "reduce_max": _reduce(np.max),
    "reduce_min": _reduce(np.min),
    "cumsum": lambda x, *, axis: np.cumsum(x, axis=axis),
    "top_k": top_k,
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, order: x.transpose(order),
    "concat": lambda *xs, axis: np.concatenate(xs, axis=axis),
    "slice": slice_,
    "pad": lambda x, *, pads, value: padded(x, pads, value),
    "expand": lambda x, *, shape: np.broadcast_to(x, shape),
    "gather": lambda x, indices, *, axis: np.take(x, indices, axis=axis),
    "take_along": lambda x, indices, *, axis: np.take_along_axis(x, indices, axis),
    "scatter_zeros": scatter_zeros,
    "arange": lambda *, length: np.arange(length),
    "full": lambda *, shape, value: np.full(shape, value),
    "nonzero": lambda x: np.flatnonzero(x),
    "nms": nms,
    "roi_max_pool": roi_max_pool,
}
