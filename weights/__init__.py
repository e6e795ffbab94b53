"""weights: Caffe's weight and mean files in, named numpy arrays out (and back).

>>> from pathlib import Path
>>> from tempfile import mkdtemp
>>> import numpy as np, weights
>>> path = Path(mkdtemp()) / "net.caffemodel"
>>> weights.write(path, "net", {"fc": [np.eye(2), np.zeros(2)]}, types={"fc": "InnerProduct"})
>>> with weights.read(path) as blobs:
...     [blob.shape for blob in blobs["fc"]]
[(2, 2), (2,)]
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prototxt.errors import DownloadError, WeightsError
    from weights.caffemodel import Weights, read
    from weights.catalog import Model, catalog, find
    from weights.download import download
    from weights.hdf5 import write_hdf5
    from weights.mean import read_mean
    from weights.shapes import fit
    from weights.synthetic import synthetic
    from weights.writer import write

__all__ = [
    "DownloadError",
    "Model",
    "Weights",
    "WeightsError",
    "catalog",
    "download",
    "find",
    "fit",
    "read",
    "read_mean",
    "synthetic",
    "write",
    "write_hdf5",
]

_HOME = {
    "DownloadError": "prototxt.errors",
    "Model": "weights.catalog",
    "Weights": "weights.caffemodel",
    "WeightsError": "prototxt.errors",
    "catalog": "weights.catalog",
    "download": "weights.download",
    "find": "weights.catalog",
    "fit": "weights.shapes",
    "read": "weights.caffemodel",
    "read_mean": "weights.mean",
    "synthetic": "weights.synthetic",
    "write": "weights.writer",
    "write_hdf5": "weights.hdf5",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'weights' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package's own module type, so that ``weights.download`` stays the function.

    Importing the submodule ``weights.download`` makes Python bind that module to the package's attribute, which
    would hide the function of the same name; such a binding is dropped (``from weights.download import …`` works).
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
