"""Every artefact says where it comes from, and the same sources give the same bytes."""

from __future__ import annotations

import ast
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import converters
import prototxt
import weights
from camcompat.cli import main
from camcompat.conversion.converter import convert
from camcompat.conversion.inspection import inspect_onnx
from camcompat.conversion.metadata import description
from converters.provenance import digest_ahead, provenance
from weights.models import find

ROOT = Path(__file__).resolve().parents[3]
MODEL = find("shapes-cam")
FILES = (MODEL.path("prototxt"), MODEL.path("caffemodel"))
HASHES = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FILES}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    convert(*FILES, folder, name="net", metadata=description(MODEL))
    return folder


def said(path: Path) -> dict:
    (entry,) = onnx.load(path).metadata_props
    assert entry.key == "camcompat"
    return json.loads(entry.value)


def check(entry: dict, package: str) -> None:
    for kind, path in zip(("prototxt", "caffemodel"), FILES):
        assert entry[kind]["file"] == path.name and entry[kind]["sha256"] == HASHES[path.name]
    assert {"camcompat", "python", "numpy", package} == set(entry["versions"])
    assert 0 < entry["verification"]["largest_difference"] <= entry["verification"]["tolerance"] == 1e-5
    assert str(ROOT) not in json.dumps(entry)


def test_the_onnx_file_says_where_it_comes_from_and_what_was_measured(made: Path) -> None:
    check(said(made / "net.onnx")["provenance"], "onnx")
    onnx.checker.check_model(str(made / "net.onnx"))


def test_the_weights_and_the_python_source_say_so_too(made: Path) -> None:
    from safetensors import safe_open

    with safe_open(made / "net.safetensors", "pt") as file:
        check(json.loads(file.metadata()["camcompat"])["provenance"], "torch")
    docstring = ast.get_docstring(ast.parse((made / "net.py").read_text()))
    assert docstring is not None and all(digest in docstring for digest in HASHES.values())


def test_the_same_sources_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    convert(*FILES, tmp_path / "elsewhere", name="net", metadata=description(MODEL))
    for path in sorted(made.iterdir()):
        assert path.read_bytes() == (tmp_path / "elsewhere" / path.name).read_bytes(), path.name


def test_to_onnx_notes_its_options_and_no_check(tmp_path: Path) -> None:
    path = converters.to_onnx(*FILES, tmp_path / "a.onnx", outputs=["pool2"], input_shapes={"data": (1, 3, 64, 64)})
    entry = said(path)["provenance"]
    assert entry["options"] == {"input_shapes": {"data": [1, 3, 64, 64]}, "outputs": ["pool2"]}
    assert "verification" not in entry
    assert entry["caffemodel"]["sha256"] == HASHES[FILES[1].name]


def test_an_embedded_net_arrays_and_synthetic_weights_are_named_as_what_they_are() -> None:
    with weights.read(FILES[1]) as blobs:
        net = prototxt.from_message(blobs.net(), source=blobs.source)
        assert provenance(net, blobs)["prototxt"] == {"embedded_in": "shapes-cam.caffemodel"}
        assert provenance(net, FILES[1])["caffemodel"]["sha256"] == HASHES[FILES[1].name]
    net = prototxt.load(FILES[0])
    assert provenance(net, converters.Synthetic())["caffemodel"] == {"kind": "synthetic"}
    one, other = ({"fc": [np.full(3, value, np.float32)]} for value in (1, 2))
    digests = [provenance(net, arrays)["caffemodel"]["sha256"] for arrays in (one, dict(one), other)]
    assert digests[0] == digests[1] != digests[2]
    text = prototxt.loads('input: "x" input_shape { dim: 2 } layer { type: "TanH" bottom: "x" top: "y" }')
    assert provenance(text, None)["prototxt"]["kind"] == "message"


def test_a_file_that_changes_is_hashed_again(tmp_path: Path) -> None:
    path, net = tmp_path / "a.caffemodel", prototxt.load(FILES[0])
    for content in (b"one", b"three"):
        path.write_bytes(content)
        digest_ahead(path)
        assert provenance(net, path)["caffemodel"]["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the names of mapped files")
def test_weights_that_were_opened_are_hashed_as_they_are_mapped(tmp_path: Path) -> None:
    path, other, net = tmp_path / "a.caffemodel", tmp_path / "b", prototxt.load(FILES[0])
    path.write_bytes(FILES[1].read_bytes())
    with weights.read(path) as opened:
        other.write_bytes(b"something else")
        other.replace(path)
        digest_ahead(opened)
        entry = provenance(net, opened)["caffemodel"]
    assert entry["sha256"] == HASHES[FILES[1].name]
    assert entry["bytes"] == FILES[1].stat().st_size
    assert provenance(net, path)["caffemodel"]["sha256"] == hashlib.sha256(b"something else").hexdigest()


def test_inspect_needs_onnxruntime_only(made: Path) -> None:
    code = (
        "import sys\nfor name in ('onnx', 'torch', 'google.protobuf'): sys.modules[name] = None\n"
        "from camcompat.cli import main\n"
        f"main(['inspect', {str(made / 'net.onnx')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for told in (
        HASHES[FILES[1].name],
        "verification",
        "data Nx3x96x96",
        "labels        10",
        "numbers       float32",
        "folded        conv1",
        "k 1 int64",
        "CAM_fc",
    ):
        assert told in done.stdout


def test_inspect_of_an_onnx_file_as_json(made: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["inspect", str(made / "net.onnx"), "--json"])
    entry = json.loads(done.output)
    assert entry["inputs"] == {"data": "Nx3x96x96"} and entry["outputs"]["cams"] == "Nxkx12x12"
    check(entry["provenance"], "onnx")


def test_inspect_of_a_foreign_file(tmp_path: Path) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    infos = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", infos[:1], infos[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "foreign.onnx")
    found = inspect_onnx(tmp_path / "foreign.onnx")
    assert found.inputs == {"x": "1x?"} and not found.cam and not found.provenance and found.labels == 0
    (tmp_path / "bad.onnx").write_bytes(b"<html>")
    for name in ("bad.onnx", "missing.onnx"):
        done = CliRunner().invoke(main, ["inspect", str(tmp_path / name)])
        assert done.exit_code == 1 and done.output.startswith("camcompat: ") and done.output.count("\n") == 1
