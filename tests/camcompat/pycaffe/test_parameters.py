"""caffe.Net: parameters that are live, saved, copied and shared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_caffe_net import X, by_hand

import camcompat.pycaffe as caffe
import weights
from prototxt.errors import WeightsError

# Parameters.


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_net_surgery_takes_effect(small: tuple[str, str], backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", backend)
    net = caffe.Net(*small, caffe.TEST)
    for edit in (
        lambda: net.params["fc"][0].data.__setitem__(..., 0.5),
        lambda: setattr(net.params["conv"][0].data, "flat", np.arange(54) / 54),
        lambda: net.params["conv"][1].data.__imul__(2),
    ):
        edit()
        assert np.allclose(net.forward(data=X)["prob"], by_hand(net, X)["prob"], atol=1e-5)


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_surgery_on_numbers_that_a_layer_computes_with(
    tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BatchNorm divides its statistics by their factor: an edit has to be seen there as well."""
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", backend)
    text = 'input: "x" input_shape { dim: 1 dim: 2 dim: 3 } layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" }'
    (tmp_path / "bn.prototxt").write_text(text)
    net = caffe.Net(str(tmp_path / "bn.prototxt"), caffe.TEST)
    mean, variance, factor = (blob.data for blob in net.params["bn"])
    mean[...], variance[...], factor[...] = [2, 4], [8, 18], 2
    net.blobs["x"].data[...] = 5
    net.forward()
    assert np.allclose(net.blobs["y"].data[0, :, 0], [(5 - 1) / 2, (5 - 2) / 3], atol=1e-4)
    factor[...] = 1
    assert np.allclose(net.forward()["y"][0, :, 0], [3 / np.sqrt(8), 1 / np.sqrt(18)], atol=1e-4)


@pytest.mark.parametrize("ending", ["caffemodel", "h5"])
def test_save_and_copy_from(small: tuple[str, str], tmp_path: Path, ending: str) -> None:
    proto, model = small
    net = caffe.Net(proto, model, caffe.TEST)
    net.params["fc"][1].data[...] = [1, 2, 3, 4]
    path = str(tmp_path / f"saved.{ending}")
    (net.save if ending == "caffemodel" else net.save_hdf5)(path)
    other = caffe.Net(proto, caffe.TEST)
    (other.copy_from if ending == "caffemodel" else other.load_hdf5)(path)
    for name, blobs in net.params.items():
        for mine, theirs in zip(blobs, other.params[name]):
            assert np.array_equal(mine.data, theirs.data)
    assert np.array_equal(net.forward(data=X)["prob"], other.forward(data=X)["prob"])
    if ending == "caffemodel":
        with weights.read(path) as file:
            assert [layer.name for layer in file.net().layer][:3] == ["data", "conv", "relu"]


def test_copy_from_writes_all_or_nothing(small: tuple[str, str], tmp_path: Path) -> None:
    net = caffe.Net(*small, caffe.TEST)
    before = net.params["conv"][0].data.copy()
    path = tmp_path / "bad.caffemodel"
    blobs = {
        "conv": [np.ones((3, 2, 3, 3)), np.ones(3)],
        "fc": [np.ones((4, 5)), np.ones(4)],
        "elsewhere": [np.ones(1)],
    }
    types = {"conv": "Convolution", "fc": "InnerProduct", "elsewhere": "Bias"}
    weights.write(path, "bad", blobs, types=types)
    with pytest.raises(WeightsError, match="fc"):
        net.copy_from(str(path))
    assert np.array_equal(net.params["conv"][0].data, before)


def test_share_with_is_live(small: tuple[str, str]) -> None:
    proto, model = small
    one, two = caffe.Net(proto, model, caffe.TEST), caffe.Net(proto, caffe.TEST)
    two.forward(data=X)
    two.share_with(one)
    assert np.array_equal(one.forward(data=X)["prob"], two.forward(data=X)["prob"])
    one.params["fc"][1].data[...] = [9, 0, 0, 0]
    assert np.array_equal(one.forward(data=X)["prob"], two.forward(data=X)["prob"])


def test_shared_parameters_are_one_memory(tmp_path: Path) -> None:
    one = 'type: "InnerProduct" inner_product_param { num_output: 2 bias_term: false weight_filler { type: "xavier" } }'
    text = 'input: "x" input_shape { dim: 1 dim: 2 }'
    text += f' layer {{ name: "a" bottom: "x" top: "a" param {{ name: "w" }} {one} }}'
    text += f' layer {{ name: "b" bottom: "a" top: "b" param {{ name: "w" }} {one} }}'
    (tmp_path / "shared.prototxt").write_text(text)
    net = caffe.Net(str(tmp_path / "shared.prototxt"), caffe.TEST)
    net.params["a"][0].data[...] = [[1, 2], [3, 4]]
    assert net.params["b"][0].data.tolist() == [[1, 2], [3, 4]]
    assert net.forward(x=np.float32([[1, 1]]))["b"].tolist() == [[17, 37]]
    for save, load in [(net.save, net.copy_from), (net.save_hdf5, net.load_hdf5)]:
        save(str(tmp_path / "saved"))
        load(str(tmp_path / "saved"))
    net.backward(b=np.float32([[1, 0]]))
    assert net.params["a"][0].diff.tolist() == [[1 + 3, 1 + 7], [2, 2]]  # both uses add up


def test_an_overwritten_input_has_its_own_gradient(tmp_path: Path) -> None:
    text = 'input: "x" input_shape { dim: 3 } layer { name: "p" type: "Power" bottom: "x" top: "x" '
    text += "power_param { power: 2 } }"
    (tmp_path / "n.prototxt").write_text(text)
    net = caffe.Net(str(tmp_path / "n.prototxt"), caffe.TEST)
    assert net.forward(x=np.float32([1, 2, 3]))["x"].tolist() == [1, 4, 9]
    net.blobs["x"].diff[...] = 1
    net.backward()
    assert net.blobs["x"].diff.tolist() == [2, 4, 6]
