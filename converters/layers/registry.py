"""Which function lowers which Caffe layer type. `layer` is public: users register their own the same way."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.graph.graph import Value
from prototxt import Layer
from prototxt.errors import ConversionError, nearest_names

__all__ = ["LayerType", "Lowering", "Training", "find_layer", "layer", "layer_types", "load_plugin", "training_of"]

Lowering = Callable[..., "Value | Sequence[Value] | None"]


@dataclass(frozen=True)
class Training:
    """How a layer behaves in phase TRAIN, where that is otherwise than in phase TEST.

    Attributes:
        dropped: the share of values that are drawn to be zero; None where none is drawn.
        momentum: by how much a batch moves the statistics, told as torch tells it; None where there are none.
        active: False where the layer is told to behave as in phase TEST.
    """

    dropped: float | None = None
    momentum: float | None = None
    active: bool = True


@dataclass(frozen=True)
class LayerType:
    """A registered layer type.

    Attributes:
        name, aliases: as the prototxt spells it.
        function: what lowers it.
        bottoms, tops: how many it takes: the least, and the most (None: any number).
        verified: "by Caffe" or "by definition".
        training: its behaviour in phase TRAIN, from its parameters; None where phases do not matter.
    """

    name: str
    function: Lowering
    bottoms: tuple[int, int | None]
    tops: tuple[int, int | None]
    verified: str
    aliases: tuple[str, ...]
    training: Callable[[Layer], Training] | None = None

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
    training: Callable[[Layer], Training] | None = None,
) -> Callable[[Any], Any]:
    """Register a function as the meaning of a layer type (further names are aliases).

    The function is called as ``function(ops, layer, *bottoms)``: `ops` is `converters.ops.Ops`, `layer` a
    `converters.layers.view.LayerView`, the bottoms are `Value`s; it returns the top, or a sequence of tops.

    Args:
        types: the names as the prototxt spells them; for a Python layer ``"Python:module.Class"``.
        bottoms, tops: how many are allowed: a number, or (least, most) with None for any number.
        verified: ``"by Caffe"`` where outputs of Caffe or of the fork are at hand, else ``"by definition"``.
        replace: allow a type that is registered already (otherwise an error).
        training: the `Training` of a layer of the prototxt, for one that learns or draws in phase TRAIN.

    >>> @layer("Twice")
    ... def twice(ops, layer, x):
    ...     return ops.add(x, x)
    >>> find_layer("Twice").bottoms
    (1, 1)
    """

    def register(function: Lowering) -> Lowering:
        entry = LayerType(types[0], function, _range(bottoms), _range(tops), verified, tuple(types[1:]), training)
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


def training_of(layer: Layer) -> Training | None:
    """How a layer of the prototxt behaves in phase TRAIN, None where that is as in phase TEST."""
    entry = find_layer(layer.type)
    return entry.training(layer) if entry is not None and entry.training is not None else None


def nearest(name: str) -> str:
    """A hint for an unknown layer type."""
    names = sorted(layer_types())
    by_case = [known for known in names if known.lower() == name.lower()]
    close = by_case or nearest_names(name, names)
    return f'did you mean "{close[0]}"? ' if close else ""


def load_plugin(path: str | os.PathLike[str]) -> list[str]:
    """Run a Python file that registers layers with `@converters.layer`; the types that it added.

    Raises:
        ConversionError: the file is missing, fails, or registers nothing.

    >>> load_plugin("my_layers.py")                                  # doctest: +SKIP
    ['MyLayer']
    """
    file = Path(path)
    if not file.is_file():
        raise ConversionError("no such plugin file", where=str(file), remedy="check the path")
    before = layer_types()
    name = f"camcompat_plugin_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConversionError("it is no Python file", where=str(file), remedy="a plugin is a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ConversionError:
        raise
    except Exception as error:  # whatever a user's file raises is reported as that file's
        raise ConversionError(f"{type(error).__name__}: {error}", where=str(file), remedy="mend the plugin") from error
    after = layer_types()
    added = [key for key, entry in after.items() if before.get(key) is not entry]
    if not added:
        raise ConversionError("it registers no layer", where=str(file), remedy="decorate a function with @layer(...)")
    return added
