"""weights.write: what protobuf and OpenCV read in our files, and that a failed write leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError

WEIGHT = np.random.RandomState(0).standard_normal((4, 3, 2, 2)).astype(np.float32)
BIAS = np.array([1, -2, 3, 1e-20], np.float32)
TYPES = {"data": "Input", "conv1": "Convolution", "prelu": "PReLU"}
BLOBS = {"prelu": [np.float32(0.25)], "conv1": [WEIGHT, BIAS]}


def test_protobuf_reads_v2(caffe: SimpleNamespace, tmp_path: Path) -> None:
    weights.write(tmp_path / "net", "a net", BLOBS, types=TYPES)
    net = caffe.NetParameter.FromString((tmp_path / "net").read_bytes())
    assert net.name == "a net"
    assert [(layer.name, layer.type, len(layer.blobs)) for layer in net.layer] == [
        ("data", "Input", 0),
        ("conv1", "Convolution", 2),
        ("prelu", "PReLU", 1),
    ]
    weight, bias = net.layer[1].blobs
    assert list(weight.shape.dim) == [4, 3, 2, 2] and not weight.HasField("num")
    assert weight.data == WEIGHT.ravel().tolist() and bias.data == BIAS.tolist()
    scalar = net.layer[2].blobs[0]
    assert scalar.HasField("shape") and not scalar.shape.dim and list(scalar.data) == [0.25]


def test_protobuf_reads_v1(caffe: SimpleNamespace, tmp_path: Path) -> None:
    types = {"conv1": "Convolution", "fc": "InnerProduct"}
    layers = {"conv1": [WEIGHT, BIAS], "fc": [np.ones((5, 6))]}
    weights.write(tmp_path / "net", "old", layers, types=types, version="V1")
    net = caffe.NetParameter.FromString((tmp_path / "net").read_bytes())
    assert [(layer.name, layer.type) for layer in net.layers] == [("conv1", 4), ("fc", 14)]
    dims = [(blob.num, blob.channels, blob.height, blob.width) for layer in net.layers for blob in layer.blobs]
    assert dims == [(4, 3, 2, 2), (1, 1, 1, 4), (1, 1, 5, 6)]
    assert not net.layers[0].blobs[0].HasField("shape")
    assert net.layers[0].blobs[0].data == WEIGHT.ravel().tolist()


@pytest.mark.parametrize("version", ["V1", "V2"])
def test_round_trip(tmp_path: Path, version: str) -> None:
    types = {"conv1": "Convolution", "relu": "ReLU"}
    weights.write(tmp_path / "net", "", {"conv1": [WEIGHT, BIAS]}, types=types, version=version)
    found = weights.read(tmp_path / "net")
    assert found.version == version and found.types == types and list(found) == ["conv1"]
    np.testing.assert_array_equal(found["conv1"][0], WEIGHT)
    np.testing.assert_array_equal(found["conv1"][1].ravel(), BIAS)


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
def test_any_float_and_any_layout(tmp_path: Path, dtype: str) -> None:
    array = (np.arange(24) / 8).astype(dtype).reshape(2, 3, 4).transpose(2, 0, 1)[::-1]
    weights.write(tmp_path / "net", "", {"fc": [array, np.empty((0, 3), dtype)]}, types={"fc": "InnerProduct"})
    full, empty = weights.read(tmp_path / "net")["fc"]
    assert full.dtype == np.float32 and empty.shape == (0, 3)
    np.testing.assert_array_equal(full, array.astype(np.float32))


def test_net_message_keeps_its_definition(tmp_path: Path) -> None:
    net = pytest.importorskip("prototxt.schema").message_class("NetParameter")(name="n")
    net.input.append("data")
    layer = net.layer.add(name="conv1", type="Convolution", bottom=["data"], top=["conv1"])
    layer.convolution_param.kernel_size.append(2)
    layer.blobs.add().data.append(9.0)  # replaced
    net.layer.add(name="relu1", type="ReLU", bottom=["conv1"], top=["conv1"])
    weights.write(tmp_path / "net", net, {"conv1": [WEIGHT, BIAS]})
    assert len(layer.blobs) == 1  # the caller's message is left alone
    found = weights.read(tmp_path / "net")
    np.testing.assert_array_equal(found["conv1"][0], WEIGHT)
    layer.ClearField("blobs")
    assert found.net() == net
    again = type(net).FromString((tmp_path / "net").read_bytes())
    assert list(again.layer[0].blobs[1].data) == BIAS.tolist()


def test_opencv_reads_it(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the independent reader")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV reads no Caffe nets")
    text = tmp_path / "net.prototxt"
    text.write_text(
        'input: "data" input_shape { dim: 1 dim: 3 dim: 5 dim: 6 }\n'
        'layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1" '
        "convolution_param { num_output: 4 kernel_size: 2 } }\n"
        'layer { name: "fc" type: "InnerProduct" bottom: "conv1" top: "fc" inner_product_param { num_output: 2 } }\n'
    )
    rng = np.random.RandomState(1)
    matrix, data = rng.standard_normal((2, 80)), rng.standard_normal((1, 3, 5, 6)).astype(np.float32)
    layers = {"conv1": [WEIGHT, BIAS], "fc": [matrix, np.zeros(2)]}
    weights.write(tmp_path / "net.caffemodel", "n", layers, types={"conv1": "Convolution", "fc": "InnerProduct"})
    net = cv2.dnn.readNetFromCaffe(str(text), str(tmp_path / "net.caffemodel"))
    net.setInput(data)
    windows = np.lib.stride_tricks.sliding_window_view(data[0].astype(np.float64), (2, 2), axis=(1, 2))
    conv = np.einsum("cyxij,ocij->oyx", windows, WEIGHT) + BIAS[:, None, None]
    np.testing.assert_allclose(net.forward("fc")[0], matrix @ conv.ravel(), rtol=1e-5)


@pytest.mark.parametrize(
    ("layers", "options", "match"),
    [
        ({"fc": [np.ones(2)]}, {}, 'type of layer "fc"'),
        ({"fc": [np.ones(2)]}, {"types": {"fc": "Interp"}, "version": "V1"}, 'V1 has no type "Interp"'),
        ({"fc": [np.ones((1,) * 5)]}, {"types": {"fc": "ReLU"}, "version": "V1"}, "four dims"),
        ({"fc": [np.ones(2, int)]}, {"types": {"fc": "InnerProduct"}}, 'layer "fc" blob 0: .*int64'),
        ({"fc": [np.array([1e300])]}, {"types": {"fc": "InnerProduct"}}, "too large"),
        ({}, {"version": "V0"}, "written as V0"),
    ],
)
def test_refused(tmp_path: Path, layers: dict[str, list[np.ndarray]], options: dict[str, object], match: str) -> None:
    path = tmp_path / "net"
    path.write_bytes(b"the old file")
    with pytest.raises(WeightsError, match=match):
        weights.write(path, "n", layers, **options)
    assert path.read_bytes() == b"the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_refused_with_a_message(tmp_path: Path) -> None:
    make = pytest.importorskip("prototxt.schema").message_class("NetParameter")
    net = make()
    net.layer.add(name="fc")
    with pytest.raises(WeightsError, match='no layer "fc1"'):
        weights.write(tmp_path / "net", net, {"fc1": [BIAS]})
    with pytest.raises(WeightsError, match="types are given"):
        weights.write(tmp_path / "net", net, {}, types={"fc": "ReLU"})
    old = make()
    old.layers.add(name="fc")
    with pytest.raises(WeightsError, match="upgrade"):
        weights.write(tmp_path / "net", old, {})


@pytest.mark.parametrize("place", ["absent/net", "file/net", "folder"])
def test_places_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WeightsError, match="cannot be written"):
        weights.write(tmp_path / place, "n", BLOBS, types=TYPES)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["file", "folder"]
