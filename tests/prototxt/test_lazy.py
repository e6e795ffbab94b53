"""prototxt.lazy: the faces of the packages state each name for people and for type checkers, and both alike."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import prototxt
from prototxt.lazy import lazy_package

ROOT = Path(prototxt.__file__).resolve().parent.parent
PACKAGES = ("prototxt", "weights", "converters", "camcompat")
LAZY = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for package in PACKAGES
    for path in (ROOT / package).rglob("__init__.py")
    if "lazy_package" in path.read_text()
)


def test_every_public_package_is_lazy() -> None:
    rooms = ("benchmark", "boxes", "evaluation", "pycaffe", "verification")
    assert set(LAZY) >= {*PACKAGES, *(f"camcompat.{room}" for room in rooms)}


@pytest.fixture(params=LAZY)
def package(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(request.param)


def _typed(package: ModuleType) -> dict[str, str]:
    """Name → module, as the imports for type checkers say; each is `name as name`, or it would not be exported."""
    (block,) = (node for node in ast.parse(Path(str(package.__file__)).read_text()).body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    homes = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names:
            assert alias.asname == alias.name
            homes[alias.name] = node.module
    return homes


def test_what_is_loaded_is_what_type_checkers_see(package: ModuleType) -> None:
    loaded = {name: module for module, names in package._HOMES.items() for name in names.split()}
    submodules = {name: package.__name__ for name in getattr(package, "SUBMODULES", ()) if "." not in name}
    assert _typed(package) == loaded | submodules
    assert package.__all__ == sorted(loaded)


def test_every_name_can_be_had(package: ModuleType) -> None:
    for name, module in _typed(package).items():
        home = import_module(module)
        assert getattr(package, name) is getattr(home, name)
        assert name in dir(package)


def test_a_name_that_is_none(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match=rf"^module '{package.__name__}' has no attribute 'no_such_name'$"):
        _ = package.no_such_name


def test_names_are_kept_once_loaded() -> None:
    get, names, public = lazy_package("prototxt", {"prototxt.limits": "get_limits"}, ["schema", "schema.build"])
    vars(prototxt).pop("get_limits", None)
    assert get("get_limits") is vars(prototxt)["get_limits"]
    assert get("schema.build").__name__ == "prototxt.schema.build"
    assert {"get_limits", "schema"} <= set(names()) and "schema.build" not in names()
    assert public == ["get_limits"]
