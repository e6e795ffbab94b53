"""Verification finds what is wrong, says where, and passes what is right."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, numpy_helper

import converters
import prototxt
from camcompat.cli import main
from camcompat.verification import Report, verify, write_report
from camcompat.verification.oracles import peers as peer_programs
from converters.layers.registry import find_layer, layer
from weights.models import find

DATA = Path(__file__).resolve().parents[2] / "data"
MODEL = find("shapes-cam")
FILES = (MODEL.path("prototxt"), MODEL.path("caffemodel"))
ALONE, WHOLE, BLOBS = "each layer alone, in float64", "the whole net, in float64", "the caffemodel's blobs, bit for bit"


def result(report: Report, name: str):
    return next(each for each in report.oracles if each.name == name)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the references beside a checkout: what is tested here works in a fresh clone."""
    monkeypatch.setenv("CAMCOMPAT_SHARED", str(tmp_path / "nothing"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return converters.to_onnx(*FILES, tmp_path_factory.mktemp("verified") / "shapes-cam.onnx")


@pytest.fixture(scope="module")
def good(file: Path) -> Report:
    return verify(*FILES, file, expected=[DATA / "shapes-cam.npz"], name="shapes-cam")


def changed(file: Path, target: Path, name: str, change) -> Path:
    """The file with one tensor replaced."""
    model = onnx.load(file)
    tensor = next(each for each in model.graph.initializer if each.name.startswith(name) and len(each.dims) == 4)
    array = numpy_helper.to_array(tensor).copy()
    change(array)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    onnx.save(model, target)
    return target


def test_a_right_file_is_exact_by_every_oracle(good: Report) -> None:
    assert good.ok and good.verdict.startswith("Exact")
    ran = {each.name: each for each in good.oracles if each.ran}
    assert {"Caffe's stored outputs", ALONE, WHOLE, "torch", BLOBS} <= set(ran)
    assert all(each.status == "agrees" for each in ran.values())
    assert all(each.reason for each in good.oracles if not each.ran)
    stored = ran["Caffe's stored outputs"]
    assert {"CAM_conv", "CAM_fc", "prob"} <= {blob.blob for blob in stored.blobs}
    assert all(0 < blob.relative <= blob.tolerance and blob.cosine > 0.999999 for blob in stored.blobs)
    assert stored.maps is not None and stored.maps.ok and stored.maps.rank > 0.9999 and stored.maps.iou == 1.0
    hashes = good.provenance["caffemodel"]["sha256"], good.provenance["prototxt"]["sha256"]
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in hashes)
    assert good.provenance["onnx"]["made from this caffemodel"] is True


def test_a_damaged_weight_is_found_and_located(file: Path, tmp_path: Path) -> None:
    """One value of one tensor: every oracle says so, and names the layer."""

    def damage(array: np.ndarray) -> None:
        array[3, 1, 0, 2] += 0.2 * np.abs(array).max()

    report = verify(*FILES, changed(file, tmp_path / "damaged.onnx", "conv3", damage))
    assert not report.ok and "conv3" in report.verdict
    for name in (ALONE, WHOLE, "torch", BLOBS):
        each = result(report, name)
        assert each.status == "differs" and each.finding is not None and each.finding.layer == "conv3", name
    assert result(report, ALONE).finding.inputs["pool2"].startswith("1x64x12x12, ")
    assert "[3, 1, 0, 2]" in result(report, BLOBS).finding.words
    later = [blob.blob for blob in result(report, WHOLE).blobs if not blob.ok]
    assert len(later) > 3  # all behind it is wrong too, and the finding is not misled by that
    assert next(blob.layer for blob in result(report, ALONE).blobs if not blob.ok).startswith("conv3")


def test_damage_below_every_tolerance_is_found_in_the_stored_numbers(file: Path, tmp_path: Path) -> None:
    def damage(array: np.ndarray) -> None:
        array[3, 1, 0, 2] = np.nextafter(array[3, 1, 0, 2], np.float32(9)) + np.float32(2e-6) * np.abs(array).max()

    report = verify(*FILES, changed(file, tmp_path / "damaged.onnx", "conv3", damage))
    assert result(report, WHOLE).status == "agrees"
    assert result(report, BLOBS).finding.layer == "conv3" and not report.ok


def test_a_wrong_operator_in_the_file_is_located(file: Path, tmp_path: Path) -> None:
    """An average pooling in the place of the second maximum pooling."""
    model = onnx.load(file)
    node = next(each for each in model.graph.node if "pool2" in each.output)
    kept = [each for each in node.attribute if each.name in ("kernel_shape", "strides", "pads")]
    wrong = helper.make_node("AveragePool", [node.input[0]], list(node.output), name="pool2", count_include_pad=1)
    wrong.attribute.extend(kept)
    node.CopyFrom(wrong)
    onnx.save(model, tmp_path / "wrong.onnx")
    report = verify(*FILES, tmp_path / "wrong.onnx")
    for name in (ALONE, WHOLE, "torch"):
        assert result(report, name).finding.layer == "pool2", name
    assert result(report, BLOBS).status == "agrees"


NET = """
name: "four" input: "data" input_shape { dim: 1 dim: 3 dim: 13 dim: 11 }
layer { name: "one" type: "Convolution" bottom: "data" top: "one"
  convolution_param { num_output: 8 kernel_size: 3 pad: 1 } }
layer { name: "middle" type: "Pooling" bottom: "one" top: "middle"
  pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "two" type: "Convolution" bottom: "middle" top: "two" convolution_param { num_output: 8 kernel_size: 3 } }
layer { name: "last" type: "ReLU" bottom: "two" top: "last" }
"""


@pytest.fixture
def wrong_pooling(monkeypatch: pytest.MonkeyPatch):
    """A pooling rule that leaves the padding out of the average, as several converters have it."""
    right, registry = find_layer("Pooling"), converters.layers.registry._REGISTRY
    monkeypatch.setattr(converters.layers.registry, "_REGISTRY", dict(registry))

    @layer("Pooling", tops=(1, 2), replace=True)
    def pooling(ops, view, x):
        plain = ops.avg_pool

        def without_padding(value, **attributes):
            return plain(value, **{**attributes, "count_pads": False})

        ops.avg_pool = without_padding
        try:
            return right.function(ops, view, x)
        finally:
            del ops.avg_pool


def _need_opencv4() -> None:
    if not hasattr(pytest.importorskip("cv2").dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV reads no Caffe nets")


def test_a_wrong_pooling_rule_is_located_by_another_program(wrong_pooling: None, tmp_path: Path) -> None:
    """The rule is wrong in all of our forms, float64 too: only an oracle of its own can tell."""
    _need_opencv4()
    path = tmp_path / "four.prototxt"
    path.write_text(NET)
    report = verify(path, converters.Synthetic())
    found = result(report, "OpenCV 4")
    assert result(report, ALONE).status == "agrees"  # the file does what our rule says
    assert found.status == "differs" and found.finding.layer == "middle" and found.finding.type == "Pooling"
    assert {blob.layer for blob in found.blobs if blob.ok} == {"one"}
    assert not report.ok and "middle" in report.verdict


def test_a_wrong_pooling_rule_is_located_by_caffes_outputs(wrong_pooling: None) -> None:
    case = DATA / "conformance" / "Pooling" / "ave_k3s1_pad1"
    report = verify(case / "net.prototxt", case / "weights.caffemodel")
    found = result(report, "Caffe's stored outputs")
    assert found.status == "differs" and found.finding.type == "Pooling"
    assert found.version == "io.npz"


def test_the_right_pooling_rule_agrees(tmp_path: Path) -> None:
    _need_opencv4()
    path = tmp_path / "four.prototxt"
    path.write_text(NET)
    report = verify(path, converters.Synthetic())
    assert report.ok and result(report, "OpenCV 4").status == "agrees"


def test_opencvs_lrn_is_explained_by_caffes_outputs() -> None:
    """OpenCV ignores k of LRN; Caffe's stored outputs say who is right."""
    _need_opencv4()
    case = next(
        path.parent
        for path in sorted((DATA / "conformance" / "LRN").glob("*/net.prototxt"))
        if " k: 2" in path.read_text()
    )
    report = verify(case / "net.prototxt", case / "weights.caffemodel")
    found = result(report, "OpenCV 4")
    assert report.ok and found.status == "explained" and found.finding.type == "LRN"
    assert "OpenCV ignores k of LRN" in found.reason and "Caffe's stored outputs agree with ours" in found.reason


PYCAFFE = """
import os
import numpy as np
__version__ = "1.0.0"
TEST = 1
class Blob:
    def __init__(self):
        self.data = np.zeros(1, np.float32)
    def reshape(self, *shape):
        self.data = np.zeros(shape, np.float32)
class Net:
    def __init__(self, prototxt, caffemodel, phase):
        assert os.path.getsize(prototxt) and os.path.getsize(caffemodel)
        self.blobs = {name: Blob() for name in ("data", "one", "last")}
    def forward(self):
        FORWARD
"""


@pytest.mark.parametrize(
    ("forward", "status", "told"),
    [
        ("self.blobs['one'].data = np.ones((1, 8, 13, 11), np.float32)", "differs", "one"),
        (
            "os.write(2, b'F0101 net.cpp:77] Check failed: it aborts\\n'); os.abort()",
            "not run",
            "Check failed: it aborts",
        ),
    ],
)
def test_pycaffe_is_asked_in_a_process_of_its_own(
    forward: str, status: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the module: one that computes something else, and one that aborts as Caffe does."""
    (tmp_path / "caffe.py").write_text(PYCAFFE.replace("FORWARD", forward))
    (tmp_path / "four.prototxt").write_text(NET)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peer_programs.installed.cache_clear()
    try:
        report = verify(tmp_path / "four.prototxt", converters.Synthetic())
    finally:
        peer_programs.installed.cache_clear()
    found = result(report, "pycaffe")
    assert found.status == status and found.version == ("1.0.0" if status == "differs" else "")
    assert told in (found.finding.layer if found.finding else found.reason)


class Tags(HTMLParser):
    """Every tag of a page, and those that are never closed; attributes that load or run something are refused."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            assert name not in ("src", "href") or (value or "").startswith("data:image/png;base64,"), (tag, value)
        if tag not in ("meta", "br", "img", "line", "polyline"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag


HOSTILE = '</title><script>alert(1)</script><img src=x onerror="alert(2)">'


def test_the_page_is_whole_and_escapes_what_files_say(tmp_path: Path) -> None:
    text = NET.replace('name: "four"', f"name: '{HOSTILE}'").replace('"two"', f"'{HOSTILE}'")
    report = verify(prototxt.loads(text), converters.Synthetic())
    assert report.name == HOSTILE and report.ok
    data, page = write_report(report, tmp_path)
    assert data.parent == page.parent == tmp_path
    html = page.read_text("utf-8")
    tags = Tags()
    tags.feed(html)
    assert "&lt;script&gt;" in html and tags.open == []
    assert tags.seen["svg"] == 1 and not {"script", "link", "iframe", "object"} & set(tags.seen)
    assert not re.search(r"url\(|@import|https?://", html)
    assert json.loads(data.read_text("utf-8"))["ok"] is True


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["verify", *map(str, words)])
    return done.exit_code, done.output


def test_the_command_writes_reports_and_fails_where_something_differs(file: Path, tmp_path: Path) -> None:
    code, output = run(file, *FILES, "--expected", DATA / "shapes-cam.npz", "--out", tmp_path / "reports")
    assert code == 0 and "shapes-cam: Exact: " in output
    assert {path.name for path in (tmp_path / "reports").iterdir()} == {"shapes-cam.json", "shapes-cam.html"}

    def damage(array: np.ndarray) -> None:
        array *= 1.01

    bad = changed(file, tmp_path / "bad.onnx", "conv1", damage)
    code, output = run(bad, *FILES, "--out", tmp_path / "reports")
    assert code == 1 and "bad: Not exact" in output and "conv1" in output
    assert json.loads((tmp_path / "reports" / "bad.json").read_text())["ok"] is False


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nothing.onnx"], "no such file"),
        ([], "name what to verify"),
        (["--all", "shapes-cam"], "name what to verify"),
        (["googlenet-cam-imagenet"], "its weights are not here"),
        ([FILES[0]], "the weights are missing"),
    ],
)
def test_wrong_words_are_one_line(
    words: Sequence[object], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path))
    code, output = run(*words, "--out", tmp_path / "reports")
    assert code != 0 and told in output and "Traceback" not in output
    assert not (tmp_path / "reports").exists()


def test_an_onnx_file_of_another_net_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "four.prototxt").write_text(NET.replace('"data"', '"picture"'))
    with pytest.raises(prototxt.CamcompatError, match="it has no input picture"):
        verify(tmp_path / "four.prototxt", converters.Synthetic(), file)
