"""Layers of the user's own, from a Python file."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

from converters.layers.registry import layer_types
from prototxt.errors import ConversionError

__all__ = ["load_plugin"]


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
