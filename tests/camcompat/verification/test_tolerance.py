"""Files of smaller numbers, and what Caffe itself rounds: what may differ, and what may not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import converters
import prototxt
from camcompat.conversion.converter import convert
from camcompat.verification import Report, verify
from weights.models import find

MODEL = find("shapes-cam")
FILES = (MODEL.path("prototxt"), MODEL.path("caffemodel"))
STORED = Path(__file__).resolve().parents[2] / "data" / "shapes-cam.npz"
BLOBS = "the caffemodel's blobs, bit for bit"

NET = prototxt.loads("""input: "x" input_shape { dim: 1 dim: 4 dim: 6 dim: 6 }
    layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 3 kernel_size: 3 } }
    layer { name: "d" type: "Convolution" bottom: "c" top: "d" convolution_param { num_output: 3 kernel_size: 3 } }""")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAMCOMPAT_SHARED", str(tmp_path / "nothing"))


@pytest.fixture(scope="module", params=["fp16", "int8"])
def reduced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = FILES[0].parent / "pictures"
    folder = tmp_path_factory.mktemp(request.param)
    (made,) = convert(*FILES, folder, formats=["onnx"], dtype=request.param, calibrate=pictures, name=request.param)
    return made.path


def test_a_reduced_file_is_judged_as_one(reduced: Path) -> None:
    report = verify(*FILES, reduced, expected=[STORED])
    assert report.ok, report.verdict
    assert report.verdict.startswith(f"Reduced to {reduced.stem}, within what that costs")
    assert report.as_dict()["dtype"] == reduced.stem
    worst = max(each.worst.relative for each in report.oracles if each.worst)
    assert worst > 1e-5  # as float32, it would not pass


def test_a_damaged_reduced_file_is_found(reduced: Path, tmp_path: Path) -> None:
    model = onnx.load(reduced)
    tensor = next(
        each for each in model.graph.initializer if each.name.startswith("CAM_conv") and len(each.dims) == 4
    )  # fmt: skip
    array = numpy_helper.to_array(tensor).copy()
    array[:2] = -array[:2]
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, tmp_path / "damaged.onnx")
    report = verify(*FILES, tmp_path / "damaged.onnx", expected=[STORED])
    assert not report.ok and report.verdict.startswith("Not exact")
    assert report.oracles[0].finding is not None and report.oracles[0].finding.layer.startswith("CAM_conv")


def test_float16_weights_are_the_rounded_ones(reduced: Path, tmp_path: Path) -> None:
    if reduced.stem != "fp16":
        pytest.skip("about fp16")
    model = onnx.load(reduced)
    tensor = next(each for each in model.graph.initializer if each.name.endswith(".float16"))
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = np.float16(array.flat[0]) * np.float16(1.01) + np.float16(0.01)  # too little for the blobs' limits
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, tmp_path / "damaged.onnx")
    report = verify(*FILES, tmp_path / "damaged.onnx", expected=[STORED])
    bits = next(each for each in report.oracles if each.name == BLOBS)
    assert bits.status == "differs" and not report.ok


def stored_by_caffe(folder: Path, error: float) -> Report:
    """A report on a net of which Caffe's output is stored in part, `error` of its maximum off the exact one."""
    x = np.random.RandomState(0).standard_normal((1, 4, 6, 6)).astype(np.float32)
    exact = converters.to_numpy(NET, converters.Synthetic(), outputs=["d"])(x)
    exact = exact["d"] if isinstance(exact, dict) else exact
    stored = exact.reshape(-1)[::2].copy()
    stored[0] += error * np.abs(exact).max()
    np.savez(folder / "io.npz", **{"in/x": x, "out/d": stored, "stride/d": 2, "dims/d": exact.shape})
    return verify(NET, converters.Synthetic(), expected=[folder / "io.npz"])


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (0.0, "agrees", ""),
        (8e-6, "explained", "Caffe's own rounding: d as stored is"),
        (2e-5, "differs", "d (Convolution) is the first beyond tolerance"),
    ],
)
def test_caffes_own_rounding_is_told_from_a_difference(error: float, status: str, words: str, tmp_path: Path) -> None:
    result = stored_by_caffe(tmp_path, error).oracles[0]
    assert result.name == "Caffe's stored outputs" and result.status == status
    told = result.reason if status == "explained" else result.finding.words if result.finding else ""
    assert words in told


def test_what_float64_does_not_prove_is_no_rounding_of_caffes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the float64 evaluation is too large to be made, nobody can say whose rounding it is."""
    from camcompat.verification.subject import Subject

    monkeypatch.setattr(Subject, "cheap", False)
    assert stored_by_caffe(tmp_path, 8e-6).oracles[0].status == "differs"
