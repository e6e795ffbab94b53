"""The parameters of a net: read from a file or filled, editable, shared by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import weights as weight_files
from camcompat.pycaffe import modes
from camcompat.pycaffe.engine.blob import Blob, BlobVec
from camcompat.pycaffe.engine.fillers import fill
from converters.lowering.blobs import FileBlobs
from prototxt import Layer, Net
from prototxt.errors import WeightsError

__all__ = ["Store"]


class Store:
    """Answers the layers' requests for blobs (a `converters.BlobSource`) with memory that the user may edit.

    A layer that the file lacks starts from its fillers, as in Caffe; `filled` names those.
    """

    def __init__(self, net: Net, weights: Mapping[str, Sequence[np.ndarray]] | None) -> None:
        self.net = net
        self.file = FileBlobs(weights) if weights is not None else None
        self.blobs: dict[int, BlobVec] = {id(layer): BlobVec() for layer in net.layers}
        self.filled: list[str] = []
        self._shared: dict[str, Blob] = {}

    def settle(self) -> list[str]:
        """Every blob has been asked for once: let go of the file; a note of what it did not hold."""
        notes = []
        if self.file is not None and self.filled:
            names = ", ".join(dict.fromkeys(self.filled))
            note = f"it holds no weights for {names}; they start from their fillers, as in Caffe"
            notes.append(f"{self.file.source}: {note}")
        self.file = None
        return notes

    def count(self, layer: Layer) -> int | None:
        stored = self.file.count(layer) if self.file is not None else None
        return stored or len(self.blobs[id(layer)]) or None

    def get(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        own = self.blobs[id(layer)]
        own.extend(Blob((0,)) for _ in range(len(own), index + 1))  # (a layer may ask for its second blob first)
        if not own[index].count:
            own[index] = self._make(layer, index, shape)
        blob = own[index]
        if blob.shape == shape:
            return blob.data
        if _shared_name(layer, index) and blob.data.size == np.prod(shape, dtype=np.int64):
            return blob.data.reshape(shape)  # share_mode PERMISSIVE
        found, wanted = ("x".join(map(str, each)) or "one number" for each in (blob.shape, shape))
        remedy = "compare the input shape with the one that the weights were made for, or undo the blob's reshape"
        message = f"blob {index} has the shape {found}, and this input needs {wanted}"
        raise WeightsError(message, where=layer.where, remedy=remedy)

    def _make(self, layer: Layer, index: int, shape: tuple[int, ...]) -> Blob:
        name = _shared_name(layer, index)
        values = self._initial(layer, index, shape)
        if name and name in self._shared:
            blob = self._shared[name]
            if values is not None:  # Caffe copies layer by layer: the last one stays
                np.copyto(blob.data, values.reshape(blob.shape))
            return blob
        if values is None:
            values = fill(layer.message, index, shape, modes.random(), layer.where)
            self.filled.append(layer.name)
        blob = Blob(shape, np.array(values, np.float32))
        if name:
            self._shared[name] = blob
        return blob

    def _initial(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray | None:
        stored = self.file.blobs.get(layer.name, ()) if self.file is not None else ()
        if self.file is None or not stored or (index < len(stored) and self._left_out(layer, index, stored[index])):
            return None
        return self.file.get(layer, index, shape)

    def _left_out(self, layer: Layer, index: int, stored: np.ndarray) -> bool:
        """Whether an HDF5 file leaves out a blob because another layer, which shares it, has it."""
        return stored.shape == (0,) and _shared_name(layer, index) in self._shared

    def copy_from(self, weights: Mapping[str, Sequence[np.ndarray]], source: str) -> None:
        """Take over the blobs of every layer that has the same name in a file (Net::CopyTrainedLayersFrom).

        All is checked before anything is written.
        """
        pending: list[tuple[Blob, np.ndarray]] = []
        for layer in self.net.layers:
            own, stored = self.blobs[id(layer)], weights.get(layer.name)
            if stored is None:
                continue
            if len(stored) != len(own):
                message = f"it holds {len(stored)} blob(s) for {layer.where}, which has {len(own)}"
                raise WeightsError(message, where=source, remedy="is it another net's file?")
            for index, (blob, array) in enumerate(zip(own, stored)):
                where = f"{source}: blob {index} of {layer.where}"
                if self._left_out(layer, index, array):
                    continue
                pending.append((blob, weight_files.fit(np.asarray(array), blob.shape, where=where)))
        for blob, values in pending:
            np.copyto(blob.data, values)

    def share_with(self, other: Store) -> None:
        """Use the memory of another net's layers of the same names (Net::ShareTrainedLayersWith)."""
        theirs = {layer.name: other.blobs[id(layer)] for layer in other.net.layers}
        pairs: list[tuple[Blob, Blob]] = []
        for layer in self.net.layers:
            own, them = self.blobs[id(layer)], theirs.get(layer.name)
            if them is None or not own:
                continue
            shapes = [[tuple(blob.shape) for blob in blobs] for blobs in (own, them)]
            if shapes[0] != shapes[1]:
                message = f"its blobs have the shapes {shapes[0]}, those of the other net {shapes[1]}"
                raise WeightsError(message, where=layer.where, remedy="share nets whose layers of one name are alike")
            pairs += zip(own, them)
        for blob, its in pairs:
            blob.share(its)

    def arrays(self) -> dict[str, list[np.ndarray]]:
        """Layer name → its arrays, for writing; layers without blobs are left out."""
        found = {layer.name: [blob.data for blob in self.blobs[id(layer)]] for layer in self.net.layers}
        return {name: arrays for name, arrays in found.items() if arrays}


def _shared_name(layer: Layer, index: int) -> str:
    return layer.param_names[index] if index < len(layer.param_names) else ""
