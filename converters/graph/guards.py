"""What a layer may ask for: parameters of absurd size are refused before anything is computed with them."""

from __future__ import annotations

from typing import Any

from converters.graph.dims import Shape, at_one
from prototxt import Layer
from prototxt.errors import ConversionError
from prototxt.limits import check_blob, get_limits, raise_hint

__all__ = ["check_parameters", "shape_problem"]

# Parameters that arrays or loops as long as their value are made for, whatever the blobs' shapes are.
_WINDOW = ("dilation", "hole", "kernel", "local_size", "pad", "pyramid_height", "stride", "temporal_")


def check_parameters(layer: Layer) -> None:
    """Refuse a window (kernel, stride, pad, dilation, local_size) that no image is large enough for.

    Raises:
        ConversionError: with the layer's place.
    """
    most = get_limits().window
    for descriptor, value in layer.message.ListFields():
        if descriptor.message_type is None or not hasattr(value, "ListFields"):
            continue
        for inner, found in value.ListFields():
            if inner.name.startswith(_WINDOW) and (largest := _largest(found)) > most:
                message = f"{inner.name} is {largest:,}, the limit is {most:,}"
                raise ConversionError(message, where=layer.where, remedy=raise_hint("window"))


def _largest(value: Any) -> int:
    if isinstance(value, int):
        return value
    return max((each for each in value if isinstance(each, int)), default=0) if hasattr(value, "__len__") else 0


def shape_problem(shape: Shape) -> str:
    """Why a blob of this shape is refused, "" where it is not; a symbol counts as one.

    >>> shape_problem((1, 3, 224, 224))
    ''
    """
    problem = check_blob(at_one(shape))
    return f"{problem}; {raise_hint('axes' if 'axes' in problem else 'elements')}" if problem else ""
