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

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prototxt.errors import DownloadError, WeightsError
    from weights.downloads.fetch import download
    from weights.files.caffemodel import Weights
    from weights.files.hdf5 import write_hdf5
    from weights.files.invented import synthetic
    from weights.files.mean import read_mean
    from weights.files.reader import read
    from weights.files.shapes import fit
    from weights.files.writer import write
    from weights.models import Model, catalog, find

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
    "Model": "weights.models",
    "Weights": "weights.files.caffemodel",
    "WeightsError": "prototxt.errors",
    "catalog": "weights.models",
    "download": "weights.downloads.fetch",
    "find": "weights.models",
    "fit": "weights.files.shapes",
    "read": "weights.files.reader",
    "read_mean": "weights.files.mean",
    "synthetic": "weights.files.invented",
    "write": "weights.files.writer",
    "write_hdf5": "weights.files.hdf5",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'weights' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
