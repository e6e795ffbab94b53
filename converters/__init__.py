"""Caffe nets as ONNX graphs, PyTorch modules, Python source, or a NumPy evaluation.

Names are loaded on first use: importing this package loads neither torch nor onnx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.layers.registry import layer, layer_types
    from converters.lowering.blobs import FileBlobs, ShapesOnly, Synthetic
    from converters.lowering.lower_net import Lowered, lower
    from converters.lowering.notes import CamcompatWarning
    from converters.numpy_backend.net import NumpyNet, to_numpy
    from converters.onnx_backend.file import to_onnx
    from converters.torch_backend.module import to_torch
    from converters.torch_backend.net import TorchNet
    from converters.torch_backend.source.file import to_python
    from converters.torch_backend.write_back import to_caffemodel

_HOMES = {
    "CamcompatWarning": "lowering.notes",
    "FileBlobs": "lowering.blobs",
    "Lowered": "lowering.lower_net",
    "NumpyNet": "numpy_backend.net",
    "ShapesOnly": "lowering.blobs",
    "Synthetic": "lowering.blobs",
    "TorchNet": "torch_backend.net",
    "layer": "layers.registry",
    "layer_types": "layers.registry",
    "lower": "lowering.lower_net",
    "to_caffemodel": "torch_backend.write_back",
    "to_numpy": "numpy_backend.net",
    "to_onnx": "onnx_backend.file",
    "to_python": "torch_backend.source.file",
    "to_torch": "torch_backend.module",
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
