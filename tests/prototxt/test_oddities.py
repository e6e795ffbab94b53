"""What public Caffe files look like, oddity by oddity: each reads as the plain net it stands for, or says why not."""

from __future__ import annotations

from typing import Any

import pytest

from prototxt import PrototxtError, from_message, loads, parse
from prototxt.schema import message_class


def conv() -> Any:
    """What the plain text says, built without any reader."""
    net = message_class("NetParameter")(name="net")
    layer = net.layer.add(name="conv", type="Convolution", bottom=["data"], top=["conv"])
    layer.param.add(lr_mult=1)
    layer.param.add(lr_mult=2)
    layer.convolution_param.num_output = 16
    layer.convolution_param.kernel_size.extend([3, 5])
    return net


PLAIN = """name: "net"
layer {
  name: "conv"
  type: "Convolution"
  bottom: "data"
  top: "conv"
  param { lr_mult: 1 }
  param { lr_mult: 2 }
  convolution_param { num_output: 16 kernel_size: 3 kernel_size: 5 }
}
"""
SAME = {
    "plain": PLAIN,
    "single quotes": PLAIN.replace('"', "'"),
    "both quotes": PLAIN.replace('"conv"', "'conv'"),
    "a colon before the brace": PLAIN.replace(" {", ": {"),
    "few blanks": PLAIN.replace(": ", ":").replace(" {", "{").replace("{ ", "{").replace(" }", "}").replace("\n", ""),
    "one line": PLAIN.replace("\n", " "),
    "angle brackets": PLAIN.replace("{", "<").replace("}", ">"),
    "angle brackets inside": PLAIN.replace("{ lr_mult: 1 }", "< lr_mult: 1 >"),
    "line ends of Windows": PLAIN.replace("\n", "\r\n"),
    "tabs": PLAIN.replace("  ", "\t\t"),
    "comments": "# net\n" + PLAIN.replace("\n", " # \" ' { } layer {\n") + "# the end",
    "a comment at the end of the file": PLAIN + "#",
    "a comment within a field": PLAIN.replace("num_output:", "num_output # how many\n:  # :\n"),
    "semicolons": PLAIN.replace('"\n', '";\n').replace("16 ", "16; ").replace("}\n", "};\n"),
    "commas": PLAIN.replace('"\n', '",\n').replace("16 ", "16, ").replace("}\n", "},\n"),
    "a list of numbers": PLAIN.replace("kernel_size: 3 kernel_size: 5", "kernel_size: [3, 5]"),
    "a list of one": PLAIN.replace(
        "kernel_size: 3 kernel_size: 5", "kernel_size: [3] kernel_size: [5] kernel_size: []"
    ),
    "a list of strings": PLAIN.replace('bottom: "data"', "bottom: ['data']"),
    "a list of messages": PLAIN.replace("{ lr_mult: 1 }\n  param { lr_mult: 2 }", "[{ lr_mult: 1 }, < lr_mult: 2 >]"),
    "a list of layers": PLAIN.replace("layer {", "layer: [{") + "]",
    "hexadecimal": PLAIN.replace("16", "0x10"),
    "octal": PLAIN.replace("16", "020"),
    "adjacent strings": PLAIN.replace('"Convolution"', '"Conv" \'olu\'\n# so\n  "tion"'),
    "escapes": PLAIN.replace('"Convolution"', r'"\103onv\x6flu\164ion"'),
    "floats spelt otherwise": PLAIN.replace("lr_mult: 1", "lr_mult: 1.f").replace("lr_mult: 2", "lr_mult: 20E-1"),
    "a byte order mark": "\ufeff" + PLAIN,
    "blank lines and blanks at the end": "\n\n" + PLAIN.replace("\n", "  \n\n") + "\t\n",
    "another order": PLAIN.replace('  name: "conv"\n', "").replace("5 }", '5 }\n  name: "conv"'),
}


@pytest.mark.parametrize("oddity", SAME)
def test_reads_as_the_plain_net(oddity: str) -> None:
    parsed = parse(SAME[oddity], "f.prototxt")
    assert parsed.message == conv()
    assert parsed.unknown == ()


def field(text: str, name: str) -> Any:
    return getattr(parse(f"layer {{ {text} }}").message.layer[0], name)


def test_an_enum_may_be_a_number() -> None:
    """``operation: 1`` is SUM, as if by name."""
    assert field("eltwise_param { operation: 1 }", "eltwise_param") == field(
        "eltwise_param { operation: SUM }", "eltwise_param"
    )
    assert field("pooling_param { pool: 1 }", "pooling_param").pool == 1


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("True", True), ("t", True), ("1", True), ("false", False)]
)
def test_truth_has_several_spellings(word: str, value: bool) -> None:
    assert field(f"convolution_param {{ bias_term: {word} }}", "convolution_param").bias_term is value


def test_an_unknown_field_is_no_reason_to_refuse_a_file() -> None:
    parsed = parse(PLAIN.replace("num_output", 'quantize { mode: ROUND of: ["a", 1e3, < >] } blobs_lrs: 1 num_output'))
    assert parsed.message == conv()
    assert [(each.path, each.line, each.nearest) for each in parsed.unknown] == [
        ("convolution_param.quantize", 9, ""),
        ("convolution_param.blobs_lrs", 9, ""),
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "\nlayer { pooling_param { pool: AVE_EXC_PAD } }",
            "f.prototxt:2:31: pool: AVE_EXC_PAD is not one of MAX, AVE",
        ),
        ("layers { type: LOCALLY_CONNECTED }", "f.prototxt:1:16: LOCALLY_CONNECTED is not a layer type of Caffe's old"),
        ("layer {\n pooling_param { stride: [1,2,2] } }", "f.prototxt:2:26: stride takes one value, found a list"),
        (
            "layer { convolution_param { num_output: $#classes#$ } }",
            "f.prototxt:1:41: found the placeholder $#classes#$",
        ),
        (
            "layer { data_param { batch_size: {{ batch }} } }",
            "f.prototxt:1:34: found the placeholder {{ batch }}: this is a",
        ),
        (
            "layer { data_param { batch_size: %(batch)d } }",
            "f.prototxt:1:34: found the placeholder %(batch)d: this is a",
        ),
        ("input_dim: ${N}", "f.prototxt:1:12: found the placeholder ${N}: this is a template; fill it in first"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, found: str) -> None:
    with pytest.raises(PrototxtError) as caught:
        parse(text, "f.prototxt")
    assert str(caught.value).startswith(found)


RELU = {
    "V0": 'layers { layer { name: "r" type: "relu" } bottom: "x" top: "y" }',
    "V1": 'layers { name: "r" type: RELU bottom: "x" top: "y" }',
    "V2": 'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }',
}
INPUTS = {
    "input_dim": 'input: "x" input_dim: 1 input_dim: 3 input_dim: 4 input_dim: 5',
    "input_dim before input": 'input_dim: [1, 3, 4, 5] input: "x"',
    "input_shape": 'input: "x" input_shape { dim: 1 dim: 3 dim: 4 dim: 5 }',
    "both": 'input: "x" input_dim: [1, 3, 4, 5] input_shape { dim: [1, 3, 4, 5] }',
}


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("generation", RELU)
def test_generations_and_inputs(generation: str, inputs: str) -> None:
    net = loads(INPUTS[inputs] + "\n" + RELU[generation])
    assert dict(net.inputs) == {"x": (1, 3, 4, 5)} and net.outputs == ("y",)
    assert [(layer.name, layer.type) for layer in net.layers] == [("input", "Input"), ("r", "ReLU")]


def test_input_layers_and_several_inputs() -> None:
    shape = "input_param { shape { dim: [1, 3, 4, 5] } }"
    layers = "".join(f'layer {{ name: "{name}" type: "Input" top: "{name}" {shape} }} ' for name in "ab")
    add = 'layer { name: "s" type: "Eltwise" bottom: "a" bottom: "b" top: "y" }'
    assert dict(loads(layers + add).inputs) == {"a": (1, 3, 4, 5), "b": (1, 3, 4, 5)}
    old = 'input: "a" input_dim: [1, 3, 4, 5] input: "b" input_dim: [1, 3, 4, 5] '
    assert dict(loads(old + add).inputs) == {"a": (1, 3, 4, 5), "b": (1, 3, 4, 5)}


def test_numbers_of_forks_in_a_binary_file_are_not_taken_for_ours() -> None:
    """Field 143 is Input's parameter here and Interp's in PSPNet: names and types are taken, the rest is reported."""
    net = message_class("NetParameter")(input=["x"])
    net.input_shape.add(dim=[1, 3, 4, 5])
    net.layer.add(name="up", type="Interp", bottom=["x"], top=["y"])
    height_and_width = b"\x08\x3c\x10\x5a"  # interp_param { height: 60 width: 90 }
    parameter = bytes([143 << 3 & 0x7F | 0x80 | 2, 143 >> 4, len(height_and_width)]) + height_and_width
    net.layer[0].MergeFromString(parameter)
    loaded = from_message(message_class("NetParameter").FromString(net.SerializeToString()), source="p.caffemodel")
    assert [(layer.name, layer.type) for layer in loaded.layers] == [("input", "Input"), ("up", "Interp")]
    assert not loaded.layers[1].message.HasField("interp_param")


def test_blobs_of_half_precision_have_their_own_fields() -> None:
    """NVIDIA's fork: data stays empty."""
    blob = field(r'blobs { shape { dim: 2 } raw_data_type: FLOAT16 raw_data: "\000\074\000\300" }', "blobs")[0]
    assert (blob.raw_data_type, blob.raw_data, len(blob.data)) == (2, b"\x00\x3c\x00\xc0", 0)
