"""caffe.Net: signatures, blobs, parameters, files, passes and their errors."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import camcompat.pycaffe as caffe
import weights
from prototxt.errors import CamcompatError, WeightsError
from weights.catalog import find

SMALL = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 2 dim: 4 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "left" type: "Power" bottom: "conv" top: "left" power_param { scale: 2 } }
layer { name: "right" type: "Power" bottom: "conv" top: "right" power_param { power: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "left" bottom: "right" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc" inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


@pytest.fixture
def small(tmp_path: Path) -> tuple[str, str]:
    """A net with a fork and an in-place layer, and weights for it."""
    rng = np.random.default_rng(0)
    blobs = {
        "conv": [rng.standard_normal((3, 2, 3, 3)).astype(np.float32), np.float32([0.1, -0.2, 0.3])],
        "fc": [rng.standard_normal((4, 18)).astype(np.float32) / 9, np.float32([0, 1, 0, -1])],
    }
    (tmp_path / "net.prototxt").write_text(SMALL)
    path = tmp_path / "net.caffemodel"
    weights.write(path, "small", blobs, types={"conv": "Convolution", "fc": "InnerProduct"})
    return str(tmp_path / "net.prototxt"), str(path)


def by_hand(net: caffe.Net, x: np.ndarray) -> dict[str, np.ndarray]:
    """What the small net computes, in float64."""
    w, b = (blob.data.astype(np.float64) for blob in net.params["conv"])
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(2, 3))
    conv = np.maximum(np.einsum("ncyxij,ocij->noyx", windows, w) + b[:, None, None], 0)
    total = 2 * conv + conv**2
    w, b = (blob.data.astype(np.float64) for blob in net.params["fc"])
    fc = total.reshape(len(x), -1) @ w.T + b
    powers = np.exp(fc - fc.max(1, keepdims=True))
    return {"conv": conv, "sum": total, "fc": fc, "prob": powers / powers.sum(1, keepdims=True)}


X = np.random.default_rng(1).standard_normal((2, 2, 4, 5)).astype(np.float32)


# Construction.


@pytest.mark.parametrize("backend", ["torch", "onnx"])
def test_the_historical_signatures(small: tuple[str, str], backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_PYCAFFE", backend)
    proto, model = small
    nets = [
        caffe.Net(proto, model, caffe.TEST),
        caffe.Net(proto, caffe.TEST, weights=model),
        caffe.Net(network_file=proto, phase=caffe.TEST, weights=model, level=0, stages=None),
        caffe.Net(proto, caffe.TEST, 0, None, model),
        caffe.Net(proto, model),
    ]
    plain = caffe.Net(proto, caffe.TEST)
    plain.copy_from(model)
    for net in [*nets, plain]:
        assert np.allclose(net.forward(data=X)["prob"], by_hand(net, X)["prob"], atol=1e-6)


def test_wrong_arguments_say_how_to_call_it(small: tuple[str, str]) -> None:
    proto, model = small
    wrong = [
        ((), {}),
        ((proto,), {}),
        ((proto, "x"), {}),
        ((proto, 7), {}),
        ((proto, True), {}),
        ((proto, 1), {"w": 1}),
    ]
    for args, kwargs in wrong:
        with pytest.raises(RuntimeError):
            caffe.Net(*args, **kwargs)
    with pytest.raises(RuntimeError, match=r"missing\.prototxt: Could not open file"):
        caffe.Net("missing.prototxt", caffe.TEST)
    with pytest.raises(RuntimeError, match="given twice"):
        caffe.Net(proto, model, caffe.TEST, weights=model)


def test_weights_of_another_net_are_refused(small: tuple[str, str], tmp_path: Path) -> None:
    proto, _ = small
    other = tmp_path / "other.caffemodel"
    weights.write(other, "o", {"conv": [np.zeros((3, 1, 3, 3)), np.zeros(3)]}, types={"conv": "Convolution"})
    with pytest.raises(WeightsError, match="conv"):
        caffe.Net(proto, str(other), caffe.TEST)


@pytest.mark.filterwarnings("ignore:.*are not in the net")
def test_a_layer_that_the_file_lacks_starts_from_its_filler_and_is_named(small: tuple[str, str]) -> None:
    proto, model = small
    text = SMALL.replace('name: "fc"', 'name: "new"').replace(
        "num_output: 4", 'num_output: 4 weight_filler { type: "constant" value: 7 }'
    )
    Path(proto).write_text(text)
    with pytest.warns(UserWarning, match="no weights for new"):
        net = caffe.Net(proto, model, caffe.TEST)
    assert (net.params["new"][0].data == 7).all() and (net.params["new"][1].data == 0).all()
    assert net.params["conv"][1].data.tolist() == pytest.approx([0.1, -0.2, 0.3])


@pytest.mark.parametrize(
    ("filler", "check"),
    [
        ('type: "xavier"', lambda w: 0.3 < np.abs(w).max() <= np.sqrt(3 / 18)),
        ('type: "msra"', lambda w: 0.2 < w.std() < 0.5),
        ('type: "gaussian" std: 5', lambda w: 3 < w.std() < 7),
        ('type: "uniform" min: 2 max: 3', lambda w: w.min() >= 2 and w.max() <= 3 and w.std() > 0.1),
        ('type: "positive_unitball"', lambda w: np.allclose(w.reshape(3, -1).sum(1), 1)),
        ('type: "bilinear"', lambda w: np.allclose(w[0, 0], np.outer([0.25, 0.75, 0.75], [0.25, 0.75, 0.75]))),
    ],
)
def test_fillers(small: tuple[str, str], filler: str, check: object) -> None:
    proto, _ = small
    Path(proto).write_text(SMALL.replace("kernel_size: 3", f"kernel_size: 3 weight_filler {{ {filler} }}"))
    caffe.set_random_seed(3)
    first = caffe.Net(proto, caffe.TEST).params["conv"][0].data.copy()
    caffe.set_random_seed(3)
    again = caffe.Net(proto, caffe.TEST).params["conv"][0].data
    assert callable(check) and check(first) and np.array_equal(first, again)


def test_phase_train_refuses_what_it_would_not_do(small: tuple[str, str]) -> None:
    proto, model = small
    assert caffe.Net(proto, model, caffe.TRAIN).forward(data=X)["prob"].shape == (2, 4)
    Path(proto).write_text(SMALL + 'layer { name: "d" type: "Dropout" bottom: "prob" top: "drop" }')
    with pytest.raises(caffe.CaffeError, match=r'"d" \(Dropout\): in phase TRAIN .*caffe\.TEST'):
        caffe.Net(proto, model, caffe.TRAIN)


def test_data_layers_become_inputs_and_losses_stay(tmp_path: Path) -> None:
    data = 'layer { name: "data" type: "Data" top: "data" top: "label" data_param { batch_size: 2 source: "x" }'
    text = (
        data
        + " transform_param { crop_size: 4 } }"
        + (
            'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }'
            'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
        )
    )
    (tmp_path / "train.prototxt").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = caffe.Net(str(tmp_path / "train.prototxt"), caffe.TEST)
    assert net.inputs == ["data", "label"] and net.outputs == ["loss"]
    assert net.blob_loss_weights["loss"] == 1
    loss = net.forward(data=np.zeros((2, 3, 4, 4)), label=np.zeros(2))["loss"]
    assert float(loss) == pytest.approx(np.log(3))
    assert net.backward()["data"].shape == (2, 3, 4, 4)
    assert net.params["ip"][1].diff.tolist() == pytest.approx([1 / 3 - 1, 1 / 3, 1 / 3])


def test_a_data_layer_without_a_size_says_what_to_write(tmp_path: Path) -> None:
    text = 'layer { name: "d" type: "ImageData" top: "data" } layer { name: "r" type: "ReLU" bottom: "data" top: "r" }'
    (tmp_path / "n.prototxt").write_text(text)
    with pytest.raises(caffe.CaffeError, match="crop_size into its transform_param, or an Input layer"):
        caffe.Net(str(tmp_path / "n.prototxt"), caffe.TEST)


@pytest.mark.parametrize("stages", ["deploy", ["deploy"]])
def test_stages_and_levels_choose_layers(tmp_path: Path, stages: object) -> None:
    text = 'input: "x" input_shape { dim: 1 } layer { name: "a" type: "ReLU" bottom: "x" top: "a" }'
    text += ' layer { name: "b" type: "ReLU" bottom: "a" top: "b" include { stage: "deploy" min_level: 2 } }'
    (tmp_path / "n.prototxt").write_text(text)
    path = str(tmp_path / "n.prototxt")
    assert caffe.Net(path, caffe.TEST).outputs == ["a"]
    assert caffe.Net(path, caffe.TEST, level=2, stages=stages).outputs == ["b"]


# Structure.


def test_names_are_those_of_pycaffe(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    split = "conv_relu_0_split"
    names = ["data", "conv", f"{split}_0", f"{split}_1", "left", "right", "sum", "fc", "prob"]
    assert list(net.blobs) == net._blob_names == names
    assert list(net._layer_names) == ["data", "conv", "relu", split, "left", "right", "sum", "fc", "prob"]
    assert net.bottom_names["left"] == [f"{split}_0"] and net.top_names[split] == [f"{split}_0", f"{split}_1"]
    assert net.inputs == ["data"] and net.outputs == ["prob"]
    assert net._inputs == [0] and net._outputs == [8]
    assert [layer.type for layer in net.layers][:4] == ["Input", "Convolution", "ReLU", "Split"]
    assert len(net.layer_dict["conv"].blobs) == 2 and list(net.params) == ["conv", "fc"]
    assert net._top_ids(1) == [1] and net._bottom_ids(6) == [4, 5]


def test_outputs_are_in_alphabetical_order(tmp_path: Path) -> None:
    text = 'input: "x" input_shape { dim: 1 } input: "unused" input_shape { dim: 1 }'
    for name in "zab":
        text += f' layer {{ name: "{name}" type: "Power" bottom: "x" top: "{name}" }}'
    (tmp_path / "n.prototxt").write_text(text)
    assert caffe.Net(str(tmp_path / "n.prototxt"), caffe.TEST).outputs == ["a", "b", "unused", "z"]


def test_blobs(small: tuple[str, str]) -> None:
    blob = caffe.Net(*small, caffe.TEST).blobs["conv"]
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (2, 3, 2, 3, 36)
    assert tuple(blob.shape) == blob.data.shape == blob.diff.shape == (2, 3, 2, 3)
    with pytest.raises(AttributeError):
        blob.data = np.zeros(1)
    blob.reshape(1, 2, 3)
    assert (blob.num, blob.height, blob.width) == (1, 3, 1)
    blob.reshape(*(1,) * 5)
    with pytest.raises(caffe.CaffeError, match="5 axes"):
        _ = blob.num


def test_data_is_live(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    data, prob = net.blobs["data"].data, net.blobs["prob"].data
    data[...] = X
    out = net.forward()["prob"]
    assert np.shares_memory(out, prob) and np.allclose(prob, by_hand(net, X)["prob"], atol=1e-6)
    data[...] = 0
    net.forward()
    assert np.allclose(prob, by_hand(net, 0 * X)["prob"], atol=1e-6)


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


# The embedded net.


def test_shapes_cam_is_what_caffe_computed(shared: Path) -> None:
    model = find("shapes-cam")
    expected = np.load(shared / "shapes-cam" / "expected.npz")
    net = caffe.Net(str(model.path("prototxt")), str(model.path("caffemodel")), caffe.TEST)
    net.blobs["data"].reshape(8, 3, 96, 96)
    out = net.forward(blobs=["CAM_conv", "CAM_fc"], data=expected["data"])
    for name in ("prob", "CAM_fc", "CAM_conv"):
        wanted = expected[name][:8]
        assert np.abs(out[name] - wanted).max() <= 5e-6 * np.abs(wanted).max()
    best = out["prob"].argmax(1)
    maps = np.einsum("nkyx,nk->nyx", net.blobs["CAM_conv"].data, net.params["CAM_fc"][0].data[best])
    assert np.abs(maps - expected["cams_top1"][:8]).max() <= 5e-6 * np.abs(expected["cams_top1"]).max()


# The rest of the module.


def test_what_is_not_offered_says_why(small: tuple[str, str]) -> None:
    net = caffe.Net(*small, caffe.TEST)
    refused = [
        lambda: caffe.SGDSolver("solver.prototxt"),
        lambda: caffe.get_solver("solver.prototxt"),
        lambda: caffe.AdamSolver("solver.prototxt"),
        lambda: caffe.NCCL(None, ""),
        lambda: caffe.Layer(),
        lambda: net.set_input_arrays(X, X),
        lambda: net.layers[0].setup(),
    ]
    for call in refused:
        with pytest.raises(caffe.CaffeError, match="not offered"):
            call()


def test_modes_are_accepted() -> None:
    caffe.set_mode_cpu()
    caffe.set_device(0)
    caffe.set_multiprocess(True)
    caffe.init_log()
    with pytest.warns(UserWarning, match="CPU"):
        caffe.set_mode_gpu()
    assert not caffe.has_nccl() and caffe.solver_count() == 1 and caffe.solver_rank() == 0
    assert {"Convolution", "Input", "DetectionOutput"} <= set(caffe.layer_type_list())
    assert caffe.__version__ and (caffe.TRAIN, caffe.TEST) == (0, 1)
    with pytest.raises(caffe.CaffeError, match="mxnet"):
        caffe.set_backend("mxnet")


def test_every_public_name_can_be_had() -> None:
    for name in caffe.__all__:
        assert getattr(caffe, name) is getattr(caffe, name)
    assert set(caffe.__all__) <= set(dir(caffe))
