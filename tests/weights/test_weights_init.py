"""The package itself: lazy names, and names that submodules share."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import weights


def test_names_survive_imports_of_submodules() -> None:
    import importlib

    for name in ("download", "synthetic"):
        importlib.import_module(f"weights.{name}")
        assert callable(getattr(weights, name))
    assert set(weights.__all__) <= set(dir(weights))
    with pytest.raises(AttributeError, match="nothing"):
        weights.nothing  # noqa: B018


def test_importing_the_package_loads_no_library() -> None:
    libraries = {"numpy", "google.protobuf", "h5py", "scipy"}
    code = f"import sys, weights; bad = {libraries} & set(sys.modules); assert not bad, bad"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(weights.__file__).parent.parent)


@pytest.mark.parametrize("name", ["download", "synthetic"])
def test_a_submodule_does_not_hide_the_function_of_its_name(name: str) -> None:
    code = (
        f"import sys, weights.{name}; from weights.{name} import {name} as function\n"
        f"assert weights.{name} is function and 'weights.{name}' in sys.modules\n"
        f"from weights import {name}; assert {name} is function"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(weights.__file__).parent.parent)
