"""The CAM head is found wherever the scores are a linear function of averaged features, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
from onnxruntime import InferenceSession, SessionOptions

import converters
import prototxt
import weights
from converters.cam.head import class_maps, find_cam_head, why_no_head
from prototxt.errors import CamcompatError

DATA = 'input: "data" input_shape { dim: 2 dim: 3 dim: 6 dim: 5 }'
SOFTMAX = 'layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }'


def layer(name: str, kind: str, bottom: str, top: str = "", rest: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top or name}" {rest} }}\n'


def conv(name: str, bottom: str, outputs: int, kernel: int = 3) -> str:
    size = f"num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2}"
    return layer(name, "Convolution", bottom, rest=f"convolution_param {{ {size} }}")


def fc(name: str, bottom: str, outputs: int = 7) -> str:
    return layer(name, "InnerProduct", bottom, rest=f"inner_product_param {{ num_output: {outputs} }}")


FEATURES = conv("conv", "data", 4) + layer("relu", "ReLU", "conv", "conv")
GAP = layer("pool", "Pooling", "conv", rest="pooling_param { pool: AVE global_pooling: true }")
BATCH_NORM = layer("bn", "BatchNorm", "pool") + layer("scale", "Scale", "bn", rest="scale_param { bias_term: true }")

LINEAR = {
    "InnerProduct": FEATURES + GAP + fc("fc", "pool"),
    "Dropout": FEATURES + GAP + layer("drop", "Dropout", "pool") + fc("fc", "drop"),
    "1x1 convolution of the average": FEATURES + GAP + conv("fc", "pool", 7, kernel=1),
    "3x3 convolution of the average": FEATURES + GAP + conv("fc", "pool", 7),
    "BatchNorm and Scale": FEATURES + GAP + BATCH_NORM + fc("fc", "scale"),
    "two InnerProducts": FEATURES + GAP + fc("inner", "pool", 5) + fc("fc", "inner"),
    "Scale behind the classifier": FEATURES + GAP + fc("ip", "pool") + layer("fc", "Scale", "ip"),
    "Power behind the pooling": FEATURES
    + GAP
    + layer("power", "Power", "pool", rest="power_param { scale: 3 shift: 1 }")
    + fc("fc", "power"),
    "Reduction as the pooling": FEATURES
    + layer("pool", "Reduction", "conv", rest="reduction_param { operation: MEAN axis: 2 }")
    + fc("fc", "pool"),
    "Reshape and Reduction": FEATURES
    + layer("rows", "Reshape", "conv", rest="reshape_param { shape { dim: 0 dim: 0 dim: -1 } }")
    + layer("pool", "Reduction", "rows", rest="reduction_param { operation: MEAN axis: 2 }")
    + fc("fc", "pool"),
    "LRN before the pooling": FEATURES
    + layer("lrn", "LRN", "conv")
    + GAP.replace('"conv"', '"lrn"')
    + fc("fc", "pool"),
    "class maps": conv("conv", "data", 7, kernel=1) + GAP.replace('top: "pool"', 'top: "fc"'),
    "class maps with ReLU, BatchNorm and Scale": conv("conv", "data", 7, kernel=1)
    + layer("relu", "ReLU", "conv")
    + layer("bn", "BatchNorm", "relu")
    + layer("scale", "Scale", "bn")
    + GAP.replace('bottom: "conv"', 'bottom: "scale"').replace('top: "pool"', 'top: "fc"'),
    "class maps and Power": conv("conv", "data", 7, kernel=1)
    + GAP
    + layer("fc", "Power", "pool", rest="power_param { scale: 2 }"),
}
TAILS = {"Softmax": SOFTMAX, "Sigmoid": SOFTMAX.replace("Softmax", "Sigmoid"), "nothing": ""}


@pytest.mark.parametrize("batch", [True, False], ids=["symbolic batch", "fixed batch"])
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("form", LINEAR)
def test_the_mean_of_a_map_is_its_score_but_for_a_constant(form: str, tail: str, batch: bool, tmp_path: Path) -> None:
    net = prototxt.loads(DATA + LINEAR[form] + TAILS[tail])
    path = converters.to_onnx(net, converters.Synthetic(), tmp_path / "net.onnx", cam=True, symbolic_batch=batch)
    options = SessionOptions()
    options.log_severity_level = 3
    x = np.random.RandomState(3).standard_normal((2, 3, 6, 5)).astype(np.float32)
    classes, cams = InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(
        ["classes", "cams"], {"data": x, "k": np.int64([7])}
    )
    exact = converters.to_numpy(net, converters.Synthetic(), outputs=["fc"])
    scores, zero = (np.asarray(exact(array)).reshape(2, 7) for array in (x, x[::-1]))
    means = np.take_along_axis(cams.mean((2, 3)), np.argsort(classes), 1)
    assert cams.shape == (2, 7, 6, 5)
    assert np.ptp(means) > 0.01
    assert np.abs((means - means[::-1]) - (scores - zero)).max() <= 1e-5 * max(1, np.abs(scores).max())


@pytest.mark.parametrize("form", LINEAR)
def test_class_maps_in_float64_are_those_of_the_file(form: str, tmp_path: Path) -> None:
    net = prototxt.loads(DATA + LINEAR[form] + SOFTMAX)
    path = converters.to_onnx(net, converters.Synthetic(), tmp_path / "net.onnx", cam=True)
    x = np.random.RandomState(3).standard_normal((2, 3, 6, 5)).astype(np.float32)
    classes, cams = InferenceSession(path).run(["classes", "cams"], {"data": x})
    graph = converters.lower(net, converters.Synthetic()).graph
    head = find_cam_head(graph)
    assert head is not None
    features = converters.NumpyNet(graph.pruned({"features": head.features})).run({"data": x})["features"]
    maps = class_maps(head, features, classes)
    assert (maps.dtype, maps.shape) == (np.float64, (2, 5, 6, 5))
    assert np.abs(maps - cams).max() <= 1e-5 * np.abs(maps).max()


NONE = {
    "an InnerProduct over all places": (FEATURES + fc("fc", "conv"), r"fc weighs every place of conv \(4x6x5\)"),
    "ReLU between two classifiers": (
        FEATURES + GAP + fc("fc6", "pool", 5) + layer("relu6", "ReLU", "fc6") + fc("fc", "relu6"),
        r"fc reads relu6 \(relu\).*last feature maps are conv \(4x6x5\)",
    ),
    "LRN between pooling and classifier": (
        FEATURES + GAP + layer("lrn", "LRN", "pool") + fc("fc", "lrn"),
        r"fc reads lrn \(lrn\)",
    ),
    "maximum instead of average": (
        FEATURES + GAP.replace("AVE", "MAX") + fc("fc", "pool"),
        r"fc reads pool \(max_pool\)",
    ),
    "a descriptor": (FEATURES + GAP.replace('top: "pool"', 'top: "fc"'), "pool averages the features of relu, and no"),
    "a map": (FEATURES + conv("fc", "conv", 2), r"its shape N?2?x2x6x5 is not one score per class"),
}


@pytest.mark.parametrize("form", NONE)
def test_a_net_without_a_head_says_what_is_there_instead(form: str, tmp_path: Path) -> None:
    layers, reason = NONE[form]
    net = prototxt.loads(DATA + layers)
    graph = converters.lower(net, converters.Synthetic()).graph
    assert find_cam_head(graph) is None
    with pytest.raises(CamcompatError, match=reason):
        converters.to_onnx(net, converters.Synthetic(), tmp_path / "net.onnx", cam=True)
    assert not why_no_head(converters.lower(prototxt.loads(DATA + LINEAR["Dropout"]), converters.Synthetic()).graph)


def test_the_recovered_head_of_the_release_gives_its_scores(shared: Path, tmp_path: Path) -> None:
    """CAM_pool → CAM_fc → prob on the cached activations of img1 (data_net.mat, fc_bias_img1.npz)."""
    text = (
        'name: "head" input: "CAM_conv" input_shape { dim: 10 dim: 1024 dim: 14 dim: 14 }'
        'layer { name: "CAM_pool" type: "Pooling" bottom: "CAM_conv" top: "CAM_pool" '
        "pooling_param { pool: AVE kernel_size: 14 stride: 14 } }"
        + fc("CAM_fc", "CAM_pool", 1000)
        + layer("prob", "Softmax", "CAM_fc")
    )
    release = scipy.io.loadmat(shared / "cam" / "data_net.mat")
    bias = np.load(shared / "cam" / "expected" / "fc_bias_img1.npz")
    blobs = [np.ascontiguousarray(release["weights_LR"].T), np.asarray(bias[bias.files[0]], np.float32).reshape(-1)]
    (tmp_path / "head.prototxt").write_text(text)
    weights.write(tmp_path / "head.caffemodel", "head", {"CAM_fc": blobs}, types={"CAM_fc": "InnerProduct"})
    path = converters.to_onnx(tmp_path / "head.prototxt", tmp_path / "head.caffemodel", tmp_path / "head.onnx")
    cached = scipy.io.loadmat(shared / "cam" / "data_img1.mat")
    activations = np.ascontiguousarray(cached["activation_lastconv"].transpose(3, 2, 1, 0), np.float32)
    (prob,) = InferenceSession(path, providers=["CPUExecutionProvider"]).run(["prob"], {"CAM_conv": activations})
    assert np.abs(prob.reshape(10, 1000) - cached["scores"].reshape(1000, 10).T).max() <= 2e-6
