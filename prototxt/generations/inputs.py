"""The inputs of a net and their shapes."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

from prototxt.errors import PrototxtError
from prototxt.limits import check_blob, raise_hint

__all__ = ["input_shapes_of"]

_SHOWN = 32  # sizes of a shape in a message


def input_shapes_of(
    layers: Sequence[Any], places: Sequence[str], given: Mapping[str, Sequence[int]] | None, source: str
) -> dict[str, tuple[int, ...]]:
    """The shape of every input blob, in net order; shapes that the caller gives are written into the Input layers.

    Args:
        layers: LayerParameter messages; their ``input_param`` is changed where a shape is given.
        places: where each of them is, for errors.
        given: shapes that replace the declared ones, by input name.
        source: the file, for errors.

    Raises:
        PrototxtError: an input without a shape, a shape that is none, or a given name that is no input.
    """
    given = dict(given or {})
    inputs = [layer for layer in layers if layer.type == "Input"]
    names = [top for layer in inputs for top in layer.top]
    for name in given:
        if name not in names:
            known = f"the inputs are {', '.join(names)}" if names else "the net has no Input layer"
            raise PrototxtError(f'there is no input "{name}" to give a shape to', where=source, remedy=known)
    result: dict[str, tuple[int, ...]] = {}
    for layer, where in zip(layers, places, strict=True):
        if layer.type == "Input":
            declared = _declared(layer, where)
            for top in layer.top:
                result[top] = _checked(top, _whole(top, given[top], where) if top in given else declared[top], where)
            if any(top in given for top in layer.top):
                del layer.input_param.shape[:]
                for top in layer.top:
                    layer.input_param.shape.add(dim=result[top])
    return result


def _whole(name: str, shape: Sequence[int], where: str) -> tuple[int, ...]:
    try:
        return tuple(operator.index(size) for size in shape)
    except TypeError:
        remedy = f"give whole numbers: input_shapes={{{name!r}: (1, 3, 224, 224)}}"
        raise PrototxtError(
            f'the shape {shape!r} given for input "{name}" is none', where=where, remedy=remedy
        ) from None


def _declared(layer: Any, where: str) -> dict[str, tuple[int, ...] | None]:
    """The shapes that an Input layer declares: none, one for all tops, or one each (``InputLayer::LayerSetUp``)."""
    shapes: list[tuple[int, ...] | None] = [tuple(shape.dim) for shape in layer.input_param.shape]
    if len(shapes) not in (0, 1, len(layer.top)):
        message = f"an Input layer of {len(layer.top)} top(s) declares {len(shapes)} shapes"
        raise PrototxtError(message, where=where, remedy="declare one shape for all tops, or one for each")
    if len(shapes) != len(layer.top):
        shapes = (shapes or [None]) * len(layer.top)
    return dict(zip(layer.top, shapes, strict=True))


def _checked(name: str, shape: tuple[int, ...] | None, where: str) -> tuple[int, ...]:
    remedy = f"give one: --input-shape {name}=1,3,224,224 (or input_shapes={{{name!r}: (1, 3, 224, 224)}})"
    if shape is None:
        raise PrototxtError(f'input "{name}" declares no shape', where=where, remedy=remedy)
    if any(size < 1 for size in shape):
        written = "x".join(str(size) for size in shape[:_SHOWN])
        raise PrototxtError(f'input "{name}" has the shape {written}, but sizes start at 1', where=where, remedy=remedy)
    problem = check_blob(shape)
    if problem:
        hint = raise_hint("axes" if "axes" in problem else "elements")
        raise PrototxtError(f'input "{name}": {problem}', where=where, remedy=f"{remedy}; {hint}")
    return shape
