"""Caffe nets as ONNX graphs, PyTorch modules, Python source, or a NumPy evaluation.

Names are loaded on first use: importing this package loads neither torch nor onnx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "converters.layers.registry": "layer layer_types",
    "converters.lowering.blobs": "FileBlobs ShapesOnly Synthetic",
    "converters.lowering.lower_net": "Lowered lower",
    "converters.lowering.notes": "CamcompatWarning",
    "converters.numpy_backend.net": "NumpyNet to_numpy",
    "converters.onnx_backend.file": "to_onnx",
    "converters.torch_backend.module": "to_torch",
    "converters.torch_backend.net": "TorchNet",
    "converters.torch_backend.source.file": "to_python",
    "converters.torch_backend.write_back": "to_caffemodel",
}

if TYPE_CHECKING:
    from converters.layers.registry import layer as layer, layer_types as layer_types
    from converters.lowering.blobs import FileBlobs as FileBlobs, ShapesOnly as ShapesOnly, Synthetic as Synthetic
    from converters.lowering.lower_net import Lowered as Lowered, lower as lower
    from converters.lowering.notes import CamcompatWarning as CamcompatWarning
    from converters.numpy_backend.net import NumpyNet as NumpyNet, to_numpy as to_numpy
    from converters.onnx_backend.file import to_onnx as to_onnx
    from converters.torch_backend.module import to_torch as to_torch
    from converters.torch_backend.net import TorchNet as TorchNet
    from converters.torch_backend.source.file import to_python as to_python
    from converters.torch_backend.write_back import to_caffemodel as to_caffemodel
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
