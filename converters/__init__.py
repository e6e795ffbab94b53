"""Caffe nets as ONNX graphs, PyTorch modules, Python source, or a NumPy evaluation.

Names are loaded on first use: importing this package loads neither torch nor onnx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blobs import FileBlobs, ShapesOnly, Synthetic
    from .lowering import CamcompatWarning, Lowered, lower
    from .numpy_net import NumpyNet, to_numpy
    from .onnx_file import to_onnx
    from .python_source import to_python
    from .registry import layer, layer_types
    from .torch_module import to_torch
    from .torch_net import TorchNet
    from .write_back import to_caffemodel

_HOMES = {
    "CamcompatWarning": "lowering",
    "FileBlobs": "blobs",
    "Lowered": "lowering",
    "NumpyNet": "numpy_net",
    "ShapesOnly": "blobs",
    "Synthetic": "blobs",
    "TorchNet": "torch_net",
    "layer": "registry",
    "layer_types": "registry",
    "lower": "lowering",
    "to_caffemodel": "write_back",
    "to_numpy": "numpy_net",
    "to_onnx": "onnx_file",
    "to_python": "python_source",
    "to_torch": "torch_module",
}
__all__ = [
    "CamcompatWarning",
    "FileBlobs",
    "Lowered",
    "NumpyNet",
    "ShapesOnly",
    "Synthetic",
    "TorchNet",
    "layer",
    "layer_types",
    "lower",
    "to_caffemodel",
    "to_numpy",
    "to_onnx",
    "to_python",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
