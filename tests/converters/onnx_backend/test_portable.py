"""Portable files: what runtimes other than onnxruntime read, with Caffe's numbers; OpenCV's importer as the witness."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import parity
import pytest
from click.testing import CliRunner
from conformance_cases import CASES, load_case, tolerance
from onnx import TensorProto
from PIL import Image

import converters
import prototxt
from camcompat.cli import main
from camcompat.conversion.converter import convert
from camcompat.verification import verify
from weights.models import find

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT / "tests" / "data"
MODEL = find("shapes-cam")
SOURCES = (MODEL.path("prototxt"), MODEL.path("caffemodel"))


@CASES
def test_blobs_are_caffes(case: Path, tmp_path: Path) -> None:
    inputs, wanted = load_case(case)
    found = parity.run(
        "onnx", case / "net.prototxt", case / "weights.caffemodel", inputs, list(wanted), tmp_path, portable=True
    )
    for name, caffe in wanted.items():
        assert parity.error(np.asarray(found[name]), caffe) <= tolerance(case), name


@CASES
def test_valid_and_without_float64(case: Path, tmp_path: Path) -> None:
    if case.parent.name == "PSROIPooling":
        pytest.skip("its sums over rectangles need float64")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        path = converters.to_onnx(
            case / "net.prototxt", case / "weights.caffemodel", tmp_path / "net.onnx", portable=True
        )
    onnx.checker.check_model(str(path), full_check=True)
    graph = onnx.load(path).graph
    casts = [attribute.i for node in graph.node if node.op_type == "Cast" for attribute in node.attribute]
    assert TensorProto.DOUBLE not in casts
    assert TensorProto.DOUBLE not in [tensor.data_type for tensor in graph.initializer]


def _net(body: str) -> prototxt.Net:
    return prototxt.loads(f'input: "data" input_shape {{ dim: 1 dim: 3 dim: 7 dim: 6 }} layer {{ {body} }}')


TOP = 'bottom: "data" top: "y" name: "layer" type:'
FAULTS = {
    "pads of a 1x1 convolution": f'{TOP} "Convolution" convolution_param {{ num_output: 4 kernel_size: 1 pad: 1 }}',
    "pads that an average counts": f'{TOP} "Pooling" pooling_param {{ pool: AVE kernel_size: 3 pad: 1 stride: 2 }}',
    "TanH of large values": f'{TOP} "TanH"',
    "InnerProduct": f'{TOP} "InnerProduct" inner_product_param {{ num_output: 5 }}',
}


@pytest.mark.parametrize("fault", FAULTS)
def test_opencv_computes_our_numbers(fault: str, tmp_path: Path) -> None:
    """What OpenCV 4 or 5 got wrong in the form that onnxruntime is given."""
    cv2 = pytest.importorskip("cv2")
    net, x = _net(FAULTS[fault]), (np.random.default_rng(0).standard_normal((1, 3, 7, 6)) * 200).astype(np.float32)
    path = converters.to_onnx(net, converters.Synthetic(), tmp_path / "net.onnx", portable=True)
    reader = cv2.dnn.readNetFromONNX(str(path))
    reader.setInput(x, "data")
    exact = converters.to_numpy(net, converters.Synthetic())(x)
    assert parity.error(reader.forward("y").reshape(exact.shape), exact) <= parity.SINGLE


@pytest.mark.parametrize("cam", [None, True])
def test_opencv_runs_the_whole_net_and_its_maps(cam: bool | None, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = converters.to_onnx(*SOURCES, tmp_path / "net.onnx", portable=True, cam=cam)
    outputs = ["prob", "scores", "classes", "cams"] if cam else ["prob"]
    x = np.load(DATA / "shapes-cam.npz")["data"][:1]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [entry.name for entry in session.get_outputs()] == outputs
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(x, "data")
    for name, found, ours in zip(outputs, net.forward(outputs), session.run(outputs, {"data": x})):
        assert parity.error(found, ours) <= parity.WHOLE, name


def test_the_page_for_opencvs_users(tmp_path: Path) -> None:
    """The commands of docs/opencv.md, and the programs after them."""
    pytest.importorskip("cv2")
    page = (ROOT / "docs" / "opencv.md").read_text(encoding="utf-8")
    parts = re.findall(r"^```(sh|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in parts] == ["sh", "python", "sh", "python"]
    for name, source in zip(("deploy.prototxt", "net.caffemodel"), SOURCES):
        (tmp_path / name).write_bytes(source.read_bytes())
    Image.open(sorted((MODEL.folder / "pictures").glob("*.jpg"))[0]).save(tmp_path / "picture.jpg")
    for language, text in parts:
        command = [sys.executable, "-m", *text.split()] if language == "sh" else [sys.executable, "-c", text]
        done = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


def test_a_portable_file_is_verified(tmp_path: Path) -> None:
    path = converters.to_onnx(*SOURCES, tmp_path / "net.onnx", portable=True)
    report = verify(*SOURCES, path)
    assert report.ok, report.verdict


def test_a_portable_file_has_a_name_of_its_own(tmp_path: Path) -> None:
    """It has no maps: in the place of the model's file, `camcompat cam` would find none."""
    for options in ([], ["--portable"], ["--portable", "--dtype", "fp16"]):
        done = CliRunner().invoke(
            main, ["convert", *map(str, SOURCES), "--to", "onnx", "--out", str(tmp_path), *options]
        )
        assert done.exit_code == 0, done.output
    assert CliRunner().invoke(main, ["convert", "shapes-cam", "--portable", "--out", str(tmp_path)]).exit_code == 0
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"shapes-cam.onnx", "shapes-cam-portable.onnx", "shapes-cam-portable-fp16.onnx"}


def test_portable_and_dense_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(prototxt.CamcompatError, match="a dense file is made for onnxruntime"):
        convert(*SOURCES, tmp_path / "out", portable=True, dense=True)
    assert not list(tmp_path.iterdir())


def test_portable_and_winograd_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(prototxt.CamcompatError, match="a portable file has no Winograd's form"):
        converters.to_onnx(*SOURCES, tmp_path / "net.onnx", portable=True, winograd=True)
    assert not list(tmp_path.iterdir())
