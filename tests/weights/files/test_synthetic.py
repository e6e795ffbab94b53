"""weights.synthetic: the formulas written out, and what Caffe computed with these weights."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError


def _rng(name: str) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF)


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution", "InnerProduct"])
def test_filters(kind: str) -> None:
    rng = _rng("conv1/7x7")
    weight = (rng.standard_normal((4, 3, 2, 5)) * np.sqrt(2 / 30)).astype(np.float32)
    bias = (rng.standard_normal((4,)) * 0.05).astype(np.float32)
    found = weights.synthetic("conv1/7x7", kind, [(4, 3, 2, 5), (4,)])
    np.testing.assert_array_equal(found[0], weight)
    np.testing.assert_array_equal(found[1], bias)
    assert len(weights.synthetic("conv1/7x7", kind, [(4, 3, 2, 5)])) == 1


def test_batch_norm() -> None:
    rng = _rng("bn")
    expected = [(0.1 * rng.standard_normal((6,))).astype(np.float32), rng.uniform(0.5, 1.5, (6,)).astype(np.float32)]
    found = weights.synthetic("bn", "BatchNorm", [(6,), (6,), (1,)])
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert found[2].tolist() == [1.0]


def test_scale_and_others() -> None:
    rng = _rng("x")
    scale = [
        (1 + 0.1 * rng.standard_normal((6,))).astype(np.float32),
        (0.05 * rng.standard_normal((6,))).astype(np.float32),
    ]
    for found, wanted in zip(weights.synthetic("x", "Scale", [(6,), (6,)]), scale, strict=True):
        np.testing.assert_array_equal(found, wanted)
    rng = _rng("x")
    other = [(0.25 + 0.05 * rng.standard_normal(shape)).astype(np.float32) for shape in ((6,), (), (2, 3))]
    for found, wanted in zip(weights.synthetic("x", "PReLU", [(6,), (), (2, 3)]), other, strict=True):
        assert found.dtype == np.float32 and found.shape == wanted.shape
        np.testing.assert_array_equal(found, wanted)


def test_the_numbers_never_change() -> None:
    (slope,) = weights.synthetic("prelu1", "PReLU", [(3,)])
    assert slope.tobytes().hex() == "11ce293e8c1c753e9845823e"
    blobs = weights.synthetic("conv1", "Convolution", [(64, 3, 7, 7), (64,)])
    assert hashlib.sha256(b"".join(blob.tobytes() for blob in blobs)).hexdigest() == (
        "1196c8eaabfd5c5e0fe29ebc46ba1bd284934ebb619ab001e02f1ebebeb4b9f1"
    )


def test_too_many_blobs() -> None:
    with pytest.raises(WeightsError, match=r'layer "bn" \(BatchNorm\): 5 blobs'):
        weights.synthetic("bn", "BatchNorm", [(6,)] * 5)


def test_against_caffe(shared: Path, tmp_path: Path) -> None:
    """Caffe's output of LeNet's twin with these weights, through OpenCV's importer: an independent forward pass."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is the independent forward pass")
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        pytest.skip("this OpenCV reads no Caffe nets")
    shapes = {
        "conv1": ("Convolution", [(20, 1, 5, 5), (20,)]),
        "conv2": ("Convolution", [(50, 20, 5, 5), (50,)]),
        "ip1": ("InnerProduct", [(500, 800), (500,)]),
        "ip2": ("InnerProduct", [(10, 500), (10,)]),
        "feat": ("InnerProduct", [(2, 10), (2,)]),
    }
    blobs = {name: weights.synthetic(name, kind, shape) for name, (kind, shape) in shapes.items()}
    path = tmp_path / "net.caffemodel"
    weights.write(path, "mnist_siamese", blobs, types={name: kind for name, (kind, _) in shapes.items()})
    expected = np.load(shared / "corpus/expected/mnist_siamese.npz")
    assert not expected["real_weights"]
    shape = tuple(expected["shape/data"])
    net = cv2.dnn.readNetFromCaffe(str(shared / "corpus/mnist_siamese.prototxt"), str(path))
    net.setInput((np.random.RandomState(1).standard_normal(shape) * 50).astype(np.float32))
    feat = expected["out/feat"].reshape(expected["dims/feat"])
    np.testing.assert_allclose(net.forward("feat"), feat, rtol=0, atol=5e-6 * np.abs(feat).max())
