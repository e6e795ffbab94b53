"""Nothing that a file says is executed: no pickle, no eval, no archives; only a plugin that the user names is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(
    path for package in ("prototxt", "weights", "converters", "camcompat") for path in (ROOT / package).rglob("*.py")
)

MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "code",
    "codeop",
}
ARCHIVES = {"zipfile", "tarfile", "shutil.unpack_archive"}
CALLS = {"eval", "exec", "compile", "__import__"}
RUNS = {"os.system", "os.popen", "runpy.run_path", "runpy.run_module"}
ALLOWED: dict[str, set[str]] = {
    "converters/layers/registry.py": {"exec_module"},  # by intent: the user names the file
    "camcompat/pycaffe/provide.py": {"runpy.run_path"},  # likewise: the user's own script
}


def dotted(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id if isinstance(node, ast.Name) else "?", *parts[::-1]])


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of what could execute a file's bytes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [alias.name for alias in node.names]
            roots = {name.split(".")[0] for name in (names if isinstance(node, ast.Import) else [node.module or ""])}
            for name in roots & (MODULES | ARCHIVES):
                yield node.lineno, f"import {name}"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, name) for name in _call(node, dotted(node.func)))


def _call(node: ast.Call, name: str) -> Iterator[str]:
    options = {word.arg: word.value for word in node.keywords}
    if name in CALLS | RUNS or name in ARCHIVES or name.endswith(".exec_module"):
        yield name.rpartition(".")[2] if name.endswith(".exec_module") else name
    if name == "torch.load" and not _is(options.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if name == "torch.save":
        yield "torch.save"
    if "allow_pickle" in options and not _is(options["allow_pickle"], False):  # False is NumPy's default
        yield "allow_pickle"
    if _is(options.get("shell"), True):
        yield "a shell"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_executed(path: Path) -> None:
    allowed = ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
    found = [
        (line, name) for line, name in offences(ast.parse(path.read_text(encoding="utf-8"))) if name not in allowed
    ]
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle", "from pickle import loads", "import yaml", "import zipfile", "eval('1')", "exec(text)",
        "torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=wanted)", "subprocess.run(text, shell=True)", "os.system(text)",
        "spec.loader.exec_module(module)", "torch.save(x, path)",
    ],
)  # fmt: skip
def test_the_search_finds_what_it_looks_for(text: str) -> None:
    assert len(list(offences(ast.parse(text)))) == 1


@pytest.mark.parametrize("text", ["module.eval()", "re.compile('a')", "torch.load(p, weights_only=True)"])
def test_the_search_leaves_the_rest_alone(text: str) -> None:
    assert list(offences(ast.parse(text))) == []


WRITES = {"write_text", "write_bytes", "savez", "savez_compressed", "tofile"}
TEMPORARY = {
    "prototxt/schema/build.py": "run by developers only",
    "weights/atomic.py": "the doctest of what all others use",
    "converters/onnx_backend/probe.py": "a copy for one session, in a temporary folder",
    "camcompat/verification/oracles/peers.py": "what a peer in another process is fed, in a temporary folder",
    "camcompat/verification/oracles/peer_worker.py": "its answer, in a temporary folder",
    "camcompat/jobs/mapping.py": "into memory; the journal renames",
    "camcompat/benchmark/nets.py": "nets made for one run, in a temporary folder",
}
"""Files that write in place, and why they may."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_whoever_writes_a_file_renames_it_into_place(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = {dotted(node.func).rpartition(".")[2] for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if calls & WRITES and name not in TEMPORARY:
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        assert names & {"atomic", "replacing", "staging"}, "write with weights.atomic.replacing"


def test_the_exceptions_exist() -> None:
    assert not [name for name in (*TEMPORARY, *ALLOWED) if not (ROOT / name).is_file()]
