"""What the files hold and the net does not use: told to the user in one warning, never skipped in silence."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable

import numpy as np

from converters.lowering.blobs import BlobSource, FileBlobs
from prototxt import Layer, Net, Unknown
from prototxt.errors import WeightsError, nearest_names

__all__ = ["CamcompatWarning", "file_notes", "odd_numbers", "surplus", "warn"]

OURS = {"prototxt", "weights", "converters", "camcompat"}


class CamcompatWarning(UserWarning):
    """What was not used of a net's files, or changed: fields, weights, losses.

    Attributes:
        notes: a sentence each, with its place; as text they are lines.
    """

    def __init__(self, *notes: str) -> None:
        super().__init__(*notes)
        self.notes = notes

    def __str__(self) -> str:
        return "\n".join(map(str, self.notes))


def warn(notes: Iterable[str]) -> None:
    """Say the notes of one net as one `CamcompatWarning`, at the line of the user's that asked for it."""
    said = tuple(notes)
    if not said:
        return
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(CamcompatWarning(*said), stacklevel=level)


def surplus(blobs: BlobSource, layer: Layer, used: int) -> str:
    """A note about blobs that the file holds for a layer and the layer does not use, or "".

    Caffe refuses them (`Net::CopyTrainedLayersFrom`), and so does this: a trained bias that is left out changes every
    number. A layer that reads none at all, such as BatchNorm with the statistics of the batch, is no error.

    Raises:
        WeightsError: it uses some of them, and not the others.
    """
    stored = blobs.count(layer) or 0
    if stored <= used:
        return ""
    message = f"the file holds {stored} blob(s) for {layer.where}, which uses {used or 'none'}"
    if used:
        remedy = "compare the prototxt (bias_term, ...) with the one it was trained with"
        raise WeightsError(message, where=str(getattr(blobs, "source", "the weights")), remedy=remedy)
    return message


def _hint(entry: Unknown) -> str:
    near = nearest_names(entry.path.rpartition(".")[2], [entry.nearest], cutoff=0.8)
    return f" (did you mean {near[0]}?)" if near else ""


def odd_numbers(net: Net, blobs: BlobSource) -> list[str]:
    """One line for each layer of the net whose stored weights hold NaN or infinity: its outputs will, too."""
    if not isinstance(blobs, FileBlobs):
        return []
    notes = []
    for layer in {layer.name: layer for layer in net.layers}.values():
        arrays = [np.asarray(blob) for blob in blobs.blobs.get(layer.name, ())]
        odd = sum(map(_not_finite, arrays))
        if odd:
            total = sum(array.size for array in arrays)
            notes.append(f"{blobs.source}: {odd:,} of {total:,} weights of {layer.where} are NaN or infinite")
    return notes


def _not_finite(array: np.ndarray) -> int:
    """How many values are NaN or infinite. One sum tells mostly that there are none, at the speed of memory."""
    if array.dtype.kind != "f" or not array.size:
        return 0
    with np.errstate(all="ignore"):
        if np.isfinite(array.sum()):
            return 0
    return int(array.size - np.count_nonzero(np.isfinite(array)))


def file_notes(net: Net, blobs: BlobSource) -> list[str]:
    """One line for each field and each layer's weights that the files hold and nothing reads."""
    notes = [
        f"{net.source}:{entry.line}: {entry.path} is unknown to Caffe and the forks read here; it is ignored"
        + _hint(entry)
        for entry in net.unknown
        if entry.line is not None
    ]
    binary = list(dict.fromkeys(entry.path for entry in net.unknown if entry.line is None))
    if binary:
        listed = ", ".join(binary[:5]) + (", …" if len(binary) > 5 else "")
        notes.append(f"{net.source}: {len(binary)} field(s) of a fork in the net inside are ignored: {listed}")
    if isinstance(blobs, FileBlobs):
        names = {layer.name for layer in net.layers}
        unused = [name for name in blobs.blobs if name not in names]
        if unused:
            listed = ", ".join(unused[:5]) + (", …" if len(unused) > 5 else "")
            notes.append(f"{blobs.source}: {len(unused)} layer(s) with weights are not in the net: {listed}")
    return notes
