"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("CAMCOMPAT_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with Caffe's own outputs; tests that need it skip where it is missing."""
    if not (SHARED / "CAFFE.md").exists():
        pytest.skip(f"needs Caffe's reference outputs; {SHARED} is missing (set CAMCOMPAT_SHARED)")
    return SHARED
