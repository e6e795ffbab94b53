"""caffe.Net: forward and backward, whole and in part, and their errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_caffe_net import SMALL, X, by_hand

import camcompat.pycaffe as caffe
from prototxt.errors import CamcompatError

# Passes.


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_partial_forward_reads_what_the_blobs_hold(
    small: tuple[str, str], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", backend)
    net = caffe.Net(*small, caffe.TEST)
    net.blobs["data"].data[...] = X
    raw = net.forward(end="conv")["conv"].copy()
    assert raw.min() < 0  # not yet overwritten
    assert net.forward(start="relu", end="relu")["conv"].min() == 0
    net.blobs["conv"].data[...] = 1
    found = net.forward(blobs=["sum"], start=net._layer_names[3])
    assert set(found) == {"sum", "prob"} and (found["sum"] == 3).all()


def test_forward_refuses_what_pycaffe_refuses(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    with pytest.raises(Exception, match="Input blob arguments do not match net inputs"):
        net.forward(image=X)
    with pytest.raises(Exception, match="Input is not batch sized"):
        net.forward(data=X[:1])
    with pytest.raises(Exception, match="shape"):
        net.forward(data=X[:, :1, :3])
    for options in ({"start": "nothing"}, {"end": "nothing"}, {"blobs": ["nothing"]}):
        with pytest.raises(caffe.CaffeError, match="nothing"):
            net.forward(**options)


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_forward_all(small: tuple[str, str], rows: int) -> None:
    net = caffe.Net(*small, caffe.TEST)
    x = np.random.default_rng(2).standard_normal((rows, 2, 4, 5)).astype(np.float32)
    found = net.forward_all(blobs=["fc"], data=x)
    wanted = by_hand(net, x)
    for name in ("fc", "prob"):
        assert found[name].shape == (rows, 4) and np.allclose(found[name], wanted[name], atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*are not in the net")
@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_reshape(small: tuple[str, str], backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", backend)
    net = caffe.Net(*small, caffe.TEST)
    x = np.concatenate([X, X + 1])
    net.blobs["data"].reshape(*x.shape)
    assert net.blobs["prob"].shape == (2, 4)
    assert np.allclose(net.forward(data=x)["prob"], by_hand(net, x)["prob"], atol=1e-6)  # forward reshapes, too
    net.blobs["data"].reshape(1, 2, 4, 5)
    net.reshape()
    assert net.blobs["prob"].shape == (1, 4) and net.blobs["conv_relu_0_split_1"].shape == (1, 3, 2, 3)
    net.blobs["data"].reshape(1, 2, 6, 5)
    with pytest.raises(CamcompatError, match="fc"):
        net.reshape()
    Path(small[0]).write_text("\n".join(SMALL.splitlines()[:-2]))
    net = caffe.Net(*small, caffe.TEST)
    net.blobs["data"].reshape(1, 2, 9, 8)
    assert net.forward()["sum"].shape == (1, 3, 7, 6)


# Gradients.


def numeric(net: caffe.Net, x: np.ndarray, weight: np.ndarray, at: tuple[int, ...]) -> float:
    """The derivative of Σ weight · prob, by central differences in float64 of the definition."""
    step = np.zeros(x.shape)
    step[at] = 1e-5
    up, down = (by_hand(net, (x + sign * step))["prob"] for sign in (1, -1))
    return float(((up - down) * weight).sum() / 2e-5)


def test_backward_to_the_input(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    weight = np.random.default_rng(4).standard_normal((2, 4)).astype(np.float32)
    net.forward(data=X)
    found = net.backward(prob=weight, diffs=["conv"])
    assert set(found) == {"data", "conv"}
    for at in [(0, 0, 0, 0), (0, 1, 3, 4), (1, 0, 2, 2), (1, 1, 1, 3)]:
        wanted = numeric(net, X.astype(np.float64), weight, at)
        assert found["data"][at] == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_gradients_of_parameters_add_up_until_cleared(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    weight = np.ones((2, 4), np.float32)
    weight[:, 0] = 5
    net.forward(data=X)
    net.backward(prob=weight)
    bias = net.params["conv"][1]
    once = bias.diff.copy()
    for channel in range(3):
        values = []
        for step in (1e-3, -1e-3):
            bias.data[channel] += step
            values.append((by_hand(net, X)["prob"] * weight).sum())
            bias.data[channel] -= step
        assert once[channel] == pytest.approx((values[0] - values[1]) / 2e-3, rel=1e-2, abs=1e-4)
    net.backward(prob=weight)
    assert np.allclose(bias.diff, 2 * once, rtol=1e-5)
    net.clear_param_diffs()
    assert not bias.diff.any()


def test_backward_from_within(small: tuple[str, str]) -> None:
    """The gradient of one score, as Grad-CAM scripts take it: the split adds up its two branches."""
    net = caffe.Net(*small, caffe.TEST)
    net.forward(data=X)
    net.blobs["fc"].diff[...] = 0
    net.blobs["fc"].diff[:, 2] = 1
    net.backward(start="fc", end=net._layer_names[3])
    w = net.params["fc"][0].data[2].reshape(3, 2, 3)
    conv = net.blobs["conv"].data
    assert np.allclose(net.blobs["conv"].diff, w * (2 + 2 * conv), atol=1e-5)
    with pytest.raises(caffe.CaffeError, match="Top diff arguments do not match net outputs"):
        net.backward(fc=np.zeros((2, 4)))
    with pytest.raises(caffe.CaffeError, match="Diff is not batch sized"):
        net.backward(prob=np.zeros((1, 4)))


def test_a_layer_without_gradient_is_refused(small: tuple[str, str]) -> None:
    proto, model = small
    Path(proto).write_text(SMALL + 'layer { name: "best" type: "ArgMax" bottom: "prob" top: "best" }')
    net = caffe.Net(proto, model, caffe.TEST)
    net.forward(data=X)
    assert net.backward(best=np.zeros((2, 1, 1)))["data"].any() == np.False_
    with pytest.raises(caffe.CaffeError, match=r'"best" \(ArgMax\): this layer has no gradient'):
        net.backward(best=np.ones((2, 1, 1)))


def test_forward_backward_all(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    x = np.random.default_rng(5).standard_normal((3, 2, 4, 5)).astype(np.float32)
    weight = np.random.default_rng(6).standard_normal((3, 4)).astype(np.float32)
    values, slopes = net.forward_backward_all(blobs=["fc"], diffs=["sum"], data=x, prob=weight)
    assert values["fc"].shape == (3, 4) and slopes["sum"].shape == (3, 3, 2, 3)
    wanted = numeric(net, x.astype(np.float64), weight, (2, 1, 1, 1))
    assert slopes["data"][2, 1, 1, 1] == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_the_onnx_backend_refuses_gradients(small: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", "onnx")
    net = caffe.Net(*small, caffe.TEST)
    net.forward(data=X)
    with pytest.raises(caffe.CaffeError, match=r"net\.backward is not offered: .*onnxruntime.*torch"):
        net.backward(prob=np.ones((2, 4)))
