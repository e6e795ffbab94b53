""".caffemodel.h5: Caffe's weights in HDF5, one group per layer under "data", one dataset per blob.

Source: ``Net::ToHDF5``, ``Net::CopyTrainedLayersFromHDF5`` of BVLC Caffe. HDF5 takes the slashes of a layer name such
as "conv1/7x7_s2" for a path, so such layers lie in nested groups.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from prototxt.errors import WeightsError
from prototxt.limits import get_limits, raise_hint
from weights.files.blob import to_float32
from weights.files.caffemodel import StoredLayer, Weights
from weights.files.writer import replacing

__all__ = ["read_hdf5", "write_hdf5"]

_KEYS = 100  # names at the top that are looked at
_AGAIN = "download the file again and compare its size and checksum"
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)  # what h5py raises on damaged files


def _h5py(where: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise WeightsError("an HDF5 file needs h5py", where=where, remedy="pip install h5py") from None
    return h5py


class _Budget:
    """How many bytes of numbers a file may unpack to, and how many layers it may hold."""

    def __init__(self, size: int, where: str) -> None:
        limits = get_limits()
        self.where, self.most, self.left = where, limits.layers, limits.expansion * size + limits.expansion_free
        self.depth = limits.nesting

    def take(self, dataset: Any, place: str) -> None:
        """Count a dataset's bytes before they are made: a file of 1 kB may declare terabytes of zeros."""
        if dataset.external or dataset.is_virtual:
            message = "its numbers lie in another file, which Caffe never does"
            raise WeightsError(message, where=place, remedy="give the file that Caffe wrote")
        whole = max(dataset.size, math.prod(dataset.chunks or ()))  # a chunk may be larger than what it is for
        self.left -= whole * dataset.dtype.itemsize
        if self.left < 0:
            shape = "x".join(map(str, dataset.shape))
            message = f"its shape {shape} takes far more bytes than the file has"
            raise WeightsError(message, where=place, remedy=f"{_AGAIN}; {raise_hint('expansion')}")

    def count(self, layers: int) -> None:
        if layers > self.most:
            message = f"it has more than {self.most:,} layers"
            raise WeightsError(message, where=self.where, remedy=raise_hint("layers"))


def _blobs(datasets: Mapping[int, Any], name: str, notes: list[str], budget: _Budget) -> list[np.ndarray]:
    """The arrays 0, 1, …; one that is not stored becomes an empty array of shape (0,)."""
    blobs: list[np.ndarray] = []
    for number in range(max(datasets, default=-1) + 1):
        if number not in datasets:
            notes.append(f'layer "{name}": blob {number} is not stored; Caffe writes a shared blob with its owner only')
            blobs.append(np.empty(0, np.float32))
            continue
        dataset, place = datasets[number], f'{budget.where}: layer "{name}" blob {number}'
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8:
            raise WeightsError(f"it is of dtype {dataset.dtype}, floats are wanted", where=place, remedy=_AGAIN)
        budget.take(dataset, place)
        blobs.append(np.asarray(dataset[()]))
    return blobs


def _member(group: Any, key: str, full: str, where: str) -> Any:
    """A member that the group itself holds: a link to elsewhere may name any file of this machine."""
    link = type(group.get(key, getlink=True)).__name__
    if link != "HardLink":
        message = f'"data/{full}" is a link to elsewhere ({link})'
        raise WeightsError(message, where=where, remedy="give the file that Caffe wrote")
    return group[key]


def _walk(group: Any, name: str, layers: list[StoredLayer], notes: list[str], budget: _Budget, depth: int = 0) -> None:
    where = budget.where
    if depth > budget.depth:  # a damaged file may hold a group that contains itself
        raise WeightsError(f"groups are nested more than {budget.depth} deep", where=where, remedy=_AGAIN)
    datasets: dict[int, Any] = {}
    groups: list[tuple[str, Any]] = []
    for key in group:
        full = f"{name}/{key}" if name else key
        member = _member(group, key, full, where)
        if hasattr(member, "keys"):
            groups.append((full, member))
        elif name and key.isdecimal() and int(key) < 1000:
            datasets[int(key)] = member
        else:
            raise WeightsError(f'dataset "data/{full}" is no blob of a layer', where=where, remedy=_AGAIN)
    if name and (datasets or not groups):  # a group of groups only is the first half of a name with a slash
        layers.append(StoredLayer(name, "", _blobs(datasets, name, notes, budget), "HDF5"))
        budget.count(len(layers))
    for full, member in groups:
        _walk(member, full, layers, notes, budget, depth + 1)


def _refuse_other(keys: list[str], where: str) -> None:
    if "history" in keys or "iter" in keys:
        remedy = "give the .caffemodel.h5 that was saved with it"
        raise WeightsError("it is a solver state (.solverstate.h5), not weights", where=where, remedy=remedy)
    shown = ", ".join(keys[:5]) or "nothing"
    remedy = "give a .caffemodel or .caffemodel.h5"
    raise WeightsError(f'it is HDF5 without a group "data" (it holds {shown})', where=where, remedy=remedy)


def read_hdf5(path: str | os.PathLike[str]) -> Weights:
    """The weights in a .caffemodel.h5; :func:`weights.read` calls this for files with HDF5's signature.

    Returns: Weights in the order of the names (HDF5 keeps no other), types all "", arrays copied into memory, in the
        dtype stored. A blob that Caffe left out because it is shared with another layer is an empty array of shape
        (0,), with a note.
    Raises: WeightsError if h5py is missing, or the file is damaged or not Caffe's.
    """
    where = os.fspath(path)
    h5py = _h5py(where)
    layers: list[StoredLayer] = []
    notes: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            keys = list(islice(file, _KEYS))
            data = _member(file, "data", "", where) if "data" in keys else None
            if not hasattr(data, "keys"):
                _refuse_other(keys, where)
            _walk(data, "", layers, notes, _Budget(os.path.getsize(path), where))
    except _DAMAGE as error:
        raise WeightsError(f"the HDF5 file is damaged ({error})", where=where, remedy=_AGAIN) from error
    if not layers:
        raise WeightsError("it holds no layer", where=where, remedy=_AGAIN)
    return Weights(where, layers, version="HDF5", notes=tuple(notes))


def write_hdf5(path: str | os.PathLike[str], layers: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write a .caffemodel.h5 that Caffe reads: float32, one group per layer.

    Args:
        path: the file; replaced whole or not at all.
        layers: layer name → blobs of any float dtype. (Caffe itself reads no layer with a slash in its name from HDF5.)
    Raises: WeightsError if h5py is missing, a blob is not a float array, or the file cannot be written.

    >>> from tempfile import mkdtemp
    >>> path = os.path.join(mkdtemp(), "net.caffemodel.h5")
    >>> write_hdf5(path, {"conv1/7x7_s2": [np.ones((2, 3))]})
    >>> list(read_hdf5(path))
    ['conv1/7x7_s2']
    """
    where = os.fspath(path)
    h5py = _h5py(where)
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        data = file.create_group("data")
        for name, blobs in layers.items():
            try:
                group = data.require_group(name)
                for number, blob in enumerate(blobs):
                    place = f'{where}: layer "{name}" blob {number}'
                    group.create_dataset(str(number), data=to_float32(np.asarray(blob), where=place))
            except (ValueError, TypeError) as error:  # names that HDF5 cannot hold: "", or "a/0" beside blob 0 of "a"
                message = f'layer "{name}" cannot be stored in HDF5 ({error})'
                raise WeightsError(message, where=where, remedy="write a .caffemodel") from error
