"""The door to weight files: what kind of file it is, told by its content."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from prototxt.errors import WeightsError
from prototxt.foreign import HDF5, kind_of
from weights.files.caffemodel import Weights, scan
from weights.files.foreign import HEAD, refuse_foreign
from weights.files.hdf5 import read_hdf5
from weights.files.mapped import MappedFile

__all__ = ["read"]


def _map(path: Path, where: str) -> MappedFile | None:
    """The file's bytes, mapped; None for an HDF5 file. Everything that is not a weight file is refused here."""
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise WeightsError("it is no regular file", where=where, remedy="give a .caffemodel or .caffemodel.h5")
            head = file.read(HEAD)
            if kind_of(head) == HDF5:
                return None
            refuse_foreign(head, where)
            return MappedFile(file)
    except FileNotFoundError:
        raise WeightsError("no such file", where=where, remedy="check the path") from None
    except IsADirectoryError:
        remedy = "give the .caffemodel inside"
        raise WeightsError("it is a folder, not a weight file", where=where, remedy=remedy) from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"it cannot be read ({error})", where=where, remedy="check the file") from error


def read(path: str | os.PathLike[str]) -> Weights:
    """The weights in a .caffemodel (V0, V1, V2) or .caffemodel.h5, told apart by content, not by name.

    Returns: Weights; its arrays are read-only views of the mapped file, in the dtype stored (float32; float64 of
        double nets, float16 of NVIDIA's). Unpacked numbers and HDF5 files are copied. Layers are in file order (HDF5:
        by name).
    Raises: WeightsError if the file is missing, damaged, cut off inside a layer, or something else altogether. A file
        cut exactly between two layers is a legal shorter file: the conversion names the missing layers.
    Source: ``ReadNetParamsFromBinaryFileOrDie``, ``Net::CopyTrainedLayersFromHDF5``.

    >>> from tempfile import mkdtemp
    >>> import numpy as np
    >>> from weights.files.writer import write
    >>> path = Path(mkdtemp()) / "net.caffemodel"
    >>> write(path, "net", {"conv1": [np.ones((2, 3, 1, 1))]}, types={"conv1": "Convolution"})
    >>> weights = read(path)
    >>> weights.version, dict(weights.types), weights["conv1"][0].shape
    ('V2', {'conv1': 'Convolution'}, (2, 3, 1, 1))
    """
    where = os.fspath(path)
    mapped = _map(Path(path), where)
    if mapped is None:
        return read_hdf5(path)
    layers, version, notes = scan(memoryview(mapped), where)
    return Weights(where, layers, version=version, notes=notes, data=mapped)
