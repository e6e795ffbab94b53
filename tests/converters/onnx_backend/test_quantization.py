"""Smaller numbers in ONNX files: what they hold, that the CAM head stays float32, that a net still knows."""

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
from camcompat.conversion.reduction import quantise
from converters.onnx_backend.quantization import annotate, store_as_fp16
from prototxt import CamcompatError
from weights.models import find

EXPECTED = np.load(Path(__file__).resolve().parents[2] / "data" / "shapes-cam.npz")


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    model = find("shapes-cam")
    return converters.to_onnx(model.path("prototxt"), model.path("caffemodel"), tmp_path / "net.onnx")


def run(path: Path, *names: str) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert {x.type for x in session.get_inputs() if x.name != "k"} == {"tensor(float)"}
    return session.run(list(names), {"data": EXPECTED["data"]})


def dtypes(path: Path) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}


def test_fp16_halves_the_file_and_keeps_the_head(plain: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    store_as_fp16(plain, small)
    assert small.stat().st_size < 0.6 * plain.stat().st_size
    onnx.checker.check_model(onnx.load(small), full_check=True)
    kinds = dtypes(small)
    assert kinds["CAM_fc.weight"] == onnx.TensorProto.FLOAT
    assert sum(kind == onnx.TensorProto.FLOAT16 for kind in kinds.values()) >= 3
    prob, cams = run(small, "prob", "cams")
    assert 1e-7 < parity.error(prob, EXPECTED["prob"][: len(prob)]) < 5e-3
    assert parity.error(cams[:, 0], EXPECTED["cams_top1"][: len(prob)]) < 5e-3


def test_int8_names_the_classes_that_caffe_names(plain: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.onnx"
    quantise(plain, small, [x[None] for x in EXPECTED["data"]])
    assert small.stat().st_size < 0.4 * plain.stat().st_size
    nodes = onnx.load(small).graph.node
    assert sum(node.op_type == "QuantizeLinear" for node in nodes) >= 3
    assert dtypes(small)["CAM_fc.weight"] == onnx.TensorProto.FLOAT
    prob, cams = run(small, "prob", "cams")
    caffe = EXPECTED["prob"][: len(prob)]
    assert (prob.argmax(1) == caffe.argmax(1)).all()
    assert 1e-5 < np.abs(prob - caffe).max() < 0.1
    pairs = zip(cams[:, 0], EXPECTED["cams_top1"])
    assert min(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] for ours, theirs in pairs) > 0.98


def test_weights_that_float16_cannot_hold_stay(tmp_path: Path) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(
        'input: "x" input_shape { dim: 1 dim: 80 } layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" '
        "inner_product_param { num_output: 80 bias_term: false } }"
    )
    big = converters.to_onnx(net, {"fc": [np.full((80, 80), 1e5, np.float32)]}, tmp_path / "big.onnx")
    store_as_fp16(big, tmp_path / "small.onnx")
    assert set(dtypes(tmp_path / "small.onnx").values()) == {onnx.TensorProto.FLOAT}


def test_entries_are_added_to_the_metadata(plain: Path) -> None:
    annotate(plain, {"dtype": "fp16"})
    session = onnxruntime.InferenceSession(str(plain), providers=["CPUExecutionProvider"])
    entry = json.loads(session.get_modelmeta().custom_metadata_map["camcompat"])
    assert entry["dtype"] == "fp16" and entry["cam"]["classifier"] == "CAM_fc"


def test_int8_without_inputs_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(CamcompatError, match="needs pictures to calibrate on; --calibrate FOLDER"):
        quantise(plain, tmp_path / "small.onnx", [])
    assert not (tmp_path / "small.onnx").exists()


def test_int8_leaves_the_sums_of_an_lrn_alone(tmp_path: Path) -> None:
    """Of 48 channels they are two products, joined: their numbers span orders of magnitude."""
    net = prototxt.loads(
        'input: "data" input_shape { dim: 1 dim: 16 dim: 8 dim: 8 } '
        'layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" '
        "convolution_param { num_output: 48 kernel_size: 3 } } "
        'layer { name: "norm" type: "LRN" bottom: "conv" top: "norm" lrn_param { alpha: 3 } }'
    )
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    converters.to_onnx(net, converters.Synthetic(), plain)
    x = np.random.default_rng(0).standard_normal((4, 1, 16, 8, 8)).astype(np.float32) * 50
    quantise(plain, small, list(x))
    nodes = onnx.load(small).graph.node
    made_by = {name: node.op_type for node in nodes for name in node.output}
    norm = [node for node in nodes if node.name.startswith("norm")]
    assert {"Conv", "Concat"} <= {node.op_type for node in norm}
    reduced = {node.op_type for node in norm if "DequantizeLinear" in map(made_by.get, node.input)}
    assert reduced <= {"Mul", "Div"}  # what they read is the convolution's output, in 8 bits
