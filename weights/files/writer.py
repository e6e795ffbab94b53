"""Writing .caffemodel files that Caffe reads, one array at a time, so that memory holds no second copy of the net.

Source: ``caffe.proto`` and ``Net::ToProto`` of BVLC Caffe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np

from prototxt.errors import WeightsError
from prototxt.generations.v1_types import V1_NUMBERS
from weights import atomic
from weights.files.blob import to_float32
from weights.files.wire import VARINT, delimited, tag, varint

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = ["replacing", "write"]

_Layers: TypeAlias = Mapping[str, Sequence[np.ndarray]]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place at the end, or is removed if anything fails."""
    try:
        with atomic.replacing(path) as temporary:
            yield temporary
    except OSError as error:
        remedy = "check the folder and the free space"
        raise WeightsError(f"it cannot be written ({error})", where=os.fspath(path), remedy=remedy) from error


def _dims(shape: Sequence[int], version: str, where: str) -> bytes:
    if version == "V2":
        return delimited(7, delimited(1, b"".join(map(varint, shape))))
    if len(shape) > 4:
        remedy = "write it as V2"
        raise WeightsError(f"{version} blobs have four dims, this one has {len(shape)}", where=where, remedy=remedy)
    legacy = (1,) * (4 - len(shape)) + tuple(shape)
    return b"".join(tag(number, VARINT) + varint(dim) for number, dim in enumerate(legacy, start=1))


class _Blob:
    """One array and the bytes around it; its own bytes are made only when they are written."""

    def __init__(self, array: np.ndarray, version: str, where: str) -> None:
        self.array, self.where = np.asarray(array), where
        size = 4 * self.array.size
        head = _dims(self.array.shape, version, where) + tag(5) + varint(size)
        number = 7 if version == "V2" else 6
        self.head = tag(number) + varint(len(head) + size) + head
        self.size = len(self.head) + size

    def write(self, file: BinaryIO) -> None:
        file.write(self.head)
        array = np.ascontiguousarray(to_float32(self.array, where=self.where))
        if array.size:
            file.write(array.reshape(-1).view(np.uint8).data)


def _blobs(name: str, layers: _Layers, version: str, where: str) -> list[_Blob]:
    arrays = layers.get(name, ())
    return [_Blob(array, version, f'{where}: layer "{name}" blob {number}') for number, array in enumerate(arrays)]


def _plain(name: str, layers: _Layers, types: Mapping[str, str], version: str, where: str) -> tuple[bytes, list[bytes]]:
    """The head of a net that is only a name, and the bytes of each layer without its blobs."""
    unknown = [layer for layer in layers if layer not in types]
    if unknown:
        remedy = "give types={layer: type}, or a NetParameter"
        raise WeightsError(f'the type of layer "{unknown[0]}" is not given', where=where, remedy=remedy)
    numbers = {spelt: number for number, spelt in V1_NUMBERS.items()}
    bodies: list[bytes] = []
    for layer in types:
        if version == "V2":
            bodies.append(delimited(1, layer.encode()) + delimited(2, types[layer].encode()))
        elif types[layer] in numbers:
            bodies.append(delimited(4, layer.encode()) + tag(5, VARINT) + varint(numbers[types[layer]]))
        else:
            raise WeightsError(f'V1 has no type "{types[layer]}"', where=where, remedy="write it as V2")
    return delimited(1, name.encode()), bodies


def _parsed(net: Any, layers: _Layers, where: str) -> tuple[bytes, list[str], list[bytes]]:
    """The head of a NetParameter, its layers' names, and the bytes of each layer without its blobs."""
    if net.layers:
        message, remedy = "the net has V0 or V1 layers, only V2 is written", "upgrade it first (prototxt.from_message)"
        raise WeightsError(message, where=where, remedy=remedy)
    names = [layer.name for layer in net.layer]
    strangers = [name for name in layers if name not in set(names)]
    if strangers:
        message = f'the net has no layer "{strangers[0]}"'
        raise WeightsError(message, where=where, remedy="leave its blobs out, or give the net they belong to")
    head = type(net)()
    head.CopyFrom(net)
    head.ClearField("layer")
    bodies: list[bytes] = []
    for layer in net.layer:
        copy = type(layer)()
        copy.CopyFrom(layer)
        copy.ClearField("blobs")
        bodies.append(copy.SerializePartialToString())
    return head.SerializePartialToString(), names, bodies


def write(
    path: str | os.PathLike[str],
    net: Message | str,
    layers: _Layers,
    *,
    types: Mapping[str, str] | None = None,
    version: str = "V2",
) -> None:
    """Write a .caffemodel: a net definition and its blobs, float32, packed.

    Args:
        path: the file; written beside it first, then moved, so that it is replaced whole or not at all.
        net: an upgraded NetParameter, whose layers get the blobs (blobs it already holds are left out); or the net's
            name, for a file of nothing but names, types and blobs.
        layers: layer name → blobs, of any float dtype and shape.
        types: layer name → type, in the order wanted; only with a name for ``net``, and then needed.
        version: "V2", or "V1" with four legacy dims as old files have them (only with a name for ``net``).
    Raises: WeightsError if a layer is not in the net, a blob is not a float array, or the file cannot be written.

    Caffe, like every reader built on protobuf, reads at most 2 GB; :func:`weights.read` has no such limit.

    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "net.caffemodel"
    >>> write(path, "net", {"fc": [np.eye(3), np.zeros(3)]}, types={"fc": "InnerProduct"})
    >>> path.stat().st_size
    93
    """
    where = os.fspath(path)
    if version not in ("V1", "V2") or (version == "V1" and not isinstance(net, str)):
        raise WeightsError(f"a net cannot be written as {version}", where=where, remedy="write it as V2")
    if isinstance(net, str):
        head, bodies = _plain(net, layers, types or {}, version, where)
        names = list(types or {})
    else:
        if types is not None:
            raise WeightsError("types are given beside a net that has its own", where=where, remedy="leave types out")
        head, names, bodies = _parsed(net, layers, where)
    number = 100 if version == "V2" else 2
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(head)
        for name, body in zip(names, bodies, strict=True):
            blobs = _blobs(name, layers, version, where)
            file.write(tag(number) + varint(len(body) + sum(blob.size for blob in blobs)) + body)
            for blob in blobs:
                blob.write(file)
