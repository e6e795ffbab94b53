"""Names come from strangers' files: they never become code, paths, markup or terminal commands."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import json
import subprocess
import sys
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

import converters
import prototxt
from prototxt.errors import CamcompatError, printable

ROOT = Path(__file__).resolve().parents[2]
BOOM = "__import__('builtins').boomed.append(1)"

NAMES = [
    "../../etc/passwd", "/abs/path", "C:\\x", "..", ".", "a/b", "a_b", "a b", 'a"b', "a'b", "a\nb", "a\\b", "a\x00b",
    f'"""\n{BOOM}\n"""', f"'''+{BOOM}+'''", f"'+{BOOM}+'", f'"+{BOOM}+"', f"\\'+{BOOM}#", f"{{{BOOM}}}", BOOM,
    f"\n{BOOM}\n", f"x = {BOOM}; y", f"a; b = None\n{BOOM}", f"#\r{BOOM}", f"#\u2028{BOOM}",
    "class", "import", "None", "match", "__class__", "__init__", "__foo", "__dict__", "__getattr__", "_", "__", "_2",
    "😀", "👩‍🔬", "名前", "é", "e\u0301", "ﬁ", "ª", "K", "٣", "1", "x" * 5000,
    "\x1b[31mred", "\x1b]0;title\x07", "\x9b31m", "\u202eevil", "\r", "\x08",
    "forward", "train", "training", "eval", "parameters", "type", "modules", "_modules", "named_children", "to",
    "self", "torch", "nn", "Tensor", "load", "Path", "inf", "device", "dict", "x", "weight", "graph", "code", "net",
    "%s", "%(x)s", "{0}", "$(id)", "`id`", "<script>boom()</script>", "</td><img src=x onerror=boom()>", "&lt;", "",
]  # fmt: skip
"""Distinct after nothing: some become alike when made into identifiers (`a/b`, `a_b`, `a b`)."""

HOSTILE = "</td></title></style><script>boom()</script><img src=x onerror=boom()>\"' onload='boom()' &amp; \x1b[31m"


def quoted(name: str) -> str:
    """As a string of protobuf's text format, everything unusual as octal."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in "\"'\\" else f"\\{b:03o}" for b in name.encode())
    return f'"{"".join(plain)}"'


def hostile_net(source: str = "deploy.prototxt") -> tuple[prototxt.Net, dict[str, list[np.ndarray]]]:
    """A chain of layers, one for each name, whose blobs have them too; the net's own name is one of them."""
    layers, weights, bottom = [], {}, '"data"'
    for number, name in enumerate(name for name in NAMES if name):
        top = quoted(name) if number % 2 else quoted(f"{name}~")
        layers.append(
            f'layer {{ name: {quoted(name)} type: "InnerProduct" bottom: {bottom} top: {top} '
            "inner_product_param { num_output: 3 } }"
        )
        bottom = top
        weights[name] = [np.eye(3, dtype=np.float32), np.full(3, number / 100, np.float32)]
    text = f'name: {quoted(NAMES[13])} input: "data" input_shape {{ dim: 2 dim: 3 }}\n' + "\n".join(layers)
    return prototxt.loads(text, source=source), weights


X = np.arange(6, dtype=np.float32).reshape(2, 3)
WANTED = X + sum(range(len([name for name in NAMES if name]))) / 100


@pytest.fixture(autouse=True)
def boomed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """What a name that was executed would leave."""
    found: list[int] = []
    monkeypatch.setattr(builtins, "boomed", found, raising=False)
    yield found
    assert found == []


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        yield


def imported(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("hostile", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_source_holds_names_as_names_only(tmp_path: Path) -> None:
    """In attributes, the class, the docstring; from layers, blobs, the net, and the names of the files."""
    net, weights = hostile_net(source=f'{tmp_path}/a"""\n{BOOM}\n"""{{x}}%s.prototxt')
    path = converters.to_python(net, weights, tmp_path / f"n\"'+{BOOM}+'\".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"__import__", "eval", "exec", "getattr", "setattr", "open", "boom"}
    module = imported(path).load()
    np.testing.assert_allclose(module(torch.from_numpy(X)).detach().numpy(), WANTED, rtol=1e-5)
    assert len(list(module.children())) == len(weights)


@pytest.mark.parametrize("output", [name for name in NAMES if name])
def test_python_source_returns_blobs_under_their_names(tmp_path: Path, output: str) -> None:
    """Several outputs are a dict by blob name: the one place where a name stands in the source as a string."""
    text = (
        'input: "data" input_shape { dim: 2 dim: 3 }\n'
        f'layer {{ name: {quoted(output)} type: "ReLU" bottom: "data" top: {quoted(output)} }}\n'
        'layer { name: "other~" type: "Power" bottom: "data" top: "other~" power_param { shift: 1 } }\n'
    )
    net = prototxt.loads(text)
    path = converters.to_python(net, {}, tmp_path / "net.py")
    found = imported(path).load()(torch.from_numpy(X))
    assert set(found) == {output, "other~"}


def test_onnx_keeps_the_names_and_runs(tmp_path: Path) -> None:
    net, weights = hostile_net()
    path = converters.to_onnx(net, weights, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"data": X})[0], WANTED, rtol=1e-5)
    assert {one.name for one in tmp_path.iterdir()} == {"net.onnx"}


@pytest.mark.parametrize("location", ["../beside/x", "/etc/x", "..", "", "a/b", "..\\x"])
def test_file_of_tensors_elsewhere_is_refused_and_nothing_is_linked(tmp_path: Path, location: str) -> None:
    import onnx

    from converters.onnx_backend.probe import stored_tensors, with_outputs

    tensor = onnx.TensorProto(name="w", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    (tmp_path / "stage").mkdir()
    for look in (stored_tensors, lambda path: with_outputs(path, [], tmp_path / "stage" / "probe.onnx")):
        with pytest.raises(CamcompatError, match="no plain name"):
            look(tmp_path / "net.onnx")
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]


@pytest.mark.parametrize("kind", [str, "where", "remedy"])
def test_errors_are_one_printable_line(kind: Any) -> None:
    for name in NAMES:
        error = CamcompatError(name) if kind is str else CamcompatError("wrong", **{kind: name})
        assert str(error).isprintable()
        assert len(str(error)) < 10_000
    assert printable("a\x1b[31m\nb\u202e") == "a\\x1b[31m b\\u202e"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hostile net as files: its prototxt, and a caffemodel that embeds names only."""
    import weights as weights_package

    folder = tmp_path_factory.mktemp("hostile")
    net, blobs = hostile_net()
    (folder / "deploy.prototxt").write_text(_text_of(net))
    converters.to_onnx(net, blobs, folder / "hostile.onnx", metadata={"source": {"title": HOSTILE}})
    types = dict.fromkeys(blobs, "InnerProduct")
    weights_package.write(folder / "net.caffemodel", NAMES[13], blobs, types=types)
    return folder


def _text_of(net: prototxt.Net) -> str:
    lines = [f'name: {quoted(NAMES[13])} input: "data" input_shape {{ dim: 2 dim: 3 }}']
    for layer in net.layers[1:]:
        lines.append(
            f"layer {{ name: {quoted(layer.name)} type: {quoted(layer.type)} bottom: {quoted(layer.bottoms[0])} "
            f"top: {quoted(layer.tops[0])} inner_product_param {{ num_output: 3 }} }}"
        )
    return "\n".join(lines)


@pytest.mark.parametrize(
    "words",
    [
        ["inspect", "deploy.prototxt", "net.caffemodel"],
        ["inspect", "deploy.prototxt", "net.caffemodel", "--json"],
        ["convert", "deploy.prototxt", "net.caffemodel", "--format", "onnx", "--out", "out"],
        ["inspect", "hostile.onnx"],
    ],
)
def test_commands_show_no_control_characters_and_write_nowhere_else(files: Path, words: list[str]) -> None:
    before = {path.name for path in files.parent.rglob("*")}
    command = [sys.executable, "-m", "camcompat", *words]
    env_path = {"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "200"}
    done = subprocess.run(command, cwd=files, env=env_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = (done.stdout + done.stderr).decode("utf-8")
    assert all(line.isprintable() for line in shown.split("\n"))
    if "--json" in words:
        assert "\x1b[31mred" in {row["name"] for row in json.loads(done.stdout)["rows"]}
    assert {path.name for path in files.parent.rglob("*")} - before <= {"out", "net.onnx"}


def test_commands_name_hostile_layers_in_one_line(files: Path) -> None:
    (files / "bad.prototxt").write_text(
        f'input: "data" input_shape {{ dim: 1 }}\nlayer {{ name: {quoted(chr(27) + "[2Jx" + chr(10) + "y")} '
        f'type: {quoted(chr(27) + "[31m")} bottom: "data" top: "t" }}'
    )
    command = [sys.executable, "-m", "camcompat", "convert", "bad.prototxt", "net.caffemodel", "--out", "bad"]
    done = subprocess.run(
        command, cwd=files, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"\x1b" not in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_what_a_server_says_does_not_reach_the_terminal_raw(capsys: pytest.CaptureFixture[str]) -> None:
    from camcompat.commands.download import print_outcomes
    from weights.downloads.fetch import Outcome

    hostile = "HTTP 404 \x1b]0;title\x07\u202e"
    print_outcomes([Outcome(hostile, False, hostile, hostile, (hostile,))])
    shown = capsys.readouterr().out
    assert shown.count("HTTP 404") == 4
    assert all(line.isprintable() for line in shown.split("\n"))


class Seen(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def test_html_report_escapes_everything() -> None:
    from camcompat.verification.compare import BlobError
    from camcompat.verification.report.findings import Finding, MapAgreement, OracleResult, Report
    from camcompat.verification.report.page import page

    blobs = [BlobError(HOSTILE, HOSTILE, HOSTILE, 0, (1, 2), 0.5, 0.5, 1.0, 1e-3, None, HOSTILE)]
    finding = Finding(HOSTILE, HOSTILE, HOSTILE, 0.5, {HOSTILE: HOSTILE}, HOSTILE)
    pair = np.eye(3, dtype=np.float32)
    maps = MapAgreement(0.5, 0.5, 0.5, 1.0, 1, 1e-3, ((HOSTILE, pair, pair),))
    oracles = [
        OracleResult(HOSTILE, status, HOSTILE, HOSTILE, blobs, {HOSTILE: HOSTILE}, finding, maps, [HOSTILE])
        for status in ("agrees", "explained", "differs", "not run")
    ]
    report = Report(
        HOSTILE, HOSTILE, oracles, {HOSTILE: HOSTILE, "a": {HOSTILE: [HOSTILE]}}, [(HOSTILE, HOSTILE)], [HOSTILE]
    )
    seen = Seen()
    seen.feed(page(report))
    assert "script" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert ("src", "x") not in seen.attributes
