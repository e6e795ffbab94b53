""".caffemodel.h5: Caffe's weights in HDF5, one group per layer under "data", one dataset per blob.

Source: ``Net::ToHDF5``, ``Net::CopyTrainedLayersFromHDF5`` of BVLC Caffe. HDF5 takes the slashes of a layer name such
as "conv1/7x7_s2" for a path, so such layers lie in nested groups.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from prototxt.errors import WeightsError
from weights.caffemodel import Stored, Weights
from weights.shapes import to_float32

__all__ = ["read_hdf5", "write_hdf5"]

_DEPTH = 64  # of nested groups; a damaged file may hold a group that contains itself
_AGAIN = "download the file again and compare its size and checksum"
_DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError)  # what h5py raises on damaged files


def _h5py(where: str) -> Any:
    try:
        import h5py
    except ImportError:
        raise WeightsError("an HDF5 file needs h5py", where=where, remedy="pip install h5py") from None
    return h5py


def _blobs(datasets: Mapping[int, Any], name: str, notes: list[str], where: str) -> list[np.ndarray]:
    """The arrays 0, 1, …; one that is not stored becomes an empty array of shape (0,)."""
    blobs: list[np.ndarray] = []
    for number in range(max(datasets, default=-1) + 1):
        if number not in datasets:
            notes.append(f'layer "{name}": blob {number} is not stored; Caffe writes a shared blob with its owner only')
            blobs.append(np.empty(0, np.float32))
            continue
        array = np.asarray(datasets[number][()])
        if array.dtype.kind != "f":
            place = f'{where}: layer "{name}" blob {number}'
            raise WeightsError(f"it is of dtype {array.dtype}, floats are wanted", where=place, remedy=_AGAIN)
        blobs.append(array)
    return blobs


def _walk(group: Any, name: str, layers: list[Stored], notes: list[str], where: str, depth: int = 0) -> None:
    if depth > _DEPTH:
        raise WeightsError(f"groups are nested more than {_DEPTH} deep", where=where, remedy=_AGAIN)
    datasets: dict[int, Any] = {}
    groups: list[tuple[str, Any]] = []
    for key in group:
        member = group[key]
        full = f"{name}/{key}" if name else key
        if hasattr(member, "keys"):
            groups.append((full, member))
        elif name and key.isdecimal() and int(key) < 1000:
            datasets[int(key)] = member
        else:
            raise WeightsError(f'dataset "data/{full}" is no blob of a layer', where=where, remedy=_AGAIN)
    if name and (datasets or not groups):  # a group of groups only is the first half of a name with a slash
        layers.append(Stored(name, "", _blobs(datasets, name, notes, where), "HDF5"))
    for full, member in groups:
        _walk(member, full, layers, notes, where, depth + 1)


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
    layers: list[Stored] = []
    notes: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file or not hasattr(file["data"], "keys"):
                _refuse_other(list(file), where)
            _walk(file["data"], "", layers, notes, where)
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
    Raises: WeightsError if h5py is missing, a blob is no float array, or the file cannot be written.

    >>> from tempfile import mkdtemp
    >>> path = os.path.join(mkdtemp(), "net.caffemodel.h5")
    >>> write_hdf5(path, {"conv1/7x7_s2": [np.ones((2, 3))]})
    >>> list(read_hdf5(path))
    ['conv1/7x7_s2']
    """
    from weights.writer import replacing

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
