"""Every conformance case, in every backend, against what Caffe (or the fork concerned) computed.

The cases in tests/data are copies; where the reference folder is at hand, cases that only it has run too.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import parity
import pytest

import prototxt

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "data" / "conformance"
SHARED = Path(os.environ.get("CAMCOMPAT_SHARED", ROOT.parent / "shared")) / "conformance"

# Layers whose every value is a sum over a whole blob (CAFFE.md: 1e-5).
SUMS = {
    "ContrastiveLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss", "Reduction",
    "SigmoidCrossEntropyLoss", "SoftmaxWithLoss",
}  # fmt: skip


def _cases() -> list[Path]:
    cases = {f"{path.parent.parent.name}/{path.parent.name}": path.parent for path in sorted(OWN.glob("*/*/io.npz"))}
    for path in sorted(SHARED.glob("*/*/io.npz")):
        cases.setdefault(f"{path.parent.parent.name}/{path.parent.name}", path.parent)
    return list(cases.values())


def load_case(case: Path) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Inputs in net order, and the blobs to reproduce."""
    stored = np.load(case / "io.npz")
    net = prototxt.load(case / "net.prototxt")
    wanted = {key.split("/", 1)[1]: stored[key] for key in stored if key.startswith(("out/", "mid/"))}
    return [stored[f"in/{name}"] for name in net.inputs], wanted


CASES = pytest.mark.parametrize("case", _cases(), ids=lambda path: f"{path.parent.name}/{path.name}")


@CASES
@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_blobs_are_caffes(case: Path, backend: str, tmp_path: Path) -> None:
    inputs, wanted = load_case(case)
    found = parity.run(backend, case / "net.prototxt", case / "weights.caffemodel", inputs, list(wanted), tmp_path)
    tolerance = parity.SUMS if case.parent.name in SUMS else parity.SINGLE
    for name, caffe in wanted.items():
        assert parity.error(np.asarray(found[name]), caffe) <= tolerance, name


@CASES
def test_the_nets_own_outputs(case: Path, tmp_path: Path) -> None:
    """Without `outputs=`, a conversion returns what Caffe's net returns."""
    stored = np.load(case / "io.npz")
    caffe = {key[4:] for key in stored if key.startswith("out/")}
    assert set(prototxt.load(case / "net.prototxt").outputs) == caffe


def test_there_are_cases() -> None:
    assert len(_cases()) >= 235
