"""Training definitions become the nets to deploy; other nets stay as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from prototxt import Net, PrototxtError, deploy, from_message, load, loads, parse
from prototxt.training.data_layers import UnknownShape

CROP = "transform_param { crop_size: 8 mean_value: [104, 117, 123] } data_param { batch_size: 5 }"


def layer(type_: str, name: str, bottoms: str, tops: str, rest: str = "") -> str:
    ends = [f'bottom: "{blob}"' for blob in bottoms.split()] + [f'top: "{blob}"' for blob in tops.split()]
    return f'layer {{ name: "{name}" type: "{type_}" {" ".join(ends)} {rest} }}\n'


def fc(name: str, bottom: str, outputs: int = 4) -> str:
    return layer("InnerProduct", name, bottom, name, f"inner_product_param {{ num_output: {outputs} }}")


def loss(name: str, bottoms: str, rest: str = "", type_: str = "SoftmaxWithLoss") -> str:
    return layer(type_, name, bottoms, name, rest)


def only(phase: str) -> str:
    return f"include {{ phase: {phase} }}"


DATA = "".join(layer("Data", "data", "", "data label", only(phase) + CROP) for phase in ("TRAIN", "TEST"))
BASE = DATA + fc("fc1", "data")


def deployed(tmp_path: Path, text: str, **options: object) -> Net:
    path = tmp_path / "train_val.prototxt"
    path.write_text(text)
    return deploy(path, **options)


def types(net: Net) -> list[str]:
    return [each.type for each in net.layers]


# ---- losses, labels, metrics


def test_a_classifier_keeps_its_softmax_only(tmp_path: Path) -> None:
    text = BASE + loss("loss", "fc1 label") + layer("Accuracy", "acc", "fc1 label", "acc", only("TEST"))
    net = deployed(tmp_path, text)
    assert dict(net.inputs) == {"data": (5, 3, 8, 8)}
    assert net.outputs == ("prob",)
    assert types(net) == ["Input", "InnerProduct", "Softmax"]
    assert [each.line for each in net.layers] == [2, 3, 4]
    told = " ".join(net.notes)
    assert all(word in told for word in ("loss -> ", "acc", "keep_losses", "train_val.prototxt:2:", "mean_value: 117"))


def test_losses_are_kept_on_request(tmp_path: Path) -> None:
    text = BASE + loss("loss", "fc1 label") + layer("Accuracy", "acc", "fc1 label", "acc", only("TEST"))
    net = deployed(tmp_path, text, keep_losses=True)
    assert dict(net.inputs) == {"data": (5, 3, 8, 8), "label": (5,)}
    assert net.outputs == ("loss", "acc")


def test_a_loss_without_top_is_kept_under_its_own_name(tmp_path: Path) -> None:
    net = deployed(tmp_path, BASE + layer("SoftmaxWithLoss", "loss", "fc1 label", ""), keep_losses=True)
    assert net.outputs == ("loss",)


def test_side_classifiers_of_smaller_weight_go(tmp_path: Path) -> None:
    """GoogLeNet's: their layers are not in the published deploy net, nor always in the weights."""
    side = fc("side", "fc1") + loss("loss1", "side label", "loss_weight: 0.3")
    metric = layer("Accuracy", "loss1/top-1", "side label", "loss1/top-1")
    net = deployed(tmp_path, BASE + side + metric + fc("fc2", "fc1") + loss("loss2", "fc2 label"))
    assert [each.name for each in net.layers] == ["data", "fc1", "fc2", "prob"]
    assert any("loss1" in note for note in net.notes)


def test_heads_with_labels_of_their_own_stay(tmp_path: Path) -> None:
    cut = layer("Slice", "cut", "label", "age sex", "slice_param { axis: 1 }")
    heads = loss("age_loss", "fc1 age", "loss_weight: 0.1") + fc("fc2", "data") + loss("sex_loss", "fc2 sex")
    net = deployed(tmp_path, BASE + cut + heads)
    assert net.outputs == ("age_loss_prob", "prob")
    assert "Slice" not in types(net)
    assert list(net.inputs) == ["data"]


@pytest.mark.parametrize(
    ("tail", "outputs"),
    [
        (layer("ReLU", "r", "fc1", "prob") + loss("loss", "prob label"), ("loss_prob",)),
        (layer("SoftmaxWithLoss", "loss", "fc1 label", "loss softmax"), ("softmax",)),
        (loss("loss", "fc1 label", type_="SigmoidCrossEntropyLoss"), ("prob",)),
        (loss("loss", "fc1 label", type_="HingeLoss"), ("fc1",)),
        (loss("loss", "label fc1", type_="EuclideanLoss"), ("fc1",)),
        (loss("loss", "fc1 label", only("TRAIN")) + layer("Softmax", "p", "fc1", "p", only("TEST")), ("p",)),
        (loss("loss", "fc1 label", only("TRAIN")) + loss("acc", "fc1 label", only("TEST"), "Accuracy"), ("prob",)),
        (layer("Softmax", "p", "fc1", "p") + loss("loss", "p label", type_="MultinomialLogisticLoss"), ("p",)),
        (layer("Softmax", "p", "fc1", "p") + loss("loss", "p label", type_="InfogainLoss"), ("p",)),
        (loss("loss", "fc1 label", type_="InfogainLoss"), ("prob",)),
        (layer("Silence", "s", "label", ""), ("fc1",)),
        (fc("fc2", "data") + loss("loss", "fc1 fc2 label", type_="ContrastiveLoss"), ("fc1", "fc2")),
    ],
)
def test_what_a_loss_leaves(tmp_path: Path, tail: str, outputs: tuple[str, ...]) -> None:
    net = deployed(tmp_path, BASE + tail)
    assert net.outputs == outputs
    assert list(net.inputs) == ["data"]


def test_a_prediction_may_end_in_place(tmp_path: Path) -> None:
    ends = layer("ReLU", "r", "fc1", "fc1") + loss("loss", "fc1 label", only("TRAIN"), "EuclideanLoss")
    net = deployed(tmp_path, BASE + ends)
    assert net.outputs == ("fc1",)
    assert types(net) == ["Input", "InnerProduct", "ReLU"]


def test_an_autoencoder_returns_its_reconstruction(tmp_path: Path) -> None:
    text = BASE + layer("Flatten", "flat", "data", "flat") + fc("decode", "fc1", 192)
    net = deployed(tmp_path, text + loss("loss", "decode flat", type_="EuclideanLoss"))
    assert net.outputs == ("decode",)
    assert types(net) == ["Input", "InnerProduct", "InnerProduct"]


def test_the_axis_of_the_softmax_is_that_of_the_loss(tmp_path: Path) -> None:
    net = deployed(tmp_path, BASE + loss("loss", "fc1 label", "softmax_param { axis: -1 }"))
    assert net.layers[-1].message.softmax_param.axis == -1


# ---- data layers


def test_the_data_layer_of_the_other_phase_serves(tmp_path: Path) -> None:
    text = layer("Data", "data", "", "data label", only("TRAIN") + CROP) + fc("fc1", "data")
    net = deployed(tmp_path, text + loss("loss", "fc1 label", type_="HingeLoss"))
    assert dict(net.inputs) == {"data": (5, 3, 8, 8)}
    with pytest.raises(PrototxtError, match="leaves out"):
        load(tmp_path / "train_val.prototxt")


@pytest.mark.parametrize(
    ("type_", "fields", "shape"),
    [
        ("Data", "transform_param { crop_size: 8 force_gray: true }", (1, 1, 8, 8)),
        ("Data", "transform_param { crop_size: 8 } data_param { batch_size: 6 }", (6, 3, 8, 8)),
        ("ImageData", "image_data_param { batch_size: 2 new_height: 6 new_width: 7 }", (2, 3, 6, 7)),
        ("ImageData", "image_data_param { new_height: 6 new_width: 7 is_color: false }", (1, 1, 6, 7)),
        (
            "ImageData",
            "transform_param { crop_size: 5 } image_data_param { new_height: 6 new_width: 7 }",
            (1, 3, 5, 5),
        ),
        ("MemoryData", "memory_data_param { batch_size: 2 channels: 4 height: 6 width: 7 }", (2, 4, 6, 7)),
        ("WindowData", "window_data_param { batch_size: 2 crop_size: 9 }", (2, 3, 9, 9)),
        (
            "AnnotatedData",
            "transform_param { mean_value: [1, 2, 3] resize_param { prob: 1 height: 6 width: 7 } }",
            (1, 3, 6, 7),
        ),
    ],
)
def test_the_size_of_the_pictures(tmp_path: Path, type_: str, fields: str, shape: tuple[int, ...]) -> None:
    net = deployed(tmp_path, layer(type_, "d", "", "data label", fields) + fc("fc1", "data"))
    assert dict(net.inputs) == {"data": shape}


def test_three_channels_are_an_assumption_that_is_told(tmp_path: Path) -> None:
    text = layer("Data", "d", "", "data", "transform_param { crop_size: 8 }") + fc("fc1", "data")
    assert any("assumed to have 3 channels" in note for note in deployed(tmp_path, text).notes)
    assert deployed(tmp_path, text, channels=lambda reader: 4).inputs["data"] == (1, 4, 8, 8)


@pytest.mark.parametrize("type_", ["Data", "HDF5Data", "Python", "DenseImageData"])
def test_an_unknown_size_is_an_error_with_its_remedy(tmp_path: Path, type_: str) -> None:
    text = layer(type_, "d", "", "data label") + fc("fc1", "data") + loss("loss", "fc1 label")
    with pytest.raises(UnknownShape, match=r'train_val.prototxt:1: .*"data".*--input-shape data=1,3,227,227') as caught:
        deployed(tmp_path, text)
    assert (caught.value.name, caught.value.reader) == ("data", "fc1")
    net = deployed(tmp_path, text, input_shapes={"data": (2, 1, 6, 7)})
    assert dict(net.inputs) == {"data": (2, 1, 6, 7)}


def test_a_python_layer_of_the_users_own_is_no_data_layer(tmp_path: Path) -> None:
    text = layer("Python", "d", "", "data", 'python_param { module: "m" layer: "L" }') + fc("fc1", "data")
    assert types(deployed(tmp_path, text, own={"Python:m.L"})) == ["Python", "InnerProduct"]


def test_v1_definitions(tmp_path: Path) -> None:
    text = """layers { name: "d" type: IMAGE_DATA top: "data" top: "label"
        image_data_param { batch_size: 7 crop_size: 6 } }
    layers { name: "fc" type: INNER_PRODUCT bottom: "data" top: "fc" inner_product_param { num_output: 3 } }
    layers { name: "loss" type: SOFTMAX_LOSS bottom: "fc" bottom: "label" }"""
    net = deployed(tmp_path, text)
    assert dict(net.inputs) == {"data": (7, 3, 6, 6)}
    assert net.outputs == ("prob",)


# ---- what is left alone

INPUTS = 'input: "x" input_shape { dim: [2, 3] } input: "label" input_shape { dim: 2 }'


def test_a_net_with_input_layers_is_not_touched(tmp_path: Path) -> None:
    """Someone who gives the labels wants the loss."""
    text = INPUTS + fc("fc", "x") + loss("loss", "fc label")
    net = deployed(tmp_path, text)
    assert (list(net.inputs), net.outputs, net.notes) == (["x", "label"], ("loss",), ())
    net = deployed(tmp_path, text, keep_losses=False)
    assert (list(net.inputs), net.outputs) == (["x"], ("prob",))


def test_input_layers_and_phase_rules_make_a_training_definition(tmp_path: Path) -> None:
    text = INPUTS + fc("fc", "x") + loss("loss", "fc label") + loss("acc", "fc label", only("TEST"), "Accuracy")
    net = deployed(tmp_path, text)
    assert (dict(net.inputs), net.outputs) == ({"x": (2, 3)}, ("prob",))


def test_one_input_layer_loses_the_label_and_its_shape(tmp_path: Path) -> None:
    both = layer("Input", "in", "", "label x", "input_param { shape { dim: 2 } shape { dim: [2, 3] } }")
    net = deployed(tmp_path, both + fc("fc", "x") + loss("loss", "fc label"), keep_losses=False)
    assert dict(net.inputs) == {"x": (2, 3)}


def test_every_conformance_net_is_left_alone(shared: Path) -> None:
    for path in sorted(shared.glob("conformance/*/*/net.prototxt")):
        net, plain = deploy(path), load(path)
        assert (net.outputs, dict(net.inputs), net.notes) == (plain.outputs, dict(plain.inputs), ()), path


# ---- nets in memory


def test_a_net_is_deployed_once_and_keeps_its_lines(tmp_path: Path) -> None:
    text = BASE + layer("SoftmaxWithLoss", "loss", "fc1 label", "loss", "frob: 1")
    net = deploy(loads(text, source="f.prototxt"))
    assert net.outputs == ("prob",)
    assert [each.where for each in net.layers][1] == 'f.prototxt:3: layer "fc1" (InnerProduct)'
    assert [(each.path, each.line) for each in net.layers[2].unknown] == [("frob", 4)]
    assert deploy(net) is net
    kept = deploy(loads(text), keep_losses=True)
    assert deploy(kept, input_shapes={"data": (1, 3, 8, 8)}).outputs == ("loss",)


def test_an_embedded_net_loses_the_splits_that_caffe_inserted() -> None:
    split = layer("Split", "fc1_fc1_0_split", "fc1", "fc1_fc1_0_split_0 fc1_fc1_0_split_1")
    ends = loss("loss", "fc1_fc1_0_split_0 label") + layer("ReLU", "r", "fc1_fc1_0_split_1", "y")
    message = loads(BASE + split + ends).message
    assert "Split" in types(from_message(message))
    net = deploy(message, source="w.caffemodel")
    assert types(net) == ["Input", "InnerProduct", "Softmax", "ReLU"]
    assert net.layers[2].bottoms == net.layers[3].bottoms == ("fc1",)


def test_an_embedded_net_is_whole_in_any_phase() -> None:
    """Caffe saves the net of phase TRAIN, filtered: what is left of a pair of twins belongs to the net."""
    norm = layer("BatchNorm", "bn", "fc1", "fc1", only("TRAIN") + "batch_norm_param { use_global_stats: false }")
    head = layer("Data", "data", "", "data label", only("TRAIN") + CROP) + fc("fc1", "data")
    text = head + norm + loss("loss", "fc1 label", only("TRAIN"))
    net = deploy(loads(text, phase="TRAIN").message, source="w.caffemodel", phase="TEST")
    assert types(net) == ["Input", "InnerProduct", "BatchNorm", "Softmax"]
    assert not net.layers[2].message.batch_norm_param.HasField("use_global_stats")
    assert any('"bn"' in note for note in net.notes)
    twin = layer("BatchNorm", "bn", "fc1", "fc1", only("TEST") + "batch_norm_param { use_global_stats: true }")
    unfiltered = parse(head + norm + twin + loss("loss", "fc1 label")).message
    assert types(deploy(unfiltered)) == ["Input", "InnerProduct", "BatchNorm", "Softmax"]


def test_a_value_that_only_a_fork_knows_is_refused_in_a_caffemodel() -> None:
    message = loads(INPUTS + layer("Pooling", "pool", "x", "y", "pooling_param { pool: AVE }")).message
    pool = b"\xca\x07\x02\x08"  # pooling_param (121) of 2 bytes: pool (1)
    binary = message.SerializeToString().replace(pool + b"\x01", pool + b"\x03")
    assert pool + b"\x03" in binary
    with pytest.raises(PrototxtError, match=r'layer "pool" .*pooling_param.pool is 3.*give the prototxt'):
        from_message(type(message).FromString(binary), source="w.caffemodel")


def test_fields_that_only_a_fork_knows_are_reported_by_number() -> None:
    message = loads(INPUTS + layer("ReLU", "r", "x", "y")).message
    assert from_message(message).unknown == ()
    other = type(message).FromString(message.SerializeToString() + b"\xf8\xff\x03\x07")  # field 8191: 7
    assert [(each.path, each.text) for each in from_message(other).unknown] == [("field 8191", "7")]


def test_a_video_definition_of_c3d() -> None:
    net = deploy(
        loads(
            'layers { name: "data" type: VIDEO_DATA top: "data" top: "label" image_data_param '
            "{ batch_size: 4 crop_size: 112 new_length: 16 } }"
            'layers { name: "c" type: CONVOLUTION3D bottom: "data" top: "c" convolution_param { num_output: 4 } }'
            'layers { name: "loss" type: SOFTMAX_LOSS bottom: "c" bottom: "label" }'
        )
    )
    assert dict(net.inputs) == {"data": (4, 3, 16, 112, 112)}
    assert types(net) == ["Input", "Convolution3D", "Softmax"]


def test_a_layer_that_only_writes_is_left_out_and_its_bottom_is_an_output() -> None:
    """DeepLab's MAT_WRITE: no top, a type that nobody else knows."""
    net = deploy(
        loads(layer("Data", "data", "", "data label", CROP) + fc("fc1", "data") + layer("MatWrite", "w", "fc1", ""))
    )
    assert net.outputs == ("fc1",)
    assert any("left out: metrics (w)" in note for note in net.notes)
