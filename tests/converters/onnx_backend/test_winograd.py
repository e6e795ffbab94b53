"""Convolutions in Winograd's form: the numbers of a direct convolution, where it pays, and nowhere else."""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import parity
import pytest
from conformance_cases import cases, load_case
from onnx import numpy_helper

import converters
import prototxt
from camcompat.verification import verify
from converters.onnx_backend import winograd as onnx_winograd
from weights.models import find

MODEL = find("shapes-cam")


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the form computes a convolution at all, however small."""
    for name in ("TRANSFORM", "LEAST_GAIN"):
        monkeypatch.setattr(onnx_winograd, name, -1e9)
    monkeypatch.setattr(onnx_winograd, "BLOCK", 1)


def net(parameters: str, channels: int = 4, height: int = 9, width: int = 7) -> prototxt.Net:
    shape = f"dim: 2 dim: {channels} dim: {height} dim: {width}"
    return prototxt.loads(f"""input: "x" input_shape {{ {shape} }}
        layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{ {parameters} }} }}""")


run = partial(parity.run, "onnx", winograd=True)


def transformed(path: Path) -> list[str]:
    """The layers that a file computes in this form, as it says itself."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return list(json.loads(session.get_modelmeta().custom_metadata_map["camcompat"]).get("winograd", []))


def test_the_matrices_are_minimal_filtering() -> None:
    """Every filter and every tile, by linearity: y = A [(G g) · (B d)] is the correlation of d with g."""
    for count, taps in product(onnx_winograd.POINTS, onnx_winograd.TAPS):
        rows = count - taps + 1
        if rows < 2:
            continue
        a, b, g = onnx_winograd.matrices(rows, taps)
        for filter_ in np.eye(taps):
            for tile in np.eye(count):
                y = a @ ((g @ filter_) * (b @ tile))
                np.testing.assert_allclose(y, np.correlate(tile, filter_), atol=1e-14)
        assert a[:, onnx_winograd.BIAS_POINT].tolist() == [1] * rows
        for exact in (a, b):
            assert np.array_equal(exact, exact.astype(np.float32))


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("height", [1, 3, 4, 5, 6, 8, 13, 14, 17])
@pytest.mark.parametrize(
    "parameters",
    [
        "num_output: 6 kernel_size: 3 pad: 1",
        "num_output: 6 kernel_size: 3 pad: 1 group: 2 bias_term: false",
        "num_output: 3 kernel_h: 3 kernel_w: 1 pad_h: 2 pad_w: 0",
        "num_output: 5 kernel_h: 3 kernel_w: 5 pad_h: 5 pad_w: 1 stride_h: 1 stride_w: 2",
        "num_output: 5 kernel_size: 3 pad_h: 1 pad_w: 2 dilation: 1 dilation: 3",
        "num_output: 4 kernel_size: 3 pad: 3 group: 4",
        "num_output: 6 kernel_size: 5 pad: 2 group: 2",
        "num_output: 5 kernel_h: 5 kernel_w: 3 pad_h: 4 pad_w: 0 bias_term: false",
        "num_output: 6 kernel_size: 7 pad: 3",
        "num_output: 5 kernel_h: 7 kernel_w: 1 pad_h: 6 pad_w: 2",
    ],
)
def test_the_numbers_are_the_convolutions(parameters: str, height: int, tmp_path: Path) -> None:
    definition = net(parameters, height=height)
    path = converters.to_onnx(definition, converters.Synthetic(), tmp_path / "net.onnx", winograd=True)
    assert transformed(path) == ["c"]
    for batch in (2, 5):  # (the file is for any)
        x = np.random.RandomState(batch).standard_normal((batch, 4, height, 7)).astype(np.float32)
        exact = parity.run("numpy", definition, converters.Synthetic(), [x], ["c"], tmp_path)["c"]
        found = run(definition, converters.Synthetic(), [x], ["c"], tmp_path)["c"]
        assert parity.error(found, exact) <= parity.SINGLE


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("height", [3, 4, 6, 7, 8, 10, 15, 19])
def test_without_padding(height: int, kernel: int, tmp_path: Path) -> None:
    height += kernel - 3
    definition = net(f"num_output: 6 kernel_size: {kernel}", height=height)
    x = np.random.RandomState(1).standard_normal((2, 4, height, 7)).astype(np.float32)
    exact = parity.run("numpy", definition, converters.Synthetic(), [x], ["c"], tmp_path)["c"]
    found = run(definition, converters.Synthetic(), [x], ["c"], tmp_path)["c"]
    assert transformed(tmp_path / "net.onnx") == ["c"]
    assert parity.error(found, exact) <= parity.SINGLE


@pytest.mark.parametrize(
    ("channels", "height", "kernel"), [(64, 56, 3), (128, 35, 3), (512, 28, 3), (512, 14, 3), (96, 28, 5), (128, 30, 7)]
)
def test_long_sums_stay_within_the_tolerance_of_one_layer(
    channels: int, height: int, kernel: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_winograd, "LEAST_RATIO", 1)  # (64 channels are at the border)
    monkeypatch.setattr(onnx_winograd, "LEAST_GAIN", 0)
    definition = net(f"num_output: 64 kernel_size: {kernel} pad: {kernel // 2}", channels, height, height)
    x = np.random.RandomState(3).standard_normal((1, channels, height, height)).astype(np.float32)
    for data in (x, np.maximum(x, 0)):
        exact = parity.run("numpy", definition, converters.Synthetic(), [data], ["c"], tmp_path)["c"]
        found = run(definition, converters.Synthetic(), [data], ["c"], tmp_path)["c"]
        assert transformed(tmp_path / "net.onnx") == ["c"]
        assert parity.error(found, exact) <= parity.SINGLE


@pytest.mark.usefixtures("everywhere")
def test_caffes_own_outputs(tmp_path: Path) -> None:
    """Every conformance net that has such a convolution, with the form at each of them."""
    seen = set()
    for case in cases():
        if "Convolution" not in (case / "net.prototxt").read_text():
            continue
        inputs, wanted = load_case(case)
        found = run(case / "net.prototxt", case / "weights.caffemodel", inputs, list(wanted), tmp_path)
        if transformed(tmp_path / "net.onnx"):
            seen.add(case.name)
            for name, caffe in wanted.items():
                assert parity.error(np.asarray(found[name]), caffe) <= parity.SINGLE, (case, name)
    assert len(seen) >= 4, seen


def test_the_file_keeps_caffes_weights(tmp_path: Path) -> None:
    definition = net("num_output: 128 kernel_size: 3 pad: 1", channels=128, height=56, width=56)
    path = converters.to_onnx(definition, converters.Synthetic(), tmp_path / "net.onnx", winograd=True)
    assert transformed(path) == ["c"]
    stored = {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}
    for node in converters.lower(definition, converters.Synthetic()).graph.nodes:
        for operand in node.inputs[1:]:
            assert operand is not None and operand.data is not None
            assert stored[f"c.{operand.name}"].tobytes() == operand.data.tobytes()
    plain = converters.to_onnx(definition, converters.Synthetic(), tmp_path / "plain.onnx")
    assert not transformed(plain)
    assert [node.op_type for node in onnx.load(plain).graph.node] == ["Conv"]


@pytest.mark.parametrize(
    ("parameters", "channels", "height"),
    [
        ("num_output: 256 kernel_size: 3 pad: 1 stride: 2", 256, 56),
        ("num_output: 256 kernel_size: 3 pad: 2 dilation: 2", 256, 56),
        ("num_output: 256 kernel_size: 1", 256, 56),
        ("num_output: 256 kernel_size: 9 pad: 4", 256, 56),
        ("num_output: 256 kernel_size: 4 pad: 2", 256, 56),
        ("num_output: 256 kernel_size: 3 pad: 1 group: 256", 256, 56),
        ("num_output: 256 kernel_size: 3 pad: 1", 24, 56),
        ("num_output: 32 kernel_size: 3 pad: 1", 32, 224),
        ("num_output: 64 kernel_size: 3 pad: 1", 64, 7),
    ],
)
def test_what_it_does_not_compute_or_not_faster_stays_a_convolution(
    parameters: str, channels: int, height: int, tmp_path: Path
) -> None:
    definition = net(parameters, channels, height, height)
    path = converters.to_onnx(definition, converters.Synthetic(), tmp_path / "net.onnx", winograd=True)
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Conv"]


@pytest.mark.usefixtures("everywhere")
def test_only_files_with_maps_have_it_unasked(tmp_path: Path) -> None:
    files = (MODEL.path("prototxt"), MODEL.path("caffemodel"))
    for options, expected in (
        ({}, True),
        ({"cam": False}, False),
        ({"outputs": ["CAM_conv"]}, False),
        ({"winograd": False}, False),
        ({"cam": False, "winograd": True}, True),
    ):
        assert bool(transformed(converters.to_onnx(*files, tmp_path / "net.onnx", **options))) is expected, options


@pytest.mark.usefixtures("everywhere")
def test_a_whole_net_verifies_and_a_damaged_weight_is_located(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_SHARED", str(tmp_path / "nothing"))
    files = (MODEL.path("prototxt"), MODEL.path("caffemodel"))
    path = converters.to_onnx(*files, tmp_path / "net.onnx")
    layers = transformed(path)
    assert len(layers) >= 2
    stored = Path(__file__).resolve().parents[2] / "data" / "shapes-cam.npz"
    assert verify(*files, path, expected=[stored]).ok
    model = onnx.load(path)
    tensor = next(each for each in model.graph.initializer if each.name == f"{layers[-1]}.weight")
    array = numpy_helper.to_array(tensor).copy()
    array[0, 0, 1, 1] += 1
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, tmp_path / "damaged.onnx")
    report = verify(*files, tmp_path / "damaged.onnx", expected=[stored])
    assert not report.ok
    found = next(each for each in report.oracles if each.name.startswith("each layer alone"))
    assert found.finding is not None and found.finding.layer == layers[-1].split("+")[0]
