"""Small CAM files, written by hand with onnx.helper in the form that the converter promises; a command line to run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import onnx
import pytest
from cli_helpers import Run
from onnx import TensorProto, helper, numpy_helper
from small_caffe_net import write_small

from camcompat.cli import main
from weights.models import find

PATCH = 8
CamFile = Callable[..., Path]


class Patches:
    """conv 8x8 stride 8 -> ReLU -> global average -> inner product -> softmax, in numpy and float64."""

    def __init__(self, features: int = 6, classes: int = 7, seed: int = 3) -> None:
        rng = np.random.default_rng(seed)
        self.conv = (rng.standard_normal((features, 3, PATCH, PATCH)) / 1000).astype(np.float32)
        self.fc = rng.standard_normal((classes, features)).astype(np.float32)
        self.bias = rng.standard_normal(classes).astype(np.float32)

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return prob (N, classes) and the maps of all classes (N, classes, h, w)."""
        n, c, height, width = x.shape
        blocks = x.astype(np.float64).reshape(n, c, height // PATCH, PATCH, width // PATCH, PATCH)
        features = np.maximum(np.einsum("nchawb,fcab->nfhw", blocks, self.conv.astype(np.float64)), 0)
        logits = features.mean((2, 3)) @ self.fc.T + self.bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        return powers / powers.sum(1, keepdims=True), np.einsum("nfhw,cf->nchw", features, self.fc)


def cam_model(
    net: Patches,
    *,
    size: tuple[Any, Any] = (96, 96),
    batch: str | int = "N",
    k: bool = True,
    cams: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """The graph of a CAM file: optional input ``k``, outputs prob, scores, classes, cams."""
    classes, features = net.fc.shape
    h, w = (side // PATCH if isinstance(side, int) else side for side in size)
    constants = {
        "conv_w": net.conv,
        "fc_w": net.fc,
        "fc_b": net.bias,
        "k": np.array([5], np.int64),
        "flat": np.array([0, features, -1], np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["data", "conv_w"], ["conv"], kernel_shape=[PATCH] * 2, strides=[PATCH] * 2),
        helper.make_node("Relu", ["conv"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["gap"]),
        helper.make_node("Flatten", ["gap"], ["flat_gap"]),
        helper.make_node("Gemm", ["flat_gap", "fc_w", "fc_b"], ["fc"], transB=1),
        helper.make_node("Softmax", ["fc"], ["prob"], axis=1),
    ]
    outputs = [helper.make_tensor_value_info("prob", TensorProto.FLOAT, [batch, classes])]
    if cams:
        nodes += [
            helper.make_node("TopK", ["prob", "k"], ["scores", "classes"], axis=1),
            helper.make_node("Gather", ["fc_w", "classes"], ["rows"], axis=0),
            helper.make_node("Reshape", ["features", "flat"], ["cells"]),
            helper.make_node("MatMul", ["rows", "cells"], ["flat_cams"]),
            helper.make_node("Shape", ["features"], ["grid"], start=2),
            helper.make_node("Concat", ["zeros", "grid"], ["cams_shape"], axis=0),
            helper.make_node("Reshape", ["flat_cams", "cams_shape"], ["cams"]),
        ]
        constants["zeros"] = np.array([0, 0], np.int64)
        outputs += [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, "k"]),
            helper.make_tensor_value_info("classes", TensorProto.INT64, [batch, "k"]),
            helper.make_tensor_value_info("cams", TensorProto.FLOAT, [batch, "k", h, w]),
        ]
    else:
        del constants["k"], constants["flat"]
    inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, [batch, 3, *size])]
    if k and cams:  # an initializer that is also an input is an optional input
        inputs.append(helper.make_tensor_value_info("k", TensorProto.INT64, [1]))
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "cam", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is not None:
        helper.set_model_props(model, {"camcompat": json.dumps(metadata)})
    onnx.checker.check_model(model)
    return model


@pytest.fixture(scope="session")
def net() -> Patches:
    """A net of random weights whose results numpy knows."""
    return Patches()


@pytest.fixture
def cam_file(tmp_path: Path, net: Patches) -> CamFile:
    """Write a CAM file with the given peculiarities and return its path."""

    def write(name: str = "net.onnx", of: Patches = net, **peculiarities: Any) -> Path:
        path = tmp_path / name
        onnx.save(cam_model(of, **peculiarities), path)
        return path

    return write


@pytest.fixture
def noise() -> np.ndarray:
    """A picture that is neither square nor symmetric: (150, 200, 3) uint8."""
    return np.random.default_rng(5).integers(0, 256, (150, 200, 3), np.uint8)


@pytest.fixture
def small(tmp_path: Path) -> tuple[str, str]:
    """The paths of a small net's definition and weights (see ``small_caffe_net``)."""
    return write_small(tmp_path)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder, offline."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path / "models"))
    monkeypatch.setenv("CAMCOMPAT_OFFLINE", "1")
    return lambda *words: click.testing.CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def files(tmp_path: Path, run: Run) -> tuple[Path, Path]:
    """A prototxt and its caffemodel in the user's folder."""
    model = find("shapes-cam")
    shutil.copy(model.path("prototxt"), tmp_path / "deploy.prototxt")
    shutil.copy(model.path("caffemodel"), tmp_path / "net.caffemodel")
    return Path("deploy.prototxt"), Path("net.caffemodel")
