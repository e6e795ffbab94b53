"""The conformance cases: one-layer nets and what Caffe (or the fork concerned) computed of them.

The cases in tests/data are copies; where the reference folder is at hand, cases that only it has are there too.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import parity
import pytest

import prototxt

__all__ = ["CASES", "cases", "load_case", "tolerance"]

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / "tests" / "data" / "conformance"
SHARED = Path(os.environ.get("CAMCOMPAT_SHARED", ROOT.parent / "shared")) / "conformance"

# Layers whose every value is a sum over a whole blob (CAFFE.md: 1e-5).
SUMS = {
    "ContrastiveLoss", "EuclideanLoss", "HingeLoss", "InfogainLoss", "MultinomialLogisticLoss", "Reduction",
    "SigmoidCrossEntropyLoss", "SoftmaxWithLoss",
}  # fmt: skip


def cases() -> list[Path]:
    """The folder of each case."""
    found = {path.parent.relative_to(OWN): path.parent for path in sorted(OWN.glob("*/*/io.npz"))}
    for path in sorted(SHARED.glob("*/*/io.npz")):
        found.setdefault(path.parent.relative_to(SHARED), path.parent)
    return list(found.values())


CASES = pytest.mark.parametrize("case", cases(), ids=lambda path: f"{path.parent.name}/{path.name}")


def load_case(case: Path) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """Inputs in net order, and the blobs to reproduce."""
    stored = np.load(case / "io.npz")
    net = prototxt.load(case / "net.prototxt")
    wanted = {key.split("/", 1)[1]: stored[key] for key in stored if key.startswith(("out/", "mid/"))}
    return [stored[f"in/{name}"] for name in net.inputs], wanted


def tolerance(case: Path) -> float:
    return parity.SUMS if case.parent.name in SUMS else parity.SINGLE
