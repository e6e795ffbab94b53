"""Every conformance case under the stand-in: `net.blobs` hold what Caffe computed, at once and in pieces."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import parity
import pytest
from conformance_cases import CASES, cases, tolerance

import camcompat.pycaffe as caffe


def _net(case: Path) -> tuple[caffe.Net, dict[str, np.ndarray]]:
    """The net with its inputs in place, and the blobs to reproduce."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = caffe.Net(str(case / "net.prototxt"), str(case / "weights.caffemodel"), caffe.TEST)
    stored = np.load(case / "io.npz")
    for key in stored:
        if key.startswith("in/"):
            net.blobs[key[3:]].reshape(*stored[key].shape)
            net.blobs[key[3:]].data[...] = stored[key]
    return net, {key[4:]: stored[key] for key in stored if key.startswith(("out/", "mid/"))}


def _compare(net: caffe.Net, wanted: dict[str, np.ndarray], case: Path) -> None:
    for name, values in wanted.items():
        assert parity.error(net.blobs[name].data, values) <= tolerance(case), name


@CASES
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_forward(case: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", backend)
    net, wanted = _net(case)
    outputs = net.forward()
    assert set(net.outputs) == set(outputs)
    _compare(net, wanted, case)


@CASES
def test_forward_in_pieces(case: Path) -> None:
    """Layer by layer by name; by index where two layers share a name."""
    net, wanted = _net(case)
    names = list(net._layer_names)
    for index, name in enumerate(names):
        if Counter(names)[name] == 1:
            net.forward(start=name, end=name)
        else:
            net._forward(index, index)
    _compare(net, wanted, case)


def test_there_arecases() -> None:
    assert len(cases()) >= 235


def test_outputs_are_those_of_caffe() -> None:
    for case in cases():
        net, _ = _net(case)
        stored = np.load(case / "io.npz")
        caffes = sorted(key[4:] for key in stored if key.startswith("out/"))
        assert [name for name in net.outputs if name not in net.inputs] == caffes
