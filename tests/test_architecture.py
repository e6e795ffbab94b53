"""The house keeps its shape: import direction, no circles, rooms of a size to live in, light imports, laziness."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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


def _modules() -> dict[str, Path]:
    """Every module of the four packages → its file."""
    files = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


MODULES = _modules()


def _imported(path: Path) -> Iterator[str]:
    """What a file imports, as dotted names: inside of functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: imports are absolute here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def _own_imports(module: str) -> set[str]:
    return {name for name in _imported(MODULES[module]) if name in MODULES and name != module}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_to_the_left_only(package: str) -> None:
    allowed = set(PACKAGES[: PACKAGES.index(package) + 1]) | OUTSIDE[package] | set(sys.stdlib_module_names)
    for path in sorted((ROOT / package).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        found = {imported.partition(".")[0] for imported in _imported(path)}
        extra = found - allowed - ROOMS.get(name, set()) - (DEVELOPMENT if path.name == "build.py" else set())
        assert not extra, f"{name} imports {sorted(extra)}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Layer by layer: what imports nothing that is left is taken away, until nothing is left."""
    left = {module: _own_imports(module) for module in MODULES}
    while left:
        free = {module for module, imported in left.items() if not imported & set(left)}
        assert free, f"each of these imports another of them: {sorted(left)}"
        left = {module: imported for module, imported in left.items() if module not in free}


def _order(package: str) -> list[str]:
    """The rooms of a package in the order that ARCHITECTURE.md states."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    found = re.search(rf"^Order of imports in `{package}`: (.+?)\.$", text, re.MULTILINE | re.DOTALL)
    assert found, f"ARCHITECTURE.md states no order of imports for {package}"
    return re.findall(r"`(\w+)`", found[1])


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_import_those_that_stand_before_them(package: str) -> None:
    """Of a package, `room.module` or a loose `module`; the package's face may name everything."""
    order = _order(package)
    rooms = {module: module.split(".")[1] for module in MODULES if module.startswith(f"{package}.")}
    rooms = {module: room for module, room in rooms.items() if room != "__main__"}
    assert sorted(order) == sorted(set(rooms.values())), "ARCHITECTURE.md names other rooms than there are"
    for module, room in rooms.items():
        for imported in _own_imports(module):
            assert imported != package, f"{module} imports the face of its own package"
            if imported in rooms:
                assert order.index(rooms[imported]) <= order.index(room), f"{module} imports {imported}"


def test_rooms_are_of_a_size_to_live_in() -> None:
    for package in PACKAGES:
        loose = [path.stem for path in (ROOT / package).glob("*.py") if not path.stem.startswith("__")]
        assert package in ("prototxt", "weights") or len(loose) <= 4, f"{package}: {loose}"
    for folder in {path.parent for path in MODULES.values()}:
        modules = [path.stem for path in folder.glob("*.py") if path.stem != "__init__"]
        assert len(modules) <= 14, f"{folder.relative_to(ROOT)}: {len(modules)} modules"


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
        assert text.count("\n") <= 450, f"{path.relative_to(ROOT)} has grown"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                first = node.body[0]
                start = first.end_lineno if isinstance(first, ast.Expr) and ast.get_docstring(node) else node.lineno
                assert (node.end_lineno or 0) - (start or 0) <= 50, f"{path.relative_to(ROOT)}: {node.name}"
