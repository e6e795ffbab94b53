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

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "prototxt.errors": "DownloadError WeightsError",
    "weights.downloads.fetch": "download",
    "weights.files.caffemodel": "Weights",
    "weights.files.hdf5": "write_hdf5",
    "weights.files.invented": "synthetic",
    "weights.files.mean": "read_mean",
    "weights.files.reader": "read",
    "weights.files.blob": "fit",
    "weights.files.writer": "write",
    "weights.models": "Model catalog find",
}

if TYPE_CHECKING:
    from prototxt.errors import DownloadError as DownloadError, WeightsError as WeightsError
    from weights.downloads.fetch import download as download
    from weights.files.blob import fit as fit
    from weights.files.caffemodel import Weights as Weights
    from weights.files.hdf5 import write_hdf5 as write_hdf5
    from weights.files.invented import synthetic as synthetic
    from weights.files.mean import read_mean as read_mean
    from weights.files.reader import read as read
    from weights.files.writer import write as write
    from weights.models import Model as Model, catalog as catalog, find as find
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
