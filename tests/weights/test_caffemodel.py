"""weights.read on .caffemodel files: against protobuf's own reader and writer, hand-made bytes, and damage."""

from __future__ import annotations

import gzip
import io
import os
import random
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError


def _save(path: Path, message: Any) -> Path:
    path.write_bytes(message.SerializeToString())
    return path


@pytest.mark.parametrize("version", ["V0", "V1", "V2"])
@pytest.mark.parametrize("legacy", [False, True])
def test_generations(caffe: SimpleNamespace, tmp_path: Path, version: str, legacy: bool) -> None:
    found = weights.read(_save(tmp_path / "net", caffe.build(version, legacy=legacy)))
    assert found.version == version
    assert list(found) == ["conv1", "prelu"]
    assert (
        found.types
        == {
            "V0": {"conv1": "conv", "relu1": "relu", "prelu": "prelu"},
            "V1": {"conv1": "Convolution", "relu1": "ReLU", "prelu": ""},
            "V2": {"conv1": "Convolution", "relu1": "ReLU", "prelu": "PReLU"},
        }[version]
    )
    weight, bias = found["conv1"]
    assert weight.dtype == np.float32
    np.testing.assert_array_equal(weight, caffe.WEIGHT)
    np.testing.assert_array_equal(bias, caffe.BIAS.reshape(1, 1, 1, 4) if legacy else caffe.BIAS)
    np.testing.assert_array_equal(found["prelu"][0], np.full((1, 1, 1, 1) if legacy else (), caffe.SLOPE))
    assert found.nbytes == 4 * (24 + 4 + 1)
    assert found.notes == ()


@pytest.mark.parametrize("count", [1, 5, 64, 65, 66, 5000])
@pytest.mark.parametrize("field", ["data", "double_data"])
def test_unpacked_numbers(caffe_unpacked: SimpleNamespace, tmp_path: Path, count: int, field: str) -> None:
    values = np.random.RandomState(count).standard_normal((1, count)).astype(np.float32)
    net = caffe_unpacked.NetParameter()
    layer = net.layer.add(name="fc", type="InnerProduct")
    for _ in range(2):
        caffe_unpacked.fill(layer.blobs.add(), values, field=field)
    first, second = weights.read(_save(tmp_path / "net", net))["fc"]
    assert first.dtype == (np.float32 if field == "data" else np.float64)
    np.testing.assert_array_equal(first, values)
    np.testing.assert_array_equal(second, values)


def test_double_wins_over_single(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add()
    caffe.fill(blob, np.array([1.0, 0.1]), field="double_data")
    blob.data.extend([7, 8, 9])
    (array,) = weights.read(_save(tmp_path / "net", net))["fc"]
    assert array.dtype == np.float64
    assert array.tolist() == [1.0, 0.1]


def test_legacy_dims_win_over_shape(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add(num=1, channels=1, height=2, width=3)
    blob.shape.dim.extend([9, 9])
    blob.data.extend(range(6))
    assert weights.read(_save(tmp_path / "net", net))["fc"][0].shape == (1, 1, 2, 3)


@pytest.mark.parametrize(("kind", "dtype"), [(0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_raw_data(caffe: SimpleNamespace, tmp_path: Path, kind: int, dtype: str) -> None:
    values = np.array([[1.0, -2.5, 65504.0], [0.0, 2.0**-24, -0.0]], dtype)
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add(raw_data_type=kind, raw_data=values.tobytes())
    blob.shape.dim.extend(values.shape)
    (array,) = weights.read(_save(tmp_path / "net", net))["fc"]
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, values)


def test_half_precision_bytes_by_hand(tmp_path: Path) -> None:
    # layer 100 { name "a", blobs { shape { dim 2 }, raw_data_type FLOAT16, raw_data 1.0 -2.0 } }
    blob = bytes.fromhex("3a03 0a0102 5002 6204 003c 00c0".replace(" ", ""))
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob)]) + blob
    path = tmp_path / "net"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    assert weights.read(path)["a"][0].tolist() == [1.0, -2.0]


def test_unknown_fields_and_groups_are_passed_over(caffe: SimpleNamespace, tmp_path: Path) -> None:
    # varint 500, fixed32 501, fixed64 502, bytes 503, and a group 504 that holds a varint and a group
    strange = bytes.fromhex("a01f05 ad1f00000000 b11f0000000000000000 ba1f03616263 c31f 0801 13 1807 14 1002 c41f")
    layer = strange + caffe.build("V2").layer[0].SerializeToString() + strange
    path = tmp_path / "net"
    path.write_bytes(strange + b"\xa2\x06" + bytes([len(layer) & 0x7F | 0x80, len(layer) >> 7]) + layer)
    np.testing.assert_array_equal(weights.read(path)["conv1"][0], caffe.WEIGHT)


def test_split_packed_data_is_joined(tmp_path: Path) -> None:
    half = b"\x2a\x04" + struct.pack("<f", 1.5)
    blob = b"\x3a\x02\x08\x02" + half + half  # an unpacked dim, too
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob)]) + blob
    path = tmp_path / "net"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    assert weights.read(path)["a"][0].tolist() == [1.5, 1.5]


def test_later_layer_of_a_name_wins(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.NetParameter()
    for value in (1.0, 2.0):
        caffe.fill(net.layer.add(name="fc", type="InnerProduct").blobs.add(), np.array([value], np.float32))
    net.layer.add(name="fc", type="Silence")
    found = weights.read(_save(tmp_path / "net", net))
    assert found["fc"][0].tolist() == [2.0]
    assert found.types == {"fc": "InnerProduct"}
    assert len(found.notes) == 1 and '"fc"' in found.notes[0]


def test_v2_layers_beside_v1_layers_are_ignored_with_a_note(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.build("V1")
    net.layer.add(name="stray", type="ReLU")
    found = weights.read(_save(tmp_path / "net", net))
    assert "stray" not in found.types
    assert "ignored" in found.notes[0]


def test_arrays_are_readonly_views_of_the_map(tiny: Path) -> None:
    found = weights.read(tiny)
    weight = found["conv1"][0]
    assert not weight.flags.owndata and not weight.flags.writeable
    before = weight.copy()
    found.close()
    np.testing.assert_array_equal(weight, before)


def test_closed(tiny: Path) -> None:
    with weights.read(tiny) as found:
        assert "conv1" in found
    with pytest.raises(WeightsError, match="closed"):
        found["conv1"]
    assert "closed" in repr(found)


def test_reading_needs_no_protobuf(tiny: Path) -> None:
    code = (
        "import sys, weights; weights.read(sys.argv[1])['conv1'];"
        "bad = {'google.protobuf', 'torch', 'onnx', 'h5py'} & set(sys.modules); assert not bad, bad"
    )
    root = Path(weights.__file__).parent.parent
    subprocess.run([sys.executable, "-c", code, str(tiny)], check=True, cwd=root)


@pytest.mark.parametrize("version", ["V0", "V1", "V2"])
def test_embedded_net_has_no_blobs(caffe: SimpleNamespace, tmp_path: Path, version: str) -> None:
    pytest.importorskip("prototxt.schema")
    net = caffe.build(version)
    found = weights.read(_save(tmp_path / "net", net)).net()
    for layer in net.layer:
        layer.ClearField("blobs")
    for layer in net.layers:
        layer.ClearField("blobs")
        layer.layer.ClearField("blobs") if layer.HasField("layer") else None
    assert found.SerializeToString(deterministic=True) == net.SerializeToString(deterministic=True)


def test_v1_type_names_match_the_schema() -> None:
    schema = pytest.importorskip("prototxt.schema")
    from weights.caffemodel import V1_TYPES

    numbers = schema.message_class("V1LayerParameter").DESCRIPTOR.enum_types_by_name["LayerType"].values_by_name
    special = {"": "NONE", "SoftmaxWithLoss": "SOFTMAX_LOSS"}
    for number, name in V1_TYPES.items():
        spelt = special.get(name) or next(key for key in numbers if key.replace("_", "") == name.upper())
        assert numbers[spelt].number == number
    assert V1_TYPES[4] == "Convolution" and V1_TYPES[14] == "InnerProduct" and V1_TYPES[39] == "Deconvolution"


# ---- real files -------------------------------------------------------------------------------------------------


def _compare(path: Path, message_class: Any) -> None:
    """Every array, name, type and the net of one file against what protobuf parses."""
    net = message_class("NetParameter").FromString(path.read_bytes())
    assert bool(net.layer) != bool(net.layers), path
    found = weights.read(path)
    for layer in net.layer or net.layers:
        inner = layer.layer if not net.layer and layer.HasField("layer") else layer
        if not inner.blobs:
            continue
        assert len(found[inner.name]) == len(inner.blobs), path
        for ours, blob in zip(found[inner.name], inner.blobs, strict=True):
            legacy = any(blob.HasField(name) for name in ("num", "channels", "height", "width"))
            dims = (blob.num, blob.channels, blob.height, blob.width) if legacy else tuple(blob.shape.dim)
            np.testing.assert_array_equal(ours, np.array(blob.data, np.float32).reshape(dims), err_msg=str(path))
        inner.ClearField("blobs")
    assert set(found.types) == {
        (layer.layer if found.version == "V0" else layer).name for layer in net.layer or net.layers
    }
    if found.version == "V2":
        assert list(found.types.values()) == [layer.type for layer in net.layer] or "" in found.types
    assert found.net() == net, path


def test_conformance_files(shared: Path) -> None:
    message_class = pytest.importorskip("prototxt.schema").message_class
    paths = sorted(shared.glob("conformance/*/*/weights.caffemodel"))
    assert len(paths) == 235
    for path in paths:
        _compare(path, message_class)


def test_corpus_files(shared: Path) -> None:
    message_class = pytest.importorskip("prototxt.schema").message_class
    paths = sorted(shared.glob("corpus/weights/*.caffemodel"))
    assert len(paths) == 13
    for path in paths:
        _compare(path, message_class)


# ---- damage -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["V0", "V1", "V2"])
def test_truncation_at_every_byte(caffe: SimpleNamespace, tmp_path: Path, version: str) -> None:
    net = caffe.build(version)
    whole = net.SerializeToString()
    layers = net.layer or net.layers
    boundaries = {}  # a cut here leaves a legal file of so many layers
    for kept in range(1, len(layers) + 1):
        shorter = caffe.NetParameter.FromString(whole)
        del (shorter.layer or shorter.layers)[kept:]
        if version != "V2":  # `input` (3) follows `layers` (2) in the file
            shorter.ClearField("input")
        boundaries[len(shorter.SerializeToString())] = kept
    path = tmp_path / "net"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size in boundaries:
            assert len(weights.read(path).types) == boundaries[size]
        else:
            with pytest.raises(WeightsError):
                weights.read(path)


def test_truncation_says_where_and_what_to_do(tiny: Path) -> None:
    size = tiny.stat().st_size
    tiny.write_bytes(tiny.read_bytes()[:-1])
    match = rf"tiny\.caffemodel: it is cut off at {size - 1} bytes, after 2 whole layers.*{size}.*download"
    with pytest.raises(WeightsError, match=match):
        weights.read(tiny)


def test_mutations_raise_nothing_but_weights_errors(caffe: SimpleNamespace, tmp_path: Path) -> None:
    random_ = random.Random(20)
    path = tmp_path / "net"
    refused = 0
    for round_ in range(600):
        data = bytearray(caffe.build(("V0", "V1", "V2")[round_ % 3], legacy=bool(round_ & 4)).SerializeToString())
        for _ in range(random_.randint(1, 3)):
            at = random_.randrange(len(data))
            action = random_.randrange(4)
            if action == 0:
                data[at] = random_.randrange(256)
            elif action == 1:
                data[at] ^= 1 << random_.randrange(8)
            elif action == 2:
                data[at:at] = random_.randbytes(random_.randint(1, 12))
            else:
                del data[at : at + random_.randint(1, 12)]
        path.write_bytes(data)
        try:
            with weights.read(path) as found:
                assert all(isinstance(blob, np.ndarray) for blobs in found.values() for blob in blobs)
        except WeightsError as error:
            refused += 1
            assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 300


def test_random_bytes_raise_nothing_but_weights_errors(tmp_path: Path) -> None:
    random_ = random.Random(21)
    path = tmp_path / "net"
    for _ in range(300):
        path.write_bytes(random_.randbytes(random_.randint(1, 300)))
        try:
            weights.read(path)
        except WeightsError:
            continue


@pytest.mark.parametrize(
    ("dims", "count", "match"),
    [
        ((2, 3), 5, "2x3 needs 6 values, 5 are stored"),
        ((-1, 3), 3, "impossible"),
        ((2, 3), 0, "0 are stored"),
        ((), 2, "1 v"),
    ],
)
def test_counts_that_disagree_with_the_dims(
    caffe: SimpleNamespace, tmp_path: Path, dims: tuple[int, ...], count: int, match: str
) -> None:
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add()
    blob.shape.dim.extend(dims)
    blob.data.extend([0.0] * count)
    with pytest.raises(WeightsError, match=f'blob 0 of layer "fc".*{match}'):
        weights.read(_save(tmp_path / "net", net))


# ---- files that are something else ------------------------------------------------------------------------------


def _zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.caffemodel"))
    return buffer.getvalue()


_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 553432081\n"
_ONNX = bytes.fromhex("0808 1207 7079746f726368 1a05 322e302e30 3a04 0a020a00 4202 1011".replace(" ", ""))
_FOREIGN = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "zero bytes"),
    "html": (b"<!DOCTYPE html>\n<html><title>404</title></html>", "web page"),
    "html_bom": (b"\xef\xbb\xbf\n <html></html>", "web page"),
    "lfs": (_LFS, r"Git LFS pointer \(size 553,432,081 bytes, oid sha256:4d7a21\).*git lfs pull"),
    "prototxt": (b'# VGG\nname: "VGG"\nlayers {\n  bottom: "data"\n}\n', "prototxt"),
    "long_prototxt": ('name: "é"\n'.encode() + "# ä\n".encode() * 3000, "prototxt"),
    "text": (b"Not Found", "text, not weights: 'Not Found'"),
    "gzip": (gzip.compress(b"x"), "gzip"),
    "zip": (_zip("net.caffemodel"), "zip archive"),
    "pytorch": (_zip("archive/data.pkl"), "PyTorch"),
    "npz": (_zip("arr_0.npy"), "npz"),
    "tar": (_tar(), "tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"),
    "onnx": (_ONNX, "ONNX"),
    "npy": (b"\x93NUMPY\x01\x00v\x00", "npy"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG"),
    "png": (b"\x89PNG\r\n\x1a\n\x00", "PNG"),
    "mat": (b"MATLAB 5.0 MAT-file" + bytes(100), "MATLAB"),
    "no_layer": (b"\x0a\x03net", "no layer"),
}


@pytest.mark.parametrize("name", _FOREIGN)
def test_foreign_files_are_named(tmp_path: Path, name: str) -> None:
    data, match = _FOREIGN[name]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=match):
        weights.read(path)


def test_real_onnx_is_named(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx.helper")
    node = helper.make_node("Relu", ["x"], ["y"])
    info = [helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", info[:1], info[1:]))
    with pytest.raises(WeightsError, match="ONNX"):
        weights.read(_save(tmp_path / "net.onnx", model))


@pytest.mark.parametrize("legacy", [False, True])
def test_mean_file_is_named(caffe: SimpleNamespace, tmp_path: Path, legacy: bool) -> None:
    blob = caffe.BlobProto()
    caffe.fill(blob, np.ones((1, 3, 2, 2), np.float32), legacy=legacy)
    with pytest.raises(WeightsError, match=r"mean file.*read_mean"):
        weights.read(_save(tmp_path / "mean.binaryproto", blob))
    with pytest.raises(WeightsError):
        path = tmp_path / "cut.binaryproto"
        path.write_bytes(blob.SerializeToString()[:20])
        weights.read(path)


def test_solver_state_is_named(caffe: SimpleNamespace, tmp_path: Path) -> None:
    state = caffe.SolverState(iter=10000, learned_net="net_iter_10000.caffemodel")
    caffe.fill(state.history.add(), np.ones(3, np.float32))
    with pytest.raises(WeightsError, match=r"solver state"):
        weights.read(_save(tmp_path / "net.solverstate", state))


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        weights.read(tmp_path / "absent.caffemodel")
    with pytest.raises(WeightsError, match="folder"):
        weights.read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX device file")
def test_device_is_refused() -> None:
    with pytest.raises(WeightsError, match="no regular file"):
        weights.read("/dev/null")


def test_names_survive_imports_of_submodules() -> None:
    import importlib

    for name in ("match", "synthetic"):
        importlib.import_module(f"weights.{name}")
        assert callable(getattr(weights, name))
    assert set(weights.__all__) <= set(dir(weights))
    with pytest.raises(AttributeError, match="nothing"):
        weights.nothing  # noqa: B018
