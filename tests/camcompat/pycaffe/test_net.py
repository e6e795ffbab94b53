"""caffe.Net: signatures, phases, structure, blobs, and the module around it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from small_caffe_net import SMALL, X, by_hand

import camcompat.pycaffe as caffe
import weights
from prototxt.errors import WeightsError
from weights.models import find

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
