"""Which function lowers which Caffe layer type. `layer` is public: users register their own the same way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from converters.graph.graph import Value
from prototxt.errors import ConversionError
from prototxt.similar import nearest_names

__all__ = ["LayerType", "Lowering", "find_layer", "layer", "layer_types"]

Lowering = Callable[..., "Value | Sequence[Value] | None"]


@dataclass(frozen=True)
class LayerType:
    """A registered layer type: how many bottoms and tops it takes (None: any number), and how it is verified."""

    name: str
    function: Lowering
    bottoms: tuple[int, int | None]
    tops: tuple[int, int | None]
    verified: str
    aliases: tuple[str, ...]

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


_REGISTRY: dict[str, LayerType] = {}


def _range(count: int | tuple[int, int | None]) -> tuple[int, int | None]:
    return (count, count) if isinstance(count, int) else count


def layer(
    *types: str,
    bottoms: int | tuple[int, int | None] = 1,
    tops: int | tuple[int, int | None] = 1,
    verified: str = "by Caffe",
    replace: bool = False,
) -> Callable[[Any], Any]:
    """Register a function as the meaning of a layer type (further names are aliases).

    The function is called as ``function(ops, layer, *bottoms)``: `ops` is `converters.ops.Ops`, `layer` a
    `converters.layers.view.LayerView`, the bottoms are `Value`s; it returns the top, or a sequence of tops.

    Args:
        types: the names as the prototxt spells them; for a Python layer ``"Python:module.Class"``.
        bottoms, tops: how many are allowed: a number, or (least, most) with None for any number.
        verified: ``"by Caffe"`` where outputs of Caffe or of the fork are at hand, else ``"by definition"``.
        replace: allow a type that is registered already (otherwise an error).

    >>> @layer("Twice")
    ... def twice(ops, layer, x):
    ...     return ops.add(x, x)
    >>> find_layer("Twice").bottoms
    (1, 1)
    """

    def register(function: Lowering) -> Lowering:
        entry = LayerType(types[0], function, _range(bottoms), _range(tops), verified, tuple(types[1:]))
        for name in types:
            if name in _REGISTRY and not replace:
                known = _REGISTRY[name].function
                raise ConversionError(
                    f'layer type "{name}" is registered already, by {known.__module__}.{known.__qualname__}',
                    remedy="pass replace=True to take its place",
                )
            _REGISTRY[name] = entry
        return function

    return register


def layer_types() -> dict[str, LayerType]:
    """Every registered name (aliases included) → its `LayerType`."""
    return dict(_REGISTRY)


def find_layer(name: str) -> LayerType | None:
    """The `LayerType` of a name, or None."""
    return _REGISTRY.get(name) or layer_types().get(name)


def nearest(name: str) -> str:
    """A hint for an unknown layer type."""
    names = sorted(layer_types())
    by_case = [known for known in names if known.lower() == name.lower()]
    close = by_case or nearest_names(name, names)
    return f'did you mean "{close[0]}"? ' if close else ""
