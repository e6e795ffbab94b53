"""weights.read on .caffemodel files: against protobuf's own reader and writer, hand-made bytes, and damage."""

from __future__ import annotations

import os
import random
import subprocess
import sys
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


def test_unknown_fields_and_groups_are_passed_over(caffe: SimpleNamespace, tmp_path: Path) -> None:
    # varint 500, fixed32 501, fixed64 502, bytes 503, and a group 504 that holds a varint and a group
    strange = bytes.fromhex("a01f05 ad1f00000000 b11f0000000000000000 ba1f03616263 c31f 0801 13 1807 14 1002 c41f")
    layer = strange + caffe.build("V2").layer[0].SerializeToString() + strange
    path = tmp_path / "net"
    path.write_bytes(strange + b"\xa2\x06" + bytes([len(layer) & 0x7F | 0x80, len(layer) >> 7]) + layer)
    np.testing.assert_array_equal(weights.read(path)["conv1"][0], caffe.WEIGHT)


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


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such file"):
        weights.read(tmp_path / "absent.caffemodel")
    with pytest.raises(WeightsError, match="folder"):
        weights.read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a POSIX device file")
def test_device_is_refused() -> None:
    with pytest.raises(WeightsError, match="no regular file"):
        weights.read("/dev/null")
