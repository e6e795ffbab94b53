"""Saves an ONNX model tensor by tensor, straight from the arrays: a net's weights are never in memory twice.

The file is the one that `onnx.save` would write: protobuf's wire format, the tensors as the graph's last fields.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto

from prototxt.errors import ConversionError
from weights.atomic import publish, staging
from weights.files.mapped import MappedFile
from weights.files.wire import varint

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
PIECE, PIECE_LEAST = 16 << 20, 1 << 16  # bytes written at once; less is not worth a system call
INLINE = 1024  # bytes: smaller tensors stay in the model even then


@dataclass
class OnnxModel:
    """A model without its initializers, these as named arrays, and what makes its entry "camcompat" (JSON).

    The entry is the file's last field: the sources are still being hashed while the tensors are written, and it can be
    replaced without touching them.
    """

    proto: onnx.ModelProto
    tensors: list[tuple[str, np.ndarray]] = field(default_factory=list)
    describe: Callable[[], Mapping[str, Any]] = dict

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it whole or not at all: in a hidden folder beside, then renamed.

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
        with staging(target.parent) as stage:
            made = [stage / target.name]
            with ExitStack() as files:
                file, beside = files.enter_context(made[0].open("wb")), None
                if sum(array.nbytes for _, array in self.tensors) > PROTOBUF_LIMIT:
                    made.insert(0, stage / f"{target.name}.data")
                    beside = files.enter_context(made[0].open("wb"))
                self._write(file, beside, made[0].name)
            publish(made, target.parent)
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
        total = len(graph) + sum(1 + len(varint(size)) + size for size in sizes)
        file.write(rest.SerializeToString() + bytes([GRAPH]) + varint(total) + graph)
        for (head, external), size, (_, array) in zip(heads, sizes, self.tensors):
            file.write(bytes([INITIALIZER]) + varint(size) + head)
            if not external:
                _put(file, array)
        file.write(metadata_bytes(self.describe()))

    def add_metadata(self, path: Path, more: Mapping[str, Any]) -> None:
        """Add keys to the entry "camcompat" of the file that `save` wrote, its last field."""
        before = metadata_bytes(self.describe())
        with path.open("r+b") as file:
            start = file.seek(-len(before), os.SEEK_END)
            if file.read() != before:
                raise ConversionError("it does not end in its metadata", where=str(path), remedy="convert it again")
            file.seek(start)
            file.truncate()
            file.write(metadata_bytes({**self.describe(), **more}))

    @staticmethod
    def _head(name: str, array: np.ndarray, beside: BinaryIO | None, location: str) -> tuple[bytes, bool]:
        """Everything of a TensorProto but the bytes of its data, and whether those are in the other file."""
        tensor = TensorProto(name=name, data_type=TYPES[str(array.dtype)], dims=array.shape)
        if beside is None or array.nbytes < INLINE:
            return tensor.SerializeToString() + bytes([RAW_DATA]) + varint(array.nbytes), False
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(beside.tell())), ("length", str(array.nbytes))):
            tensor.external_data.add(key=key, value=value)
        _put(beside, array)
        return tensor.SerializeToString(), True


def metadata_bytes(values: Mapping[str, Any]) -> bytes:
    """The entry "camcompat" of a model, as the field of an ONNX file; nothing for no values."""
    if not values:
        return b""
    model = onnx.ModelProto()
    model.metadata_props.add(key="camcompat", value=json.dumps(values))
    return bytes(model.SerializeToString())


def _put(file: BinaryIO, array: np.ndarray) -> None:
    """Append the elements in row-major order; what lies in a mapped file does not pass through memory."""
    if not array.size:
        return  # (empty arrays have no buffer to hand over)
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    mapped, offset = MappedFile.behind(data) or (None, 0)
    done = mapped.copy_into(file, offset, data.size) if mapped is not None and data.size >= PIECE_LEAST else 0
    for start in range(done, data.size, PIECE):
        piece = data[start : start + PIECE]
        file.write(piece.data)
        if mapped is not None:
            mapped.forget(offset + start, piece.size)
