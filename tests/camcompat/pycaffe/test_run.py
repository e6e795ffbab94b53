"""`camcompat run`, the scripts in examples/, and docs/pycaffe.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

import camcompat
import camcompat.pycaffe as caffe
from camcompat.cli import main
from camcompat.conversion.metadata import description
from converters import to_onnx
from weights.models import find

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
EMBEDDED = ROOT / "weights" / "embedded" / "shapes-cam" / "pictures"
PICTURES = [EMBEDDED / name for name in ("05-star.jpg", "06-arrow.jpg", "12-heart.jpg")]
DOCUMENT = (ROOT / "docs" / "pycaffe.md").read_text(encoding="utf-8")


def run(*words: object) -> Result:
    with warnings.catch_warnings():  # the command replaces how they are shown
        return CliRunner().invoke(main, ["run", *map(str, words)])


def example(name: str, *words: object) -> str:
    result = run(ROOT / "examples" / f"{name}.py", *words)
    assert result.exit_code == 0, result.output
    return result.output


# The examples.


def test_classify() -> None:
    lines = example("classify", *PICTURES).splitlines()
    assert len(lines) == 3
    for line, picture in zip(lines, PICTURES):
        name, label, probability = line.split()[:3]
        assert name == picture.name and label == picture.stem.split("-")[1] and float(probability) > 0.5


def test_extract_features(tmp_path: Path) -> None:
    told = example("extract_features", "mix/output", tmp_path / "f.npy", *PICTURES[:2])
    features = np.load(tmp_path / "f.npy")
    assert "of 2 pictures" in told and features.shape == (2, 64 * 12 * 12) and features.std() > 0


def test_filters(tmp_path: Path) -> None:
    example("filters", tmp_path)
    with Image.open(tmp_path / "conv1-filters.png") as picture:
        assert picture.size == (36, 36) and picture.mode == "RGB"
    with Image.open(tmp_path / "conv1-responses.png") as picture:
        assert picture.size == (294, 294)


def test_net_surgery(tmp_path: Path) -> None:
    told = example("net_surgery", tmp_path)
    difference = re.search(r"at 96x96: (\S+)", told)
    assert difference and float(difference[1]) < 1e-6
    assert "at 160x192: (1, 10, 9, 13)" in told
    assert (tmp_path / "fully_convolutional.caffemodel").stat().st_size > 300_000


def test_detect_windows() -> None:
    assert example("detect_windows").splitlines()[0].startswith("star")


def test_define_net(tmp_path: Path) -> None:
    assert "[1. 1.]" in example("define_net", tmp_path)
    assert "digraph" in (tmp_path / "small.dot").read_text()


@pytest.fixture(scope="module")
def cam_model(tmp_path_factory: pytest.TempPathFactory) -> camcompat.Model:
    model = find("shapes-cam")
    path = tmp_path_factory.mktemp("onnx") / "net.onnx"
    to_onnx(model.path("prototxt"), model.path("caffemodel"), path, metadata=description(model))
    return camcompat.load(path)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_cam_script_gives_our_maps(cam_model: camcompat.Model, tmp_path: Path, backend: str) -> None:
    for picture in PICTURES:
        result = run("--backend", backend, ROOT / "examples" / "cam.py", picture, tmp_path / "cam")
        assert result.exit_code == 0, result.output
        ours = cam_model(picture, top=1).cams[0]
        assert np.abs(np.load(tmp_path / "cam.npy") - ours).max() <= 1e-5 * np.abs(ours).max()
        assert picture.stem.split("-")[1] in result.output and (tmp_path / "cam.png").exists()
    caffe.set_backend("")


def test_grad_cam_is_cam_where_the_head_is_linear(tmp_path: Path) -> None:
    """d score / d features is the class's weight over the number of cells, so Grad-CAM is the CAM's positive part."""
    assert "heart" in example("gradcam", PICTURES[2], tmp_path / "g.npz")
    example("cam", PICTURES[2], tmp_path / "cam")
    found = np.load(tmp_path / "g.npz")
    cam = np.maximum(np.load(tmp_path / "cam.npy"), 0) / 144
    assert np.allclose(found["gradcam"], cam, atol=1e-5 * cam.max())
    assert found["saliency"].shape == (96, 96) and found["saliency"].max() > 0


def test_every_example_is_listed_and_tested() -> None:
    listed = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    tests = Path(__file__).read_text(encoding="utf-8")
    assert len(EXAMPLES) >= 6
    for path in EXAMPLES:
        assert f"`{path.name}`" in listed and (f'"{path.stem}"' in tests or path.name in tests)
        source = path.read_text(encoding="utf-8")
        assert "import caffe" in source and "camcompat" not in source


# As python itself.

SCRIPT = """
import os, sys
import neighbour
import caffe
import caffe.io
import caffe.draw, caffe.classifier, caffe.detector, caffe.net_spec, caffe.proto.caffe_pb2
from caffe import layers as L, params as P, to_proto
from caffe.proto import caffe_pb2
from caffe.io import load_image
import google.protobuf.text_format as text_format
print(__name__, __file__, sys.argv, sys.path[0] == os.path.dirname(os.path.abspath(__file__)))
print(sys.modules["__main__"].caffe is caffe, caffe.io.caffe_pb2 is caffe_pb2, neighbour.NAME)
"""


def test_a_script_runs_as_under_python(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    (tmp_path / "neighbour.py").write_text("import caffe\nNAME = caffe.__name__\n")
    result = run(script, "--help", "-x", "a b")
    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()
    assert first == f"__main__ {script} {[str(script), '--help', '-x', 'a b']} True"
    assert second == "True True camcompat.pycaffe"
    sys.modules.pop("neighbour")
    assert "caffe" not in sys.modules and sys.argv[0] != str(script) and str(tmp_path) not in sys.path


@pytest.mark.parametrize(("line", "status"), [("sys.exit(3)", 3), ("sys.exit()", 0), ("1 / 0", 1), ("open('no')", 1)])
def test_exit_status_and_tracebacks(tmp_path: Path, line: str, status: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import sys\n{line}\n")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "camcompat", "run", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    if status == 1:
        assert 'script.py", line 2, in <module>' in done.stderr and "camcompat" not in done.stderr


def test_a_missing_script_is_a_usage_error() -> None:
    assert run("missing.py").exit_code == 2


def test_a_plugin_runs_a_python_layer(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from converters import layer\n\n\n"
        '@layer("Python:pycaffe_run.Twice", replace=True)\n'
        "def twice(ops, view, x):\n    return ops.add(x, x)\n"
    )
    (tmp_path / "net.prototxt").write_text(
        'input: "x" input_shape { dim: 2 } layer { name: "p" type: "Python" bottom: "x" top: "y" '
        'python_param { module: "pycaffe_run" layer: "Twice" } }'
    )
    (tmp_path / "script.py").write_text(
        "import caffe, sys\nnet = caffe.Net(sys.argv[1], caffe.TEST)\nnet.blobs['x'].data[...] = [1, 2]\n"
        "print(net.forward()['y'].tolist())\n"
    )
    result = run("--plugin", tmp_path / "mine.py", tmp_path / "script.py", tmp_path / "net.prototxt")
    assert result.output == "[2.0, 4.0]\n"


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_a_layer_of_ones_own_may_ask_for_its_blobs_in_any_order(tmp_path: Path, backend: str) -> None:
    (tmp_path / "mine.py").write_text(
        "from converters import layer\n\n\n"
        '@layer("PycaffeAffine", replace=True)\n'
        "def affine(ops, view, x):\n"
        '    bias = view.blob(1, x.shape, "bias")\n'
        '    return ops.add(ops.mul(x, view.blob(0, (1,), "weight")), bias)\n'
    )
    text = 'input: "x" input_shape { dim: 2 } layer { name: "a" type: "PycaffeAffine" bottom: "x" top: "y" }'
    (tmp_path / "net.prototxt").write_text(text)
    (tmp_path / "script.py").write_text(
        "import caffe, sys\nnet = caffe.Net(sys.argv[1], caffe.TEST)\nnet.blobs['x'].data[...] = [1, 2]\n"
        "net.params['a'][0].data[...] = 3\nnet.params['a'][1].data[...] = [10, 20]\n"
        "print(net.forward()['y'].tolist(), [blob.shape for blob in net.params['a']])\n"
    )
    words = ["--backend", backend, "--plugin", tmp_path / "mine.py", tmp_path / "script.py", tmp_path / "net.prototxt"]
    assert run(*words).output == "[13.0, 26.0] [(1,), (2,)]\n"
    caffe.set_backend("")


# Without torch, and light.


def test_without_torch_onnxruntime_computes() -> None:
    code = """
import sys
sys.modules["torch"] = None
import camcompat.pycaffe as caffe
from weights.models import find
model = find("shapes-cam")
net = caffe.Net(str(model.path("prototxt")), str(model.path("caffemodel")), caffe.TEST)
print(caffe.backend(), net.forward()["prob"].shape, net.forward(end="conv1")["conv1"].shape)
try:
    net.backward()
except caffe.CaffeError as error:
    print(error)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "CAMCOMPAT_PYCAFFE": ""}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=True)
    first, second = done.stdout.splitlines()
    assert first == "onnx (10, 10) (10, 32, 48, 48)"
    assert "camcompat[torch]" in second


def test_without_protobuf_the_command_names_the_extra(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import caffe\n")
    code = f"""
import sys
sys.modules["google.protobuf"] = sys.modules["google"] = None
from camcompat.cli import main
main(["run", {str(tmp_path / "script.py")!r}])
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and "camcompat[onnx]" in done.stderr and "Traceback" not in done.stderr


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import camcompat.pycaffe, sys; assert not {'torch', 'onnx', 'google.protobuf', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=True)


@pytest.mark.parametrize(
    "name",
    ["proto.caffe_pb2.TEST", "io.caffe_pb2.Datum", "io.Transformer", "draw.draw_net", "net_spec.Top", "pycaffe.Net"],
)
def test_submodules_need_no_import_of_their_own(name: str) -> None:
    code = f"import camcompat.pycaffe as caffe; caffe.{name}"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=True)


# The document.


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_the_examples_of_the_document_run(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = find("shapes-cam")
    for name, source in [("deploy.prototxt", model.path("prototxt")), ("net.caffemodel", model.path("caffemodel"))]:
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    (tmp_path / "picture.jpg").write_bytes(PICTURES[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[number], f"docs/pycaffe.md, block {number}", "exec"), {"__name__": "document"})


def test_the_command_of_the_document_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "script.py").write_text("import caffe, sys\nprint(caffe.io.load_image(sys.argv[1]).shape)\n")
    (tmp_path / "picture.jpg").write_bytes(PICTURES[0].read_bytes())
    monkeypatch.chdir(tmp_path)
    (line,) = blocks("sh")[0].splitlines()
    result = CliRunner().invoke(main, line.split()[1:])
    assert result.output == "(128, 128, 3)\n"


def test_the_table_names_all_that_is_public() -> None:
    rows = [line for line in DOCUMENT.splitlines() if line.startswith(("| `", "| data"))]
    states = {line.split("|")[2].strip() for line in DOCUMENT.splitlines() if line.startswith("| ")}
    assert states == {"here", "offered", "differs", "not offered", "ours"} and len(rows) >= 40
    silent = {"AdaDeltaSolver", "AdaGradSolver", "NesterovSolver", "RMSPropSolver", "Blob", "BlobVec"}  # "…", blob.data
    for name in set(caffe.__all__) - silent:
        assert re.search(rf"`[^`]*\b{name}\b[^`]*`", DOCUMENT), name
    for name in caffe.io.__all__:
        assert name in DOCUMENT, name
    for name in ("Net", "Classifier", "Detector"):
        public = [key for key in vars(getattr(caffe, name)) if not key.startswith("_")]
        missing = [key for key in public if key not in DOCUMENT and key not in ("configure_crop", "crop")]
        assert not missing
