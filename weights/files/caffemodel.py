"""Reading .caffemodel files of all three generations, without copying the arrays and without a protobuf library.

Source: ``caffe.proto`` (NetParameter; LayerParameter, V1LayerParameter, V0LayerParameter),
``Net::CopyTrainedLayersFrom`` and ``upgrade_proto.cpp`` of BVLC Caffe. The file is mapped into memory; only its tags
and lengths are read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from prototxt.errors import WeightsError
from prototxt.generations.v1_types import V1_NUMBERS
from prototxt.limits import get_limits, raise_hint
from weights.files.blob import read_blob
from weights.files.foreign import refuse_message
from weights.files.mapped import MappedFile
from weights.files.wire import LEN, VARINT, Strip, WireError, fields, strip

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["StoredLayer", "Weights", "scan"]


class _Numbers(NamedTuple):
    """The field numbers of one generation's layer message."""

    name: int
    type: int
    blobs: int


_NUMBERS = {"V0": _Numbers(1, 2, 50), "V1": _Numbers(4, 5, 6), "V2": _Numbers(1, 2, 7)}
_LAYERS, _LAYER = 2, 100  # NetParameter: V0 and V1 layers, V2 layers
_STRIP: Strip = {_LAYERS: {6: None, 1: {50: None}}, _LAYER: {7: None}}


@dataclasses.dataclass
class StoredLayer:
    """One layer as a file stores it.

    Attributes:
        name, type: as stored; the type in V2's spelling, but for V0.
        blobs: its arrays.
        version: "V0", "V1", "V2" or "HDF5".
    """

    name: str = ""
    type: str = ""
    blobs: list[np.ndarray] = dataclasses.field(default_factory=list)
    version: str = "V2"


class Weights(Mapping[str, "tuple[np.ndarray, ...]"]):
    """The blobs of a weight file: layer name → arrays, read-only, as stored; layers without blobs are left out.

    Attributes:
        source: the path as given.
        version: "V0", "V1", "V2" or "HDF5".
        types: name → type of every layer of the file, in order, blobs or not; V0's own spelling ("conv"), V1's and
            V2's in V2 spelling ("Convolution"), "" where the file does not say (HDF5).
        notes: what was odd and how it was taken, one sentence each.

    The arrays are views of the mapped file and may be unaligned; they outlive :meth:`close`.
    """

    def __init__(
        self,
        source: str,
        layers: list[StoredLayer],
        *,
        version: str,
        notes: tuple[str, ...] = (),
        data: MappedFile | None = None,
    ) -> None:
        self.source, self.version = source, version
        self._data = data
        self._closed = False
        odd = list(notes)
        self._blobs: dict[str, tuple[np.ndarray, ...]] = {}
        types: dict[str, str] = {}
        for layer in layers:
            if layer.blobs and layer.name in self._blobs:
                odd.append(f'layer "{layer.name}" is stored more than once; the last one counts, as in Caffe')
            if layer.blobs or layer.name not in self._blobs:
                types[layer.name] = layer.type
            if layer.blobs:
                self._blobs[layer.name] = tuple(layer.blobs)
        self.types: Mapping[str, str] = MappingProxyType(types)
        self.notes = tuple(odd)

    def _open(self) -> dict[str, tuple[np.ndarray, ...]]:
        if self._closed:
            raise WeightsError("the weights were closed", where=self.source, remedy="use them inside the with block")
        return self._blobs

    def __getitem__(self, name: str) -> tuple[np.ndarray, ...]:
        return self._open()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._open())

    def __len__(self) -> int:
        return len(self._open())

    def __repr__(self) -> str:
        if self._closed:
            return f"<Weights {self.source}: closed>"
        return f"<Weights {self.source}: {self.version}, {len(self)} layers with blobs, {self.nbytes:,} bytes>"

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, as stored."""
        return sum(blob.nbytes for blobs in self.values() for blob in blobs)

    @property
    def mapped(self) -> MappedFile | None:
        """The file that the arrays are views of; None of an HDF5 file, and once closed."""
        return None if self._closed else self._data

    def net(self) -> Message:
        """The net definition inside the file, as stored (not upgraded), its blobs left out: a NetParameter.

        Raises: WeightsError if the file holds none (HDF5), or if the definition is damaged.
        """
        self._open()
        if self._data is None:
            raise WeightsError("an HDF5 file holds no net definition", where=self.source, remedy="give the prototxt")
        from google.protobuf.message import DecodeError

        from prototxt.schema import message_class

        message: Message = message_class("NetParameter")()
        try:
            with memoryview(self._data) as data:
                small = strip(data, 0, len(data), _STRIP)
            message.ParseFromString(small)
        except (DecodeError, WireError) as error:
            remedy = "download the file again, or give the prototxt"
            raise WeightsError(f"the net inside is damaged ({error})", where=self.source, remedy=remedy) from error
        return message

    def close(self) -> None:
        """Let go of the file; arrays taken out before stay valid, and keep it mapped until they are gone."""
        self._closed = True
        self._blobs = {}
        if self._data is not None:
            try:
                self._data.close()
            except BufferError:  # an array is still in use somewhere; the map ends with it
                self._data = None

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _string(data: memoryview, start: int, end: int) -> str:
    return bytes(data[start:end]).decode("utf-8", errors="backslashreplace")


def _layer(data: memoryview, start: int, end: int, version: str) -> StoredLayer:
    """The layer message in ``data[start:end]``; a V1 message that holds a V0 layer is a V0 layer."""
    numbers, layer = _NUMBERS[version], StoredLayer(version=version)
    most = get_limits().blobs_per_layer
    inner: StoredLayer | None = None
    try:
        for field in fields(data, start, end):
            if field.number == numbers.name and field.wire == LEN:
                layer.name = _string(data, field.start, field.end)
            elif field.number == numbers.type and field.wire == LEN and version != "V1":
                layer.type = _string(data, field.start, field.end)
            elif field.number == numbers.type and field.wire == VARINT and version == "V1":
                layer.type = V1_NUMBERS.get(field.value, f"V1LayerParameter.LayerType {field.value}")
            elif field.number == numbers.blobs and field.wire == LEN:
                layer.blobs.append(read_blob(data, field.start, field.end))
                if len(layer.blobs) > most:
                    raise WireError(f"it has more than {most:,} blobs; {raise_hint('blobs_per_layer')}", start)
            elif field.number == 1 and field.wire == LEN and version == "V1":
                inner = _layer(data, field.start, field.end, "V0")
    except WireError as error:
        error.inside = error.inside or (
            f'blob {len(layer.blobs)} of layer "{layer.name[:80]}"' if layer.name else "a layer"
        )
        raise
    if inner is not None:
        inner.blobs = inner.blobs or layer.blobs
        return inner
    return layer


def scan(data: memoryview, where: str) -> tuple[list[StoredLayer], str, tuple[str, ...]]:
    """All layers in file order, the version, and what was odd."""
    old: list[StoredLayer] = []
    new: list[StoredLayer] = []
    seen: set[tuple[int, int]] = set()
    most = get_limits().layers
    try:
        for field in fields(data, 0, len(data)):
            seen.add((field.number, field.wire))
            if (1, VARINT) in seen:  # never in a NetParameter
                continue
            if field.number == _LAYERS and field.wire == LEN:
                old.append(_layer(data, field.start, field.end, "V1"))
            elif field.number == _LAYER and field.wire == LEN:
                new.append(_layer(data, field.start, field.end, "V2"))
            if len(old) + len(new) > most:
                raise WeightsError(f"it has more than {most:,} layers", where=where, remedy=raise_hint("layers"))
    except WireError as error:
        raise _damaged(error, seen, len(data), len(old) + len(new), where) from error
    if not old and not new:
        refuse_message(seen, where)
        raise WeightsError("it holds no layer", where=where, remedy="give a .caffemodel or .caffemodel.h5")
    if not old:
        return new, "V2", ()
    version = "V0" if any(layer.version == "V0" for layer in old) else "V1"
    ignored = f"{len(new)} V2 layers beside {len(old)} {version} layers are ignored, as Caffe does"
    return old, version, (ignored,) if new else ()


def _damaged(error: WireError, seen: set[tuple[int, int]], size: int, layers: int, where: str) -> WeightsError:
    if not layers:
        refuse_message(seen, where)
    after = f"after {layers} whole layer{'s' * (layers > 1)}" if layers else "before the first whole layer"
    if error.needs is not None and error.needs > size:
        message = f"it is cut off at {size:,} bytes, {after}, or damaged ({error})"
    else:
        message = f"it is damaged at byte {error.offset:,}, {after}, or no weights of Caffe ({error})"
    return WeightsError(message, where=where, remedy="download the file again and compare its size and checksum")
