"""Synthetic weights: repeatable random blobs of realistic size, for nets whose trained weights are not at hand.

Caffe's reference outputs of this project were computed with exactly these numbers, so every digit is part of the rule.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from prototxt.errors import WeightsError

__all__ = ["synthetic"]

_Rng: TypeAlias = np.random.RandomState
_Draw: TypeAlias = Callable[[_Rng, tuple[int, ...]], object]


def _kernel(rng: _Rng, shape: tuple[int, ...]) -> object:
    return rng.standard_normal(shape) * math.sqrt(2 / math.prod(shape[1:]))  # keeps the size of ReLU activations


def _around(mean: float, deviation: float) -> _Draw:
    return lambda rng, shape: mean + deviation * rng.standard_normal(shape)


_FILTER = (_kernel, _around(0, 0.05))
_RULES: Mapping[str, tuple[_Draw, ...]] = MappingProxyType(
    {
        "Convolution": _FILTER,
        "Deconvolution": _FILTER,
        "InnerProduct": _FILTER,
        "BatchNorm": (
            _around(0, 0.1),
            lambda rng, shape: rng.uniform(0.5, 1.5, shape),
            lambda rng, shape: np.ones(shape),
        ),
        "Scale": (_around(1, 0.1), _around(0, 0.05)),
    }
)
_OTHER = _around(0.25, 0.05)


def synthetic(layer_name: str, layer_type: str, shapes: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """The synthetic blobs of one layer, seeded by its name: float32, one per shape.

    Args:
        layer_name: seeds the generator (crc32 of its UTF-8 bytes).
        layer_type: V2 spelling.
        shapes: the shapes of the layer's blobs, in Caffe's order.
    Raises: WeightsError if there are more shapes than the type has blobs.

    >>> weight, bias = synthetic("conv1", "Convolution", [(4, 3, 2, 2), (4,)])
    >>> weight.shape, bias.shape, weight.dtype
    ((4, 3, 2, 2), (4,), dtype('float32'))
    """
    rules = _RULES.get(layer_type, (_OTHER,) * len(shapes))
    if len(shapes) > len(rules):
        message = f"{len(shapes)} blobs are asked for, {layer_type} has at most {len(rules)}"
        remedy = "give the shapes of BVLC Caffe's blobs"
        raise WeightsError(message, where=f'layer "{layer_name}" ({layer_type})', remedy=remedy)
    rng = np.random.RandomState(zlib.crc32(layer_name.encode()) & 0xFFFFFFFF)
    pairs = zip(rules[: len(shapes)], shapes, strict=True)
    return [np.asarray(draw(rng, tuple(shape)), dtype=np.float32) for draw, shape in pairs]
