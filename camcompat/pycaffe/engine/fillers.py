"""The values that a layer's blobs start from where no file gives them (Caffe: filler.hpp)."""

from __future__ import annotations

from math import prod, sqrt
from typing import Any

import numpy as np

from camcompat.pycaffe.errors import CaffeError

__all__ = ["fill"]

_WEIGHT = ("weight_filler", "filler", "slope_filler", "scale_filler")
# What a layer fills with where the prototxt names no filler; every other blob starts as zeros.
_ONES, _QUARTER = ("Scale", "Normalize"), ("PReLU",)


def fill(layer: Any, index: int, shape: tuple[int, ...], random: np.random.RandomState, where: str) -> np.ndarray:
    """Blob `index` of a LayerParameter as Caffe initialises it: float32 of this shape.

    Raises:
        CaffeError: a filler that Caffe does not know.
    """
    filler = _filler(layer, ("bias_filler",) if index == 1 else _WEIGHT)
    if filler is None:
        value = 1.0 if layer.type in _ONES else 0.25 if layer.type in _QUARTER else 0.0
        return np.full(shape, value if index == 0 else 0.0, np.float32)
    return _values(filler, shape, random, where).astype(np.float32)


def _filler(layer: Any, names: tuple[str, ...]) -> Any:
    for field, message in layer.ListFields():
        if field.name.endswith("_param") and field.message_type is not None and hasattr(message, "ListFields"):
            for inner, value in message.ListFields():
                if inner.name in names:
                    return value
    return None


def _values(filler: Any, shape: tuple[int, ...], random: np.random.RandomState, where: str) -> np.ndarray:
    values: np.ndarray
    kind = filler.type
    if kind == "constant":
        return np.full(shape, filler.value)
    if kind == "uniform":
        return random.uniform(filler.min, filler.max, shape)
    if kind == "gaussian":
        return random.normal(filler.mean, filler.std, shape)
    if kind in ("xavier", "msra"):
        count = _fan(filler, shape)
        limit = sqrt(3 / count)
        return random.uniform(-limit, limit, shape) if kind == "xavier" else random.normal(0, sqrt(2 / count), shape)
    if kind == "positive_unitball":
        values = random.uniform(0, 1, shape)
        values /= values.reshape(len(values), -1).sum(axis=1).reshape(-1, *(1,) * (len(shape) - 1))
        return values
    if kind == "bilinear":
        return _bilinear(shape)
    known = "constant, uniform, gaussian, xavier, msra, positive_unitball and bilinear"
    raise CaffeError(f'unknown filler "{kind}"', where=where, remedy=f"Caffe knows {known}")


def _fan(filler: Any, shape: tuple[int, ...]) -> float:
    count = prod(shape)
    fan_in, fan_out = count / shape[0], count / shape[1] if len(shape) > 1 else count
    norm = filler.DESCRIPTOR.fields_by_name["variance_norm"].enum_type.values_by_number[filler.variance_norm].name
    return float({"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}[norm])


def _bilinear(shape: tuple[int, ...]) -> np.ndarray:
    """The kernel of bilinear upsampling, the same in every channel."""
    size = shape[-1]
    factor = (size + 1) // 2
    centre = (2 * factor - 1 - factor % 2) / (2 * factor)
    line = 1 - np.abs(np.arange(size) / factor - centre)
    return np.broadcast_to(np.outer(line, line), shape)
