"""Older formats to today's, against nets written by hand in today's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from prototxt import PrototxtError, from_message, load, loads
from prototxt.generations.upgrade import upgrade
from prototxt.generations.v0 import V0_TYPES
from prototxt.generations.v1_types import V1_NUMBERS, V1_TYPES
from prototxt.schema import message_class


def message(text: str) -> Any:
    return text_format.Parse(text, message_class("NetParameter")())


def upgraded(text: str) -> Any:
    return upgrade(message(text)).message


FILLERS = 'weight_filler { type: "xavier" } bias_filler { type: "constant" }'
RATES = "param { lr_mult: 1 } param { lr_mult: 2 }"
LENET = f"""
name: "LeNet"
layer {{ name: "input" type: "Input" top: "data" input_param {{ shape {{ dim: [64, 1, 28, 28] }} }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1" {RATES}
  convolution_param {{ num_output: 20 kernel_size: 5 stride: 1 {FILLERS} }} }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "conv2" type: "Convolution" bottom: "pool1" top: "conv2" {RATES}
  convolution_param {{ num_output: 50 kernel_size: 5 stride: 1 {FILLERS} }} }}
layer {{ name: "pool2" type: "Pooling" bottom: "conv2" top: "pool2"
  pooling_param {{ pool: MAX kernel_size: 2 stride: 2 }} }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "pool2" top: "ip1" {RATES}
  inner_product_param {{ num_output: 500 {FILLERS} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "ip1" top: "ip1" }}
layer {{ name: "ip2" type: "InnerProduct" bottom: "ip1" top: "ip2" {RATES}
  inner_product_param {{ num_output: 10 {FILLERS} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "ip2" top: "prob" }}
"""

SPECS = "param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }"


def conv(name: str, bottom: str, rest: str, bias: int) -> str:
    fillers = f'weight_filler {{ type: "gaussian" std: 0.01 }} bias_filler {{ type: "constant" value: {bias} }}'
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" {SPECS}'
        f" convolution_param {{ {rest} {fillers} }} }}"
    )


def relu(name: str, blob: str) -> str:
    return f'layer {{ name: "{name}" type: "ReLU" bottom: "{blob}" top: "{blob}" }}'


def pool(name: str, bottom: str) -> str:
    param = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
    return f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}" {param} }}'


def norm(name: str, bottom: str) -> str:
    param = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    return f'layer {{ name: "{name}" type: "LRN" bottom: "{bottom}" top: "{name}" {param} }}'


def fc(name: str, bottom: str, outputs: int, std: float, bias: int) -> str:
    fillers = f'weight_filler {{ type: "gaussian" std: {std} }} bias_filler {{ type: "constant" value: {bias} }}'
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}" {SPECS}'
        f" inner_product_param {{ num_output: {outputs} {fillers} }} }}"
    )


def drop(name: str, blob: str) -> str:
    param = "dropout_param { dropout_ratio: 0.5 }"
    return f'layer {{ name: "{name}" type: "Dropout" bottom: "{blob}" top: "{blob}" {param} }}'


IMAGENET = "\n".join(
    [
        'name: "CaffeNet"',
        'layer { name: "input" type: "Input" top: "data" input_param { shape { dim: [10, 3, 227, 227] } } }',
        conv("conv1", "data", "num_output: 96 kernel_size: 11 stride: 4", 0),
        relu("relu1", "conv1"),
        pool("pool1", "conv1"),
        norm("norm1", "pool1"),
        conv("conv2", "norm1", "num_output: 256 group: 2 kernel_size: 5 pad: 2", 1),
        relu("relu2", "conv2"),
        pool("pool2", "conv2"),
        norm("norm2", "pool2"),
        conv("conv3", "norm2", "num_output: 384 kernel_size: 3 pad: 1", 0),
        relu("relu3", "conv3"),
        conv("conv4", "conv3", "num_output: 384 group: 2 kernel_size: 3 pad: 1", 1),
        relu("relu4", "conv4"),
        conv("conv5", "conv4", "num_output: 256 group: 2 kernel_size: 3 pad: 1", 1),
        relu("relu5", "conv5"),
        pool("pool5", "conv5"),
        fc("fc6", "pool5", 4096, 0.005, 1),
        relu("relu6", "fc6"),
        drop("drop6", "fc6"),
        fc("fc7", "fc6", 4096, 0.005, 1),
        relu("relu7", "fc7"),
        drop("drop7", "fc7"),
        fc("fc8", "fc7", 1000, 0.01, 0),
        'layer { name: "prob" type: "Softmax" bottom: "fc8" top: "prob" }',
    ]
)


@pytest.mark.parametrize(("name", "expected"), [("v0_lenet", LENET), ("v0_imagenet", IMAGENET)])
def test_v0_nets_equal_hand_written_ones(shared: Path, name: str, expected: str) -> None:
    text = (shared / "corpus" / f"{name}.prototxt").read_text()
    result = upgrade(message(text))
    assert result.message == message(expected)
    assert result.ignored == ()
    assert result.origins == (None, *range(len(result.message.layer) - 1))


def test_v0_layers_keep_their_lines(shared: Path) -> None:
    net = load(shared / "corpus" / "v0_lenet.prototxt")
    assert [layer.line for layer in net.layers[:3]] == [2, 8, 27]


def v0(type_: str, fields: str = "", bottom: str = "x", top: str = "y") -> str:
    return f'layers {{ layer {{ name: "{top}" type: "{type_}" {fields} }} bottom: "{bottom}" top: "{top}" }}\n'


INPUT = 'input: "x" input_dim: 1 input_dim: 2 input_dim: 8 input_dim: 8\n'


def test_v0_padding_is_folded_into_convolution_and_pooling() -> None:
    text = (
        INPUT
        + v0("padding", "pad: 2", "x", "p")
        + v0("conv", "num_output: 4 kernelsize: 5", "p", "c")
        + v0("padding", "pad: 1", "c", "q")
        + v0("pool", "pool: AVE kernelsize: 3", "q", "o")
    )
    result = upgrade(message(text))
    expected = """
    layer { name: "input" type: "Input" top: "x" input_param { shape { dim: [1, 2, 8, 8] } } }
    layer { name: "c" type: "Convolution" bottom: "x" top: "c"
      convolution_param { num_output: 4 kernel_size: 5 pad: 2 } }
    layer { name: "o" type: "Pooling" bottom: "c" top: "o" pooling_param { pool: AVE kernel_size: 3 pad: 1 } }
    """
    assert result.message == message(expected)
    assert result.origins == (None, 1, 3)
    assert [layer.line for layer in loads(text).layers] == [1, 3, 5]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (v0("padding", "pad: 1", "x", "p") + v0("relu", "", "p", "r"), "Caffe pads single-input conv and pool only"),
        (v0("relu", "", "nowhere", "r"), 'unknown bottom blob "nowhere"'),
        (
            v0("inner_product", "", "x", "r"),
            '"inner_product" is no layer type of the oldest format; nearest: innerproduct',
        ),
        (v0("relu") + 'layers { type: RELU bottom: "y" top: "z" }', "lacks the inner layer"),
    ],
)
def test_v0_errors(text: str, found: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        loads(INPUT + text, source="old.prototxt")
    assert str(caught.value).startswith("old.prototxt:") and found in str(caught.value)


def test_v0_data_fields() -> None:
    fields = 'source: "db" meanfile: "m" batchsize: 8 cropsize: 5 mirror: true scale: 0.5 rand_skip: 3'
    text = f'layers {{ layer {{ name: "d" type: "data" {fields} }} top: "data" top: "label" }}'
    expected = """layer { name: "d" type: "Data" top: "data" top: "label"
      transform_param { scale: 0.5 mean_file: "m" crop_size: 5 mirror: true }
      data_param { source: "db" batch_size: 8 rand_skip: 3 } }"""
    assert upgraded(text) == message(expected)


def test_v0_images_and_windows() -> None:
    images = 'source: "l" batchsize: 2 new_height: 6 new_width: 7 shuffle_images: true'
    windows = 'source: "w" det_fg_threshold: 0.25 det_bg_threshold: 0.125 det_fg_fraction: 0.5'
    windows += ' det_context_pad: 4 det_crop_mode: "square"'
    text = f'layers {{ layer {{ type: "images" {images} }} top: "a" }}'
    text += f'layers {{ layer {{ type: "window_data" {windows} }} top: "b" }}'
    expected = """
    layer { type: "ImageData" top: "a"
      image_data_param { source: "l" batch_size: 2 new_height: 6 new_width: 7 shuffle: true } }
    layer { type: "WindowData" top: "b" window_data_param { source: "w" fg_threshold: 0.25 bg_threshold: 0.125
      fg_fraction: 0.5 context_pad: 4 crop_mode: "square" } }"""
    assert upgraded(text) == message(expected)


def test_v0_fields_that_caffe_drops_are_reported() -> None:
    net = loads(INPUT + v0("relu", "num_output: 3 new_num: 4"), source="old.prototxt")
    found = [(each.path, each.line, each.text) for each in net.unknown]
    assert found == [("layer.num_output", 2, "3"), ("layer.new_num", 2, "4")]
    assert net.layers[1].unknown == net.unknown


def test_v1_type_names_cover_the_enum() -> None:
    enum = message_class("V1LayerParameter").DESCRIPTOR.fields_by_name["type"].enum_type
    assert set(V1_TYPES) == {value.name for value in enum.values}
    assert set(V0_TYPES.values()) <= set(V1_TYPES)


def test_v1_layer_is_carried_over() -> None:
    text = """
    layers { name: "c" type: CONVOLUTION bottom: "x" top: "y" blobs_lr: 1 blobs_lr: 2 weight_decay: 3
      param: "w" param: "b" blob_share_mode: PERMISSIVE loss_weight: 0.5
      include { phase: TEST } convolution_param { num_output: 3 } blobs { num: 1 data: 2 } }
    layers { name: "l" type: SOFTMAX_LOSS bottom: "y" loss_param { ignore_label: 1 } exclude { phase: TRAIN }
      softmax_param { engine: CAFFE } transform_param { scale: 2 } }"""
    expected = """
    layer { name: "c" type: "Convolution" bottom: "x" top: "y" loss_weight: 0.5 include { phase: TEST }
      param { name: "w" share_mode: PERMISSIVE lr_mult: 1 decay_mult: 3 } param { name: "b" lr_mult: 2 }
      convolution_param { num_output: 3 } blobs { num: 1 data: 2 } }
    layer { name: "l" type: "SoftmaxWithLoss" bottom: "y" loss_param { ignore_label: 1 } exclude { phase: TRAIN }
      softmax_param { engine: CAFFE } transform_param { scale: 2 } }"""
    assert upgraded(text) == message(expected)


def test_every_v1_parameter_has_a_home() -> None:
    new = message_class("LayerParameter").DESCRIPTOR.fields_by_name
    for field in message_class("V1LayerParameter").DESCRIPTOR.fields:
        if field.name not in ("blobs_lr", "weight_decay", "blob_share_mode", "layer"):
            assert field.name in new


def test_v1_data_transformation() -> None:
    text = """layers { name: "d" type: IMAGE_DATA top: "x" transform_param { crop_size: 3 }
      image_data_param { source: "s" scale: 2 mean_file: "m" mirror: true crop_size: 4 } }
      layers { name: "h" type: HDF5_DATA top: "y" hdf5_data_param { source: "t" } }"""
    expected = """layer { name: "d" type: "ImageData" top: "x" image_data_param { source: "s" }
      transform_param { scale: 2 mean_file: "m" mirror: true crop_size: 4 } }
      layer { name: "h" type: "HDF5Data" top: "y" hdf5_data_param { source: "t" } }"""
    assert upgraded(text) == message(expected)


def test_mixed_layer_and_layers_are_refused() -> None:
    with pytest.raises(PrototxtError, match=r"both layers .* and layer .*: Caffe would drop"):
        loads('layers { name: "a" type: RELU } layer { name: "b" type: "ReLU" }')


def test_the_original_is_not_changed() -> None:
    net = message(INPUT + 'layers { name: "d" type: DATA data_param { scale: 2 } top: "y" }')
    before = net.SerializeToString()
    upgrade(net)
    assert net.SerializeToString() == before


@pytest.mark.parametrize(
    "inputs",
    [
        'input: "a" input: "b" input_dim: [1, 2, 3, 4, 5, 6, 7, 8]',
        'input: "a" input: "b" input_shape { dim: [1, 2, 3, 4] } input_shape { dim: [5, 6, 7, 8] }',
        'input: "a" input: "b" input_dim: [1, 2, 3, 4, 5, 6, 7, 8]'
        "input_shape { dim: [1, 2, 3, 4] } input_shape { dim: [5, 6, 7, 8] }",
    ],
)
def test_legacy_inputs_become_a_layer_at_the_front(inputs: str) -> None:
    result = upgrade(message(inputs + 'layer { name: "e" type: "Concat" bottom: "a" bottom: "b" top: "c" }'))
    expected = """layer { name: "input" type: "Input" top: "a" top: "b"
      input_param { shape { dim: [1, 2, 3, 4] } shape { dim: [5, 6, 7, 8] } } }
      layer { name: "e" type: "Concat" bottom: "a" bottom: "b" top: "c" }"""
    assert result.message == message(expected)
    assert result.origins == (None, 0)


@pytest.mark.parametrize(
    ("inputs", "found"),
    [
        ('input: "a" input_dim: [1, 2, 3]', "1 input(s) need 4 input_dim (4 each), found 3"),
        ('input: "a" input: "b" input_dim: [1, 2, 3, 4]', "2 input(s) need 8 input_dim"),
        ('input: "a" input: "b" input_shape { dim: 1 }', "2 input(s) need 2 input_shape, found 1"),
        ('input: "a" input_dim: [1, 2, 3, 4] input_shape { dim: 1 }', "contradict each other"),
    ],
)
def test_legacy_inputs_that_do_not_add_up(inputs: str, found: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        loads(inputs + 'layer { name: "r" type: "ReLU" bottom: "a" top: "c" }', source="f.prototxt")
    assert found in str(caught.value) and str(caught.value).startswith("f.prototxt: ")


def test_dimensions_without_input_are_reported() -> None:
    text = 'name: "n"\ninput_dim: [1, 2]\nlayer { name: "d" type: "Input" top: "x" input_param { shape { dim: 3 } } }'
    net = loads(text + 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    assert [(each.path, each.line, each.text) for each in net.unknown] == [("input_dim", 2, "1, 2")]
    assert dict(net.inputs) == {"x": (3,)} and not net.layers[0].unknown


def test_batch_norm_with_three_params_is_frozen() -> None:
    text = """layer { type: "BatchNorm" param { lr_mult: 1 } param { name: "v" } param { decay_mult: 2 } }
      layer { type: "BatchNorm" param { lr_mult: 1 } } layer { type: "Scale" param { } param { } param { } }"""
    zero = "lr_mult: 0 decay_mult: 0"
    expected = f"""layer {{ type: "BatchNorm" param {{ {zero} }} param {{ name: "v" {zero} }} param {{ {zero} }} }}
      layer {{ type: "BatchNorm" param {{ lr_mult: 1 }} }}
      layer {{ type: "Scale" param {{ }} param {{ }} param {{ }} }}"""
    assert upgraded(text) == message(expected)


def test_binary_nets_of_all_generations() -> None:
    """What Caffe wrote: the same nets, through the wire."""
    wires = 'name: "y" bottom: "x" top: "y"'
    param = "convolution_param { num_output: 3 kernel_size: 1 }"
    nets = [
        INPUT + v0("conv", "num_output: 3 kernelsize: 1"),
        f"{INPUT} layers {{ {wires} type: CONVOLUTION {param} }}",
        f'{INPUT} layer {{ {wires} type: "Convolution" {param} }}',
    ]
    for text in nets:
        binary = message_class("NetParameter").FromString(message(text).SerializeToString())
        net = from_message(binary, source="w.caffemodel")
        assert [(layer.name, layer.type) for layer in net.layers] == [("input", "Input"), ("y", "Convolution")]
        assert net.layers[1].message.convolution_param.num_output == 3
        assert net.layers[1].line is None
        assert net.layers[1].where == 'w.caffemodel: layer "y" (Convolution)'


def test_binary_layer_type_of_a_fork_is_an_error() -> None:
    text = message('layers { name: "c3d" type: RELU bottom: "x" top: "y" }').SerializeToString()
    relu, fork = bytes([5 << 3, 18]), bytes([5 << 3, 45])
    assert text.count(relu) == 1
    binary = message_class("NetParameter").FromString(text.replace(relu, fork))
    with pytest.raises(PrototxtError, match=r'w: layer "c3d" .*layer type number 45'):
        from_message(binary, source="w")


def test_a_message_of_another_caffe_pb2_is_understood() -> None:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    from prototxt import schema

    file = FileDescriptorProto()
    message_class("NetParameter").DESCRIPTOR.file.CopyToProto(file)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    assert pool is not schema.pool()
    foreign = GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))
    net = text_format.Parse(INPUT + 'layers { name: "r" type: RELU bottom: "x" top: "y" }', foreign())
    assert from_message(net).outputs == ("y",)


def test_v1_numbers_match_the_schema() -> None:
    numbers = message_class("V1LayerParameter").DESCRIPTOR.enum_types_by_name["LayerType"].values_by_name
    special = {"": "NONE", "SoftmaxWithLoss": "SOFTMAX_LOSS"}
    for number, name in V1_NUMBERS.items():
        spelt = special.get(name) or next(key for key in numbers if key.replace("_", "") == name.upper())
        assert numbers[spelt].number == number
    assert V1_NUMBERS[4] == "Convolution" and V1_NUMBERS[14] == "InnerProduct" and V1_NUMBERS[39] == "Deconvolution"
