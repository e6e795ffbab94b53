"""An independent writer of weight files: protobuf's own, on a hand-written excerpt of Caffe's schema."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

_TYPES = {"string": 9, "int32": 5, "int64": 3, "float": 2, "double": 1, "bytes": 12, "bool": 8}

# message → (field, number, type or message, repeated)
_SCHEMA = {
    "BlobShape": [("dim", 1, "int64", True)],
    "BlobProto": [
        ("num", 1, "int32", False),
        ("channels", 2, "int32", False),
        ("height", 3, "int32", False),
        ("width", 4, "int32", False),
        ("data", 5, "float", True),
        ("diff", 6, "float", True),
        ("shape", 7, "BlobShape", False),
        ("double_data", 8, "double", True),
        ("double_diff", 9, "double", True),
        ("raw_data_type", 10, "int32", False),
        ("raw_data", 12, "bytes", False),
    ],
    "V0LayerParameter": [("name", 1, "string", False), ("type", 2, "string", False), ("blobs", 50, "BlobProto", True)],
    "V1LayerParameter": [
        ("layer", 1, "V0LayerParameter", False),
        ("bottom", 2, "string", True),
        ("name", 4, "string", False),
        ("type", 5, "int32", False),
        ("blobs", 6, "BlobProto", True),
    ],
    "LayerParameter": [
        ("name", 1, "string", False),
        ("type", 2, "string", False),
        ("bottom", 3, "string", True),
        ("blobs", 7, "BlobProto", True),
    ],
    "NetParameter": [
        ("name", 1, "string", False),
        ("layers", 2, "V1LayerParameter", True),
        ("input", 3, "string", True),
        ("layer", 100, "LayerParameter", True),
    ],
    "SolverState": [
        ("iter", 1, "int32", False),
        ("learned_net", 2, "string", False),
        ("history", 3, "BlobProto", True),
    ],
}


def _file(packed: bool) -> Any:
    descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2", reason="writes the files these tests read")
    file = descriptor_pb2.FileDescriptorProto(name="excerpt.proto", package="excerpt", syntax="proto2")
    for name, rows in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in rows:
            added = message.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in _TYPES:
                added.type = _TYPES[kind]
                if repeated and kind != "string" and packed:
                    added.options.packed = True
            else:
                added.type, added.type_name = 11, f".excerpt.{kind}"
    return file


def _messages(packed: bool) -> SimpleNamespace:
    descriptor_pool = pytest.importorskip("google.protobuf.descriptor_pool")
    message_factory = pytest.importorskip("google.protobuf.message_factory")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file(packed).SerializeToString())
    find = pool.FindMessageTypeByName
    classes = {name: message_factory.GetMessageClass(find(f"excerpt.{name}")) for name in _SCHEMA}
    return SimpleNamespace(**classes, fill=_fill, build=partial(_build, classes), WEIGHT=WEIGHT, BIAS=BIAS, SLOPE=SLOPE)


@pytest.fixture(scope="session")
def caffe() -> SimpleNamespace:
    """Message classes of the excerpt (numbers packed, as Caffe writes them), ``fill``, ``build`` and what it stores."""
    return _messages(packed=True)


@pytest.fixture(scope="session")
def caffe_unpacked() -> SimpleNamespace:
    """The same without packing: a tag in front of every number."""
    return _messages(packed=False)


WEIGHT = np.arange(24, dtype=np.float32).reshape(4, 3, 2, 1) / 7
BIAS = np.array([-1.5, 0.25, 3, 1e-30], np.float32)
SLOPE = np.float32(0.125)


def _fill(blob: Any, array: np.ndarray, *, legacy: bool = False, field: str = "data") -> None:
    """Store an array in a BlobProto."""
    if legacy:
        blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
    else:
        blob.shape.SetInParent()
        blob.shape.dim.extend(array.shape)
    getattr(blob, field).extend(array.ravel().tolist())


def _build(classes: dict[str, Any], version: str, **style: Any) -> Any:
    """A NetParameter of three layers: a convolution, one without blobs, a PReLU with a single shared slope."""
    net = classes["NetParameter"](name="tiny")
    net.input.append("data")
    rows = [("conv1", ("conv", 4, "Convolution"), [WEIGHT, BIAS]), ("relu1", ("relu", 18, "ReLU"), [])]
    rows.append(("prelu", ("prelu", 0, "PReLU"), [np.array(SLOPE)]))
    for name, types, blobs in rows:
        if version == "V2":
            layer = net.layer.add(name=name, type=types[2], bottom=["data"])
        elif version == "V1":
            layer = net.layers.add(name=name, type=types[1], bottom=["data"])
        else:
            outer = net.layers.add(bottom=["data"])
            layer = outer.layer
            layer.name, layer.type = name, types[0]
        for blob in blobs:
            _fill(layer.blobs.add(), blob, **style)
    return net


@pytest.fixture
def tiny(caffe: SimpleNamespace, tmp_path: Path) -> Path:
    """A small V2 file as protobuf writes it."""
    path = tmp_path / "tiny.caffemodel"
    path.write_bytes(caffe.build("V2").SerializeToString())
    return path
