"""What an ONNX file holds: names, symbolic batch, CAM outputs, metadata; and that it appears whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import parity
import pytest

import converters
import prototxt
from converters.cam.head import find_cam_head
from prototxt import CamcompatError
from weights.models import find

DATA = Path(__file__).resolve().parents[2] / "data"
CONFORMANCE = DATA / "conformance"


@pytest.fixture
def shapes_cam(tmp_path: Path) -> Path:
    model = find("shapes-cam")
    return converters.to_onnx(model.path("prototxt"), model.path("caffemodel"), tmp_path / "net.onnx")


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_names_and_shapes(shapes_cam: Path) -> None:
    s = session(shapes_cam)
    assert [(x.name, x.shape) for x in s.get_inputs()] == [("data", ["N", 3, 96, 96])]
    outputs = {x.name: x.shape for x in s.get_outputs()}
    assert outputs == {"prob": ["N", 10], "scores": ["N", "k"], "classes": ["N", "k"], "cams": ["N", "k", 12, 12]}


def test_it_is_valid_onnx_and_nodes_are_named_after_layers(shapes_cam: Path) -> None:
    model = onnx.load(shapes_cam)
    onnx.checker.check_model(model, full_check=True)
    kinds = {node.name: node.op_type for node in model.graph.node}
    assert kinds["conv1+conv1/bn+conv1/scale"] == "Conv"
    assert "norm1" in kinds
    assert kinds["pool1"] == "MaxPool"
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used | {"k"}


def test_cams_are_features_times_weights(shapes_cam: Path) -> None:
    """Caffe's cached maps of the top class: features · classifier weights, no bias, no ReLU."""
    expected = np.load(DATA / "shapes-cam.npz")
    x = expected["data"]
    prob, scores, classes, cams = session(shapes_cam).run(["prob", "scores", "classes", "cams"], {"data": x})
    order = np.argsort(-expected["prob"][: len(x)], axis=1)[:, :5]
    assert (classes == order).all()
    assert np.allclose(scores, np.take_along_axis(prob, order, 1))
    assert parity.error(cams[:, 0], expected["cams_top1"][: len(x)]) <= parity.WHOLE


@pytest.mark.parametrize("k", [1, 10])
def test_k_can_be_chosen_at_run_time(shapes_cam: Path, k: int) -> None:
    x = np.load(DATA / "shapes-cam.npz")["data"]
    s = session(shapes_cam)
    five = s.run(["cams"], {"data": x})[0]
    chosen = s.run(["cams"], {"data": x, "k": np.int64([k])})[0]
    assert chosen.shape[1] == k
    least = min(k, 5)
    assert np.allclose(chosen[:, :least], five[:, :least])


def test_metadata_say_what_the_file_is(tmp_path: Path) -> None:
    model = find("shapes-cam")
    path = converters.to_onnx(
        model.path("prototxt"), model.path("caffemodel"), tmp_path / "a.onnx", metadata={"labels": ["a"]}
    )
    entry = json.loads(session(path).get_modelmeta().custom_metadata_map["camcompat"])
    assert entry["labels"] == ["a"]
    assert entry["input"] == "data"
    assert entry["cam"] == {"features": "CAM_relu", "classifier": "CAM_fc", "form": "gap-fc"}


@pytest.mark.parametrize("form", ["InnerProduct", "1x1 convolution", "class maps"])
def test_heads_are_found_by_structure(form: str, tmp_path: Path) -> None:
    tail = {
        "InnerProduct": 'layer { name: "d" type: "Dropout" bottom: "pool" top: "pool" }'
        'layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 7 } }',
        "1x1 convolution": 'layer { name: "fc" type: "Convolution" bottom: "pool" top: "fc" '
        "convolution_param { num_output: 7 kernel_size: 1 } }",
        "class maps": 'layer { name: "s" type: "Split" bottom: "pool" top: "fc" }',
    }[form]
    channels = 7 if form == "class maps" else 4
    net = prototxt.loads(
        'input: "data" input_shape { dim: 2 dim: 3 dim: 6 dim: 5 }'
        'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param '
        f"{{ num_output: {channels} kernel_size: 3 pad: 1 }} }}"
        'layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }'
        'layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" '
        "pooling_param { pool: AVE global_pooling: true } }"
        f'{tail} layer {{ name: "prob" type: "Softmax" bottom: "fc" top: "prob" }}'
    )
    path = converters.to_onnx(net, converters.Synthetic(), tmp_path / "net.onnx")
    x = np.random.RandomState(3).standard_normal((2, 3, 6, 5)).astype(np.float32)
    classes, cams = session(path).run(["classes", "cams"], {"data": x, "k": np.int64([7])})
    scores = converters.to_numpy(net, converters.Synthetic(), outputs=["fc"])(x).reshape(2, 7)
    assert cams.shape == (2, 7, 6, 5)
    # The mean of a map is its class's score before softmax, less the bias.
    bias = 0.0
    if form != "class maps":
        (rng,) = (np.random.RandomState(__import__("zlib").crc32(b"fc")),)
        rng.standard_normal((7, 4))
        bias = (rng.standard_normal(7) * 0.05).astype(np.float32)
    assert np.allclose(cams.mean((2, 3)), np.take_along_axis(scores - bias, classes, 1), atol=1e-5)


def test_no_head_in_a_net_without_one() -> None:
    net = prototxt.load(CONFORMANCE / "InnerProduct" / "basic" / "net.prototxt")
    assert find_cam_head(converters.lower(net, converters.Synthetic()).graph) is None


def test_any_blob_can_be_asked_for(tmp_path: Path) -> None:
    model = find("shapes-cam")
    files = (model.path("prototxt"), model.path("caffemodel"), tmp_path / "net.onnx")
    path = converters.to_onnx(*files, outputs=["conv1", "CAM_fc"])
    assert [x.name for x in session(path).get_outputs()] == ["conv1", "CAM_fc"]
    with pytest.raises(CamcompatError, match='no blob "CAM_cv"; did you mean'):
        converters.to_onnx(*files, outputs=["CAM_cv"])


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    model = find("shapes-cam")
    files = (model.path("prototxt"), model.path("caffemodel"))
    target = tmp_path / "net.onnx"
    target.mkdir()
    with pytest.raises(CamcompatError, match="it is a folder"):
        converters.to_onnx(*files, target)
    with pytest.raises(CamcompatError, match="the folder does not exist"):
        converters.to_onnx(*files, tmp_path / "missing" / "net.onnx")
    assert os.listdir(tmp_path) == ["net.onnx"]


def test_symbolic_batch_agrees_with_numpy_at_another_size(tmp_path: Path) -> None:
    """Wherever the batch axis is symbolic, the file runs at another batch size and still says what numpy says."""
    tried = 0
    for case in sorted(CONFORMANCE.glob("*/*/net.prototxt")):
        net = prototxt.load(case)
        if not net.inputs or len({shape[0] for shape in net.inputs.values()}) != 1 or len(net.inputs) > 1:
            continue
        lowered = converters.lower(net, converters.Synthetic())
        if lowered.static:
            continue
        (name, shape), *_ = net.inputs.items()
        x = np.random.RandomState(5).uniform(0.1, 0.9, (shape[0] + 2, *shape[1:])).astype(np.float32)
        path = converters.to_onnx(net, converters.Synthetic(), tmp_path / "net.onnx", cam=False)
        found = session(path).run(None, {name: x})
        exact = converters.to_numpy(net, converters.Synthetic())(x)
        exact = exact if isinstance(exact, dict) else {"": exact}
        for ours, reference in zip(found, exact.values()):
            assert parity.error(ours, reference) <= 1e-5, case
        tried += 1
    assert tried > 90
