"""Ten crops from two passes: windows of the features of a whole picture and of its mirror image."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import parity
import pytest

import converters
import prototxt
import weights
from converters.onnx_backend.dense import to_dense_onnx
from converters.options import Options
from prototxt import CamcompatError
from weights.models import find

CANVAS, GRID, CROP = 112, 14, 12  # pixels of the picture; cells of its features and of a crop's
PLACES = [(0, 0), (2, 0), (0, 2), (2, 2), (1, 1)]  # (top, left): x is the outer loop


@pytest.fixture
def pictures() -> np.ndarray:
    noise = np.random.RandomState(0).standard_normal((2, 3, 14, 14)) * 50
    return np.kron(noise, np.ones((8, 8))).astype(np.float32)


def expected(pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By hand from float64 features: (N, 10, classes) probabilities and (N, classes, 10, h, w) maps."""
    model = find("shapes-cam")
    files = (model.path("prototxt"), model.path("caffemodel"))
    features = prototxt.loads(files[0].read_text().split('layer { name: "CAM_pool"')[0])  # the rest does not fit
    shape = {"data": [2, 3, CANVAS, CANVAS]}
    net = converters.to_numpy(features, files[1], outputs=["CAM_conv"], input_shapes=shape)
    both = [np.asarray(net(x)) for x in (pictures, pictures[..., ::-1].copy())]
    weight, bias = (np.asarray(blob, np.float64) for blob in weights.read(files[1])["CAM_fc"])
    windows = []
    for i in range(10):
        top, left = PLACES[i % 5]
        left = 2 - left if i >= 5 else left
        windows.append(both[i // 5][:, :, top : top + CROP, left : left + CROP])
    crops = np.stack(windows, 1)
    scores = crops.mean((3, 4)) @ weight.reshape(10, -1).T + bias
    power = np.exp(scores - scores.max(-1, keepdims=True))
    return power / power.sum(-1, keepdims=True), np.einsum("ktc,nrchw->nkrhw", weight.reshape(10, 1, -1), crops)


def test_scores_and_maps_are_those_of_windows(pictures: np.ndarray, tmp_path: Path) -> None:
    model = find("shapes-cam")
    files = (model.path("prototxt"), model.path("caffemodel"))
    path = to_dense_onnx(*files, tmp_path / "dense.onnx", canvas=(CANVAS, CANVAS), metadata={"labels": ["a"]})
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    prob, scores, classes, cams = session.run(["prob", "scores", "classes", "cams"], {"data": pictures})
    exact, maps = expected(pictures)
    mean = exact.mean(1)
    assert parity.error(prob, mean) <= parity.WHOLE
    assert (classes == np.argsort(-mean, 1)[:, :5]).all()
    assert np.allclose(scores, np.take_along_axis(prob, classes, 1))
    assert parity.error(cams, np.take_along_axis(maps, classes[:, :, None, None, None], 1)) <= parity.WHOLE
    entry = json.loads(session.get_modelmeta().custom_metadata_map["camcompat"])
    assert entry["cam"]["form"] == "dense" and entry["cam"]["crop"] == [96, 96] and entry["labels"] == ["a"]
    assert session.run(["cams"], {"data": pictures[:1], "k": np.int64([10])})[0].shape == (1, 10, 10, CROP, CROP)


def test_on_the_nets_own_size_all_crops_are_one(pictures: np.ndarray, tmp_path: Path) -> None:
    """Then the mean over the crops is that over the picture and its mirror image, which the plain file gives too."""
    model = find("shapes-cam")
    files = (model.path("prototxt"), model.path("caffemodel"))
    dense = to_dense_onnx(*files, tmp_path / "dense.onnx", canvas=(96, 96))
    plain = converters.to_onnx(*files, tmp_path / "plain.onnx")
    x = np.ascontiguousarray(pictures[:, :, :96, :96])
    prob = onnxruntime.InferenceSession(str(dense), providers=["CPUExecutionProvider"]).run(["prob"], {"data": x})[0]
    both = onnxruntime.InferenceSession(str(plain), providers=["CPUExecutionProvider"]).run(
        ["prob"], {"data": np.concatenate([x, x[..., ::-1]])}
    )[0]
    assert parity.error(prob, (both[:2] + both[2:]) / 2) <= parity.WHOLE


CLASS_MAPS = """
input: "data" input_shape { dim: 2 dim: 3 dim: 6 dim: 6 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 7 kernel_size: 1 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { name: "prob" type: "Softmax" bottom: "pool" top: "prob" }
"""


def test_the_crops_are_of_the_input_that_was_asked_for(tmp_path: Path) -> None:
    options = Options(input_shapes={"data": (1, 3, 5, 4)}, top_k=3)
    path = to_dense_onnx(
        prototxt.loads(CLASS_MAPS), converters.Synthetic(), tmp_path / "a.onnx", options, canvas=(8, 8)
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert session.run(["cams"], {"data": np.zeros((1, 3, 8, 8), np.float32)})[0].shape == (1, 3, 10, 5, 4)
    assert json.loads(session.get_modelmeta().custom_metadata_map["camcompat"])["cam"]["crop"] == [5, 4]


def test_class_maps_before_the_average(tmp_path: Path) -> None:
    """A head without a classifier: the maps are windows of the net's own."""
    net = prototxt.loads(CLASS_MAPS)
    path = to_dense_onnx(net, converters.Synthetic(), tmp_path / "dense.onnx", canvas=(8, 8))
    x = np.random.RandomState(1).standard_normal((1, 3, 8, 8)).astype(np.float32)
    cams = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        ["cams"], {"data": x, "k": np.int64([7])}
    )[0]
    classes = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        ["classes"], {"data": x, "k": np.int64([7])}
    )[0]
    small = converters.to_numpy(net, converters.Synthetic(), outputs=["conv"])
    for crop, (top, left) in enumerate(PLACES):
        window = np.repeat(x[:, :, top : top + 6, left : left + 6], 2, 0)  # (1x1 convolutions see no border)
        for index, picture in ((crop, window), (crop + 5, window[..., ::-1].copy())):
            assert parity.error(cams[0, :, index], np.asarray(small(picture))[0][classes[0]]) <= parity.SINGLE


def test_what_cannot_be_dense_is_refused(tmp_path: Path) -> None:
    model = find("shapes-cam")
    with pytest.raises(CamcompatError, match="are less than 12x12; give a canvas that is larger"):
        to_dense_onnx(model.path("prototxt"), model.path("caffemodel"), tmp_path / "a.onnx", canvas=(64, 64))
    net = prototxt.loads('input: "x" input_shape { dim: 1 dim: 2 } layer { type: "TanH" bottom: "x" top: "y" }')
    with pytest.raises(CamcompatError, match="no class activation mapping head"):
        to_dense_onnx(net, {}, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())
