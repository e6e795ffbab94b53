"""Caffe's network definitions: text, or the structure inside a caffemodel, to one immutable :class:`Net`.

>>> import prototxt
>>> net = prototxt.loads('layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 3 } } }')
>>> net.inputs["data"]
(1, 3)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prototxt.errors import CamcompatError, ConversionError, DownloadError, PrototxtError, WeightsError
    from prototxt.limits import Limits, get_limits, limited, set_limits
    from prototxt.net import Layer, Net, dumps, from_message, load, loads
    from prototxt.text_format.parser import Parsed, Unknown, parse
    from prototxt.training.deployment import deploy

__all__ = [
    "CamcompatError",
    "ConversionError",
    "DownloadError",
    "Layer",
    "Limits",
    "Net",
    "Parsed",
    "PrototxtError",
    "Unknown",
    "WeightsError",
    "deploy",
    "dumps",
    "from_message",
    "get_limits",
    "limited",
    "load",
    "loads",
    "parse",
    "set_limits",
]

_MODULES = {
    "prototxt.training.deployment": ("deploy",),
    "prototxt.errors": ("CamcompatError", "ConversionError", "DownloadError", "PrototxtError", "WeightsError"),
    "prototxt.limits": ("Limits", "get_limits", "limited", "set_limits"),
    "prototxt.net": ("Layer", "Net", "dumps", "from_message", "load", "loads"),
    "prototxt.text_format.parser": ("Parsed", "Unknown", "parse"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    # Lazy, because running a CAM imports prototxt.errors on machines without protobuf.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
