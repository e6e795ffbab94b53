"""A weight file with other numbers: every byte stays as it was but those of the blobs that changed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from prototxt.errors import WeightsError
from weights.files.blob import fit, to_float32
from weights.files.caffemodel import scan
from weights.files.reader import read
from weights.files.writer import replacing

__all__ = ["rewrite"]


def rewrite(
    template: str | os.PathLike[str],
    path: str | os.PathLike[str],
    layers: Mapping[str, Sequence[np.ndarray]],
) -> list[str]:
    """Write a copy of a .caffemodel in which some layers' blobs hold other numbers.

    Args:
        template: a .caffemodel of any generation; it is not changed (it may be `path` itself, which is then replaced).
        path: the file to write; it appears whole or not at all.
        layers: layer name → all its blobs, float32, of the stored shapes or of the same without leading ones.

    Returns: the names of the layers whose bytes changed. A blob that equals the stored one bit for bit keeps its bytes,
        so that a file of equal weights is the template, byte for byte. Numbers stored as float16 or float64 stay so.
    Raises: WeightsError if the template lacks a layer, has another number of blobs for it or other shapes, is HDF5, or
        stores changed numbers in a way that cannot be overwritten (unpacked).

    >>> from pathlib import Path
    >>> from tempfile import mkdtemp
    >>> from weights.files.writer import write
    >>> old, new = Path(mkdtemp()) / "old.caffemodel", Path(mkdtemp()) / "new.caffemodel"
    >>> write(old, "net", {"fc": [np.zeros((2, 2))]}, types={"fc": "InnerProduct"})
    >>> rewrite(old, new, {"fc": [np.eye(2, dtype=np.float32)]})
    ['fc']
    >>> new.stat().st_size == old.stat().st_size
    True
    """
    where = os.fspath(template)
    with read(template) as weights:
        if weights.version == "HDF5":
            raise WeightsError("an HDF5 file is no template", where=where, remedy="give a .caffemodel, or no template")
    whole = np.fromfile(template, np.uint8)
    changed = _overwrite(whole, layers, where)
    with replacing(path) as temporary:
        whole.tofile(temporary)
    return changed


def _overwrite(whole: np.ndarray, layers: Mapping[str, Sequence[np.ndarray]], where: str) -> list[str]:
    """Put the blobs into the bytes of a file."""
    scanned = scan(whole.data, where)[0]
    stored = {layer.name: layer.blobs for layer in scanned if layer.blobs}  # of a name, the last one counts
    changed = []
    for name, blobs in layers.items():
        if name not in stored:
            raise WeightsError(f'the template has no layer "{name}"', where=where, remedy="give the net's own file")
        if len(stored[name]) != len(blobs):
            message = f'the template holds {len(stored[name])} blob(s) for layer "{name}", the net has {len(blobs)}'
            raise WeightsError(message, where=where, remedy="give the file that the net was converted from")
        places = [f'{where}: layer "{name}" blob {i}' for i in range(len(blobs))]
        put = [_put(whole, *each) for each in zip(stored[name], blobs, places)]
        if any(put):
            changed.append(name)
    return changed


def _put(whole: np.ndarray, old: np.ndarray, new: np.ndarray, where: str) -> bool:
    """Overwrite a blob in the file unless it holds the same bits already."""
    new = np.asarray(new)
    wanted = np.ascontiguousarray(to_float32(new, where=where))
    if np.array_equal(np.ascontiguousarray(fit(old, new.shape, where=where)).view(np.uint32), wanted.view(np.uint32)):
        return False
    if old.size and not np.may_share_memory(whole, old):
        remedy = "write it without the template"
        raise WeightsError("its numbers are stored one by one and cannot be replaced", where=where, remedy=remedy)
    with np.errstate(over="ignore"):
        old[...] = wanted.reshape(old.shape)
    return True
