"""LRN, BatchNorm, MVN and Softmax."""

from __future__ import annotations

import numpy as np

from converters.graph.dims import Dim, Shape, numel, static
from converters.graph.graph import Value
from converters.layers.registry import Training, layer
from converters.layers.view import LayerView
from converters.ops import Ops
from prototxt import Layer

CUDNN_LEAST_EPS = 1e-5


@layer("LRN")
def lrn(ops: Ops, view: LayerView, x: Value) -> Value:
    """x / (k + alpha/n · Σ x²)^beta, across channels or within each channel (Caffe: lrn_layer.cpp)"""
    p = view.params("lrn_param")
    size = p.local_size
    if size % 2 == 0:
        raise view.error(f"local_size {size} must be odd, as Caffe demands")
    if len(x.shape) != 4:
        raise view.error(f"the bottom has {len(x.shape)} axes; LRN needs 4 (N, C, H, W)")
    if p.norm_region == "ACROSS_CHANNELS":
        return ops.lrn(x, size, p.alpha, p.beta, p.k)
    # Caffe builds this form from AVE pooling of x² with padding that counts, then (1 + alpha·mean)^−beta:
    # k is not read there, so a k in the file has no effect.
    pads = [((size - 1) // 2,) * 2] * 2
    mean = ops.avg_pool(ops.mul(x, x), kernel=(size, size), strides=(1, 1), pads=pads, count_pads=True)
    scale = ops.add(ops.mul(mean, ops.const(np.float32(p.alpha))), ops.const(np.float32(1)))
    return ops.mul(x, ops.pow(scale, ops.const(np.float32(-p.beta))))


def _statistics(layer: Layer) -> Training:
    p = layer.message.batch_norm_param
    return Training(momentum=round(1 - float(p.moving_average_fraction), 6), active=not p.use_global_stats)


@layer("BatchNorm", training=_statistics)
def batch_norm(ops: Ops, view: LayerView, x: Value) -> Value:
    """(x − mean) / sqrt(variance + eps), by stored statistics or by the batch's (Caffe: batch_norm_layer.cpp)"""
    p = view.params("batch_norm_param")
    channels = static(x.shape[1], "the number of channels is needed") if len(x.shape) > 1 else 1
    if p.eps < 0:
        raise view.error(f"eps {p.eps} must not be negative")
    affine = p.scale_bias or p.has("scale_filler") or p.has("bias_filler") or (view.blob_count or 0) >= 5
    stored = p.use_global_stats if p.has("use_global_stats") else True
    if not stored and not affine:
        return _by_batch(ops, x, p.eps)
    images = x if len(x.shape) > 1 else ops.unsqueeze(x, 1)
    if len(x.shape) > 5:
        images = ops.reshape(x, (*x.shape[:4], numel(x.shape[4:])))
    mean, variance = (view.array(i, (channels,), name) for i, name in enumerate(("running_mean", "running_var")))
    factor = float(view.array(2, (1,), "factor")[0])
    # NVIDIA's fork stores a third blob of 0 or 1 that it never reads, and raises eps to cuDNN's least.
    scale = np.float32(1 if affine and factor in (0, 1) else 0 if factor == 0 else 1.0 / factor)
    y = ops.batch_norm(
        images,
        ops.const(mean * scale, "running_mean", learned=True),
        ops.const(variance * scale, "running_var", learned=True),
        max(p.eps, CUDNN_LEAST_EPS) if affine else p.eps,
    )
    if affine:  # it also keeps the scale and the bias of a following Scale layer in the same layer
        view.variant = "NVIDIA: with scale and bias"
        column = (channels,) + (1,) * (len(y.shape) - 2)
        y = ops.mul(y, ops.const(view.array(3, (channels,), "weight").reshape(column), "weight", learned=True))
        y = ops.add(y, ops.const(view.array(4, (channels,), "bias").reshape(column), "bias", learned=True))
    return ops.reshape(y, x.shape)


def _by_batch(ops: Ops, x: Value, eps: float) -> Value:
    axes = [i for i in range(len(x.shape)) if i != 1]
    centred = ops.sub(x, ops.reduce("mean", x, axes))
    variance = ops.reduce("mean", ops.mul(centred, centred), axes)
    return ops.div(centred, ops.sqrt(ops.add(variance, ops.const(np.float32(eps)))))


@layer("MVN")
def mvn(ops: Ops, view: LayerView, x: Value) -> Value:
    """x minus its mean, divided by (standard deviation + eps), per channel or across them (Caffe: mvn_layer.cpp)"""
    p = view.params("mvn_param")
    keep: int = 1 if p.across_channels else 2
    if not 1 <= len(x.shape) <= 4:
        raise view.error(f"the bottom has {len(x.shape)} axes; MVN takes 4 at most (N, C, H, W)")
    # Caffe sees (num, channels, height, width): leading axes make the rows, the rest is one row each.
    rest: Dim = numel(x.shape[keep:])
    rows: Shape = (numel(x.shape[:keep]), rest)
    flat = ops.reshape(x, rows)
    y = ops.sub(flat, ops.reduce("mean", flat, [1]))
    if p.normalize_variance:
        deviation = ops.sqrt(ops.reduce("mean", ops.mul(y, y), [1]))
        y = ops.div(y, ops.add(deviation, ops.const(np.float32(p.eps))))
    return ops.reshape(y, (*x.shape, *(1,) * (4 - len(x.shape))))  # with all four axes, as Caffe leaves it


@layer("Softmax")
def softmax(ops: Ops, view: LayerView, x: Value) -> Value:
    """exp(x − max) / Σ exp(x − max) along an axis (Caffe: softmax_layer.cpp)"""
    return ops.softmax(x, view.axis(view.params("softmax_param").axis, len(x.shape)))
