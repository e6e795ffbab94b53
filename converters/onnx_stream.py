"""Saves an ONNX model tensor by tensor, straight from the arrays: a net's weights are never in memory twice.

The file is the one that `onnx.save` would write: protobuf's wire format, the tensors as the graph's last fields.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import TensorProto

from prototxt.errors import ConversionError

from .build import umask

__all__ = ["TYPES", "OnnxModel"]

TYPES = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}
# Field numbers of onnx.proto, each with its wire type 2 (length-delimited).
GRAPH, INITIALIZER, RAW_DATA = 7 << 3 | 2, 5 << 3 | 2, 9 << 3 | 2
PROTOBUF_LIMIT = 2_000_000_000  # readers stop at 2 GiB; beyond it the tensors go to a file beside
INLINE = 1024  # bytes: smaller tensors stay in the model even then


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(parts) + bytes([number])


@dataclass
class OnnxModel:
    """A model without its initializers, and these as named arrays."""

    proto: onnx.ModelProto
    tensors: list[tuple[str, np.ndarray]] = field(default_factory=list)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it whole or not at all: to a temporary file beside, then renamed.

        Raises:
            ConversionError: the folder is missing, or the path is one.
        """
        target = Path(path)
        if not target.parent.is_dir():
            raise ConversionError("the folder does not exist", where=str(target.parent), remedy="create it first")
        if target.is_dir():
            raise ConversionError(
                "it is a folder", where=str(target), remedy="give the path of the .onnx file to write"
            )
        if sum(array.nbytes for _, array in self.tensors) <= PROTOBUF_LIMIT:
            with _replacing(target) as file:
                self._write(file)
            return target
        data = target.with_name(f"{target.name}.data")
        with _replacing(data) as beside, _replacing(target) as file:
            self._write(file, beside, data.name)
        return target

    def _write(self, file: BinaryIO, beside: BinaryIO | None = None, location: str = "") -> None:
        rest = onnx.ModelProto()
        rest.CopyFrom(self.proto)
        rest.ClearField("graph")
        graph = self.proto.graph.SerializeToString()
        heads = [self._head(name, array, beside, location) for name, array in self.tensors]
        sizes = [
            len(head) + (0 if external else array.nbytes) for (head, external), (_, array) in zip(heads, self.tensors)
        ]
        total = len(graph) + sum(1 + len(_varint(size)) + size for size in sizes)
        file.write(rest.SerializeToString() + bytes([GRAPH]) + _varint(total) + graph)
        for (head, external), size, (_, array) in zip(heads, sizes, self.tensors):
            file.write(bytes([INITIALIZER]) + _varint(size) + head)
            if not external:
                _put(file, array)

    @staticmethod
    def _head(name: str, array: np.ndarray, beside: BinaryIO | None, location: str) -> tuple[bytes, bool]:
        """Everything of a TensorProto but the bytes of its data, and whether those are in the other file."""
        tensor = TensorProto(name=name, data_type=TYPES[str(array.dtype)], dims=array.shape)
        if beside is None or array.nbytes < INLINE:
            return tensor.SerializeToString() + bytes([RAW_DATA]) + _varint(array.nbytes), False
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(beside.tell())), ("length", str(array.nbytes))):
            tensor.external_data.add(key=key, value=value)
        _put(beside, array)
        return tensor.SerializeToString(), True


def _put(file: BinaryIO, array: np.ndarray) -> None:
    """The elements in row-major order; zero-dimensional and empty arrays have no buffer to hand over."""
    file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b"")


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
