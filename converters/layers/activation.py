"""Layers that work on each element by itself (Caffe: the neuron layers)."""

from __future__ import annotations

import math

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Value
from converters.layers.registry import Training, layer
from converters.layers.view import LayerView
from converters.ops import Ops
from prototxt import Layer


@layer("AbsVal")
def absval(ops: Ops, view: LayerView, x: Value) -> Value:
    """|x|"""
    return ops.abs(x)


@layer("Sigmoid")
def sigmoid(ops: Ops, view: LayerView, x: Value) -> Value:
    """1 / (1 + exp(−x))"""
    return ops.sigmoid(x)


@layer("TanH")
def tanh(ops: Ops, view: LayerView, x: Value) -> Value:
    """tanh x"""
    return ops.tanh(x)


@layer("BNLL")
def bnll(ops: Ops, view: LayerView, x: Value) -> Value:
    """log(1 + exp x), computed without overflow"""
    return ops.softplus(x)


@layer("ReLU")
def relu(ops: Ops, view: LayerView, x: Value) -> Value:
    """max(x, 0) + negative_slope · min(x, 0); a fork's `relu6` caps it at 6"""
    p = view.params("relu_param")
    y = ops.leaky_relu(x, p.negative_slope) if p.negative_slope else ops.relu(x)
    return ops.minimum(y, ops.const(np.float32(6))) if p.relu6 else y


@layer("ReLU6")
def relu6(ops: Ops, view: LayerView, x: Value) -> Value:
    """min(ReLU(x), 6), with an optional `negative_slope`"""
    slope = view.params("relu6_param").negative_slope or view.params("relu_param").negative_slope
    return ops.minimum(ops.leaky_relu(x, slope), ops.const(np.float32(6))) if slope else ops.clip(x, 0.0, 6.0)


@layer("PReLU")
def prelu(ops: Ops, view: LayerView, x: Value) -> Value:
    """max(x, 0) + slope · min(x, 0) with a learned slope per channel, or one for all"""
    shared = view.params("prelu_param").channel_shared
    if shared:
        array = view.array(0, (), "weight")
        return ops.prelu(x, ops.const(array.reshape(1), "weight", learned=True))
    return ops.prelu(x, view.blob(0, (static(x.shape[1], "the number of channels is needed"),), "weight"))


@layer("ELU")
def elu(ops: Ops, view: LayerView, x: Value) -> Value:
    """x where x > 0, else alpha · (exp x − 1)"""
    return ops.elu(x, view.params("elu_param").alpha)


@layer("Power")
def power(ops: Ops, view: LayerView, x: Value) -> Value:
    """(shift + scale · x) ^ power"""
    p = view.params("power_param")
    power, scale, shift = np.float32(p.power), np.float32(p.scale), np.float32(p.shift)
    if power == 0 or scale == 0:  # Caffe's own special case: a constant, whatever x holds
        with np.errstate(all="ignore"):  # 0 to a negative power is inf in Caffe too
            return ops.zeros(x.shape, 1.0 if power == 0 else float(shift**power))
    y = ops.mul(x, ops.const(scale)) if scale != 1 else x
    y = ops.add(y, ops.const(shift)) if shift != 0 else y
    if power == 1:
        return y
    if power == 2:
        return ops.mul(y, y)
    return ops.sqrt(y) if power == 0.5 else ops.pow(y, ops.const(power))


@layer("Exp")
def exponential(ops: Ops, view: LayerView, x: Value) -> Value:
    """base ^ (shift + scale · x); base −1 stands for e"""
    p = view.params("exp_param")
    log_base = 0.0 if p.base == 1 else _log_base(view, p.base)
    inner, outer = p.scale * log_base, (math.exp(p.shift * log_base) if p.shift else 1.0)
    y = ops.mul(x, ops.const(np.float32(inner))) if inner != 1 else x
    y = ops.exp(y)
    return ops.mul(y, ops.const(np.float32(outer))) if outer != 1 else y


@layer("Log")
def logarithm(ops: Ops, view: LayerView, x: Value) -> Value:
    """log_base(shift + scale · x); base −1 stands for e"""
    p = view.params("log_param")
    y = ops.mul(x, ops.const(np.float32(p.scale))) if p.scale != 1 else x
    y = ops.log(ops.add(y, ops.const(np.float32(p.shift))) if p.shift != 0 else y)
    factor = 1.0 / _log_base(view, p.base)
    return ops.mul(y, ops.const(np.float32(factor))) if factor != 1 else y


def _log_base(view: LayerView, base: float) -> float:
    if base == -1:
        return 1.0
    if base <= 0 or base == 1:
        raise view.error(f"base {base} must be -1 (for e) or positive and not 1")
    return math.log(base)


@layer("Threshold")
def threshold(ops: Ops, view: LayerView, x: Value) -> Value:
    """1 where x > threshold, else 0"""
    limit = ops.const(np.float32(view.params("threshold_param").threshold))
    return ops.cast(ops.greater(x, limit), "float32")


@layer("Clip")
def clip(ops: Ops, view: LayerView, x: Value) -> Value:
    """x limited to [min, max]"""
    p = view.params("clip_param")
    return ops.clip(x, p.min, p.max)


@layer("Swish")
def swish(ops: Ops, view: LayerView, x: Value) -> Value:
    """x · sigmoid(beta · x)"""
    beta = view.params("swish_param").beta
    return ops.mul(x, ops.sigmoid(ops.mul(x, ops.const(np.float32(beta))) if beta != 1 else x))


@layer("HardSigmoid")
def hard_sigmoid(ops: Ops, view: LayerView, x: Value) -> Value:
    """clip(alpha · x + beta, 0, 1)"""
    p = view.params("hard_sigmoid_param")
    return ops.hard_sigmoid(x, p.alpha, p.beta)


@layer("HardSwish")
def hard_swish(ops: Ops, view: LayerView, x: Value) -> Value:
    """x · clip(x + 3, 0, 6) / 6"""
    gate = ops.clip(ops.add(x, ops.const(np.float32(3))), 0.0, 6.0)
    return ops.mul(ops.mul(x, gate), ops.const(np.float32(1 / 6)))


def _dropped(layer: Layer) -> Training:
    ratio = layer.message.dropout_param.dropout_ratio
    return Training(dropped=float(f"{ratio:.7g}"), active=ratio > 0)


@layer("Dropout", training=_dropped)
def dropout(ops: Ops, view: LayerView, x: Value) -> Value:
    """the identity, at TEST; times (1 − dropout_ratio) where a fork's `scale_train` is false"""
    p = view.params("dropout_param")
    if p.sample_weights_test:
        raise view.error("sample_weights_test draws numbers at TEST too", "remove it for the mean of the drawings")
    return x if p.scale_train else ops.mul(x, ops.const(np.float32(1 - p.dropout_ratio)))
