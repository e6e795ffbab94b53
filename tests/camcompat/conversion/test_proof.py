"""The proof of a conversion can fail: each kind of wrong result is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

import converters
import prototxt
import weights
from camcompat.conversion.proof import Proof
from converters.cam.head import find_cam_head
from converters.onnx_backend.file import onnx_model
from converters.torch_backend.module import torch_module
from prototxt import ConversionError
from weights.models import find

DETECTION = Path(__file__).resolve().parents[2] / "data" / "conformance" / "DetectionOutput" / "batch2" / "net.prototxt"


@pytest.fixture
def proof() -> Proof:
    model = find("shapes-cam")
    blobs = converters.FileBlobs(weights.read(model.path("caffemodel")))
    lowered = converters.lower(prototxt.load(model.path("prototxt")), blobs)
    return Proof(lowered, find_cam_head(lowered.graph))


def tampered(proof: Proof, folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    path = onnx_model(proof.lowered, proof.head).save(folder / "net.onnx")
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)
    return path


def after(output: str, op: str, *operands: float) -> Callable[[onnx.ModelProto], None]:
    """Puts one more operator behind an output."""

    def change(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.output[:] = ["inner" if name == output else name for name in node.output]
            node.input[:] = ["inner" if name == output else name for name in node.input]
        names = []
        for i, number in enumerate(operands):
            names.append(f"operand{i}")
            model.graph.initializer.append(numpy_helper.from_array(np.float32(number), names[-1]))
        model.graph.node.append(helper.make_node(op, ["inner", *names], [output]))

    return change


def test_the_right_file_passes(proof: Proof, tmp_path: Path) -> None:
    assert proof.of_onnx(onnx_model(proof.lowered, proof.head).save(tmp_path / "net.onnx")).startswith("onnxruntime =")
    assert proof.of_torch(torch_module(proof.lowered)).startswith("torch = numpy within")


@pytest.mark.parametrize(
    ("output", "operator", "operands"),
    [("prob", "Mul", [1.001]), ("cams", "Mul", [1.001]), ("cams", "Relu", []), ("scores", "Add", [0.01])],
)
def test_a_wrong_output_is_refused(
    output: str, operator: str, operands: list[float], proof: Proof, tmp_path: Path
) -> None:
    path = tampered(proof, tmp_path, after(output, operator, *operands))
    with pytest.raises(ConversionError, match=rf"onnxruntime and numpy disagree on blob {output} "):
        proof.of_onnx(path)


def test_nan_is_refused(proof: Proof, tmp_path: Path) -> None:
    """A difference of NaN is not smaller than any tolerance."""
    path = tampered(proof, tmp_path, after("prob", "Mul", float("nan")))
    with pytest.raises(ConversionError, match="disagree on blob prob by inf"):
        proof.of_onnx(path)
    module = torch_module(proof.lowered)
    module.CAM_fc.bias.data[0] = float("nan")
    with pytest.raises(ConversionError, match="torch and numpy disagree"):
        proof.of_torch(module)


def test_another_file_of_the_same_net_is_refused(proof: Proof, tmp_path: Path) -> None:
    other = converters.lower(proof.lowered.net, converters.Synthetic())
    with pytest.raises(ConversionError, match="disagree on blob"):
        proof.of_onnx(onnx_model(other, find_cam_head(other.graph)).save(tmp_path / "net.onnx"))


def test_selections_may_differ_only_if_all_before_them_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other boxes than numpy's pass where the decoded boxes and scores are equal, and only there."""
    proof = Proof(converters.lower(prototxt.load(DETECTION), converters.Synthetic()))
    other = {"out": proof.expected["out"].astype(np.float32)[:, :, :-1]}
    for backend in ("onnxruntime", "torch"):
        assert np.isinf(proof._difference(backend, other))
        assert "up to its selections" in proof._words(backend, "1.0", float("inf"))
    right = proof._again
    monkeypatch.setattr(proof, "_again", lambda *args: {name: x * 1.01 for name, x in right(*args).items()})
    with pytest.raises(ConversionError, match="torch and numpy disagree"):
        proof._difference("torch", other)


def test_an_input_that_overflows_float32_is_not_taken() -> None:
    """exp(x) / Σ exp(x) written out: finite in float64 for any picture, NaN in float32 for one of scale 50."""
    text = (
        'input: "x" input_shape { dim: 1 dim: 40 } layer { type: "Exp" bottom: "x" top: "e" }'
        'layer { type: "Power" bottom: "e" top: "p" power_param { power: -1 } }'
        'layer { type: "Eltwise" bottom: "e" bottom: "p" top: "one" eltwise_param { operation: PROD } }'
    )
    proof = Proof(converters.lower(prototxt.loads(text), converters.Synthetic()))
    assert np.abs(proof.feeds["x"]).max() < 40
    with torch.no_grad():
        assert proof.of_torch(torch_module(proof.lowered)).startswith("torch = numpy within")


@pytest.mark.parametrize("case", ["ROIPooling/basic", "PSROIPooling/g2", "LRN/size3", "LSTM/expose_hidden"])
def test_right_nets_are_not_refused(case: str, tmp_path: Path) -> None:
    """Regions are fed as regions; where noise of a picture's scale is no sensible input, a smaller one is taken."""
    folder = DETECTION.parents[2] / case
    blobs = converters.FileBlobs(weights.read(folder / "weights.caffemodel"))
    proof = Proof(converters.lower(prototxt.load(folder / "net.prototxt"), blobs))
    assert "numpy within" in proof.of_onnx(onnx_model(proof.lowered).save(tmp_path / "net.onnx"))
    assert "numpy within" in proof.of_torch(torch_module(proof.lowered))
