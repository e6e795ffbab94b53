"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converters.layers import registry

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CAMCOMPAT_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with Caffe's own outputs; tests that need it skip where it is missing."""
    if not (SHARED / "CAFFE.md").exists():
        pytest.skip(f"needs Caffe's reference outputs; {SHARED} is missing (set CAMCOMPAT_SHARED)")
    return SHARED


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers that a test registers (itself, or by --plugin) are gone after it."""
    monkeypatch.setattr(registry, "_REGISTRY", registry.layer_types())


SLOW = (
    "camcompat/jobs/",
    "test_pytorch_docs",
    "robustness/",
    "camcompat/verification/",
    "tests/test_documents",
    "nets/test_nets",
    "nets/test_corpus",
    "torch_backend/test_source",
    "torch_backend/test_compile",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first: whole nets last, so that a broken layer is seen in seconds."""
    items.sort(key=lambda item: next((i + 1 for i, name in enumerate(SLOW) if name in item.nodeid), 0))
