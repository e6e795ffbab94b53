"""The house keeps its shape: import direction, light imports, laziness, and documents that name what exists."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["prototxt", "weights", "converters", "camcompat"]
# What a package may import besides the packages to its left and the standard library.
OUTSIDE = {
    "prototxt": {"google"},
    "weights": {"google", "numpy", "requests", "urllib3", "rich", "h5py", "scipy", "tomli"},
    "converters": {"google", "numpy", "requests", "onnx", "torch", "safetensors"},
    "camcompat": {"numpy", "onnxruntime", "PIL", "scipy", "click", "rich", "torch"},
}
# What single rooms may import besides: peers that a comparison asks where they are installed, engines that are extras.
ROOMS = {
    "camcompat/jobs/engines.py": {"ray"},
    "camcompat/verification/oracles/peer_worker.py": {"cv2", "caffe"},
    "converters/onnx_backend/quantization.py": {"onnxruntime"},
}
DEVELOPMENT = {"grpc_tools"}  # prototxt/schema/build.py, which users never run


def _imports(path: Path) -> set[str]:
    """The top-level names of every absolute import of a file, those inside of functions included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"__future__"}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_to_the_left_only(package: str) -> None:
    allowed = set(PACKAGES[: PACKAGES.index(package) + 1]) | OUTSIDE[package]
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        extra = _imports(path) - allowed - ROOMS.get(name, set()) - (DEVELOPMENT if path.name == "build.py" else set())
        assert not extra, f"{name} imports {sorted(extra)}"


def _python(code: str, *blocked: str) -> str:
    """Run code in a fresh interpreter in which some packages cannot be imported; its output."""
    block = "".join(f"sys.modules[{name!r}] = None; " for name in blocked)
    command = [sys.executable, "-c", f"import sys; {block}\n{code}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_camcompat_is_light() -> None:
    _python("import camcompat; assert not {'torch', 'onnx', 'google.protobuf'} & set(sys.modules)")
    _python("import camcompat.cli; assert not {'torch', 'onnx', 'google.protobuf', 'onnxruntime'} & set(sys.modules)")


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_loads_nothing_heavy(package: str) -> None:
    heavy = "{'torch', 'onnx', 'google.protobuf', 'onnxruntime', 'scipy', 'requests', 'h5py'}"
    _python(f"import {package}; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)")


def test_converting_to_onnx_needs_no_torch(tmp_path: Path) -> None:
    code = f"""
from weights.models import find
import converters
model = find("shapes-cam")
converters.to_onnx(model.path("prototxt"), model.path("caffemodel"), {str(tmp_path / "net.onnx")!r})
"""
    _python(code, "torch", "safetensors")
    assert (tmp_path / "net.onnx").stat().st_size > 100_000


def test_running_a_cam_needs_neither_torch_nor_onnx_nor_protobuf(tmp_path: Path) -> None:
    test_converting_to_onnx_needs_no_torch(tmp_path)
    picture = ROOT / "weights" / "embedded" / "shapes-cam" / "pictures" / "12-heart.jpg"
    code = f"""
import camcompat
result = camcompat.load({str(tmp_path / "net.onnx")!r}, labels=[str(i) for i in range(10)])({str(picture)!r}, top=3)
print(result.classes[0], result.maps.shape, result.cams.shape)
"""
    assert _python(code, "torch", "onnx", "google.protobuf", "converters") == "6 (3, 128, 128) (3, 12, 12)\n"


@pytest.mark.parametrize(("missing", "extra"), [("onnx", "onnx"), ("torch", "torch")])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(missing: str, extra: str, tmp_path: Path) -> None:
    words = ["convert", "shapes-cam", "--out", str(tmp_path / "out")]
    code = f"""
from click.testing import CliRunner
from camcompat.cli import main
result = CliRunner().invoke(main, {words!r})
print(result.exit_code, result.output)
"""
    told = _python(code, missing)
    assert told.startswith("1 camcompat: ")
    assert f"camcompat[{extra}]" in told
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_exist_and_are_documented(package: str) -> None:
    """Every name in `__all__` can be had, twice, says what it is, and is hidden by no module of the same name."""
    code = f"""
import importlib, pkgutil
import {package} as p
for module in pkgutil.walk_packages(p.__path__, p.__name__ + "."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert set(p.__all__) <= set(dir(p))
for name in p.__all__:
    first, again = getattr(p, name), getattr(p, name)
    assert first is again and type(first).__name__ != "module", name
    assert first.__doc__, f"{{name}} has no docstring"
try:
    p.no_such_name
except AttributeError as error:
    assert "no_such_name" in str(error)
else:
    raise AssertionError
"""
    _python(code)


def test_files_and_functions_stay_small() -> None:
    for path in sorted(p for package in PACKAGES for p in (ROOT / package).rglob("*.py")):
        text = path.read_text()
        assert text.count("\n") <= 340, f"{path.relative_to(ROOT)} has grown"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                start = first.end_lineno if isinstance(first, ast.Expr) and ast.get_docstring(node) else node.lineno
                assert (node.end_lineno or 0) - (start or 0) <= 50, f"{path.relative_to(ROOT)}: {node.name}"
