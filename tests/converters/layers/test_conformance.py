"""Every conformance case, in every backend, against what Caffe (or the fork concerned) computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
from conformance_cases import CASES, cases, load_case, tolerance

import prototxt


@CASES
@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_blobs_are_caffes(case: Path, backend: str, tmp_path: Path) -> None:
    inputs, wanted = load_case(case)
    found = parity.run(backend, case / "net.prototxt", case / "weights.caffemodel", inputs, list(wanted), tmp_path)
    for name, caffe in wanted.items():
        assert parity.error(np.asarray(found[name]), caffe) <= tolerance(case), name


@CASES
def test_the_nets_own_outputs(case: Path, tmp_path: Path) -> None:
    """Without `outputs=`, a conversion returns what Caffe's net returns."""
    stored = np.load(case / "io.npz")
    caffe = {key[4:] for key in stored if key.startswith("out/")}
    assert set(prototxt.load(case / "net.prototxt").outputs) == caffe


def test_there_are_cases() -> None:
    assert len(cases()) >= 235
