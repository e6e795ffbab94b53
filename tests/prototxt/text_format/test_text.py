"""The reader of protobuf's text format: what protobuf reads it reads alike, and errors say where."""

from __future__ import annotations

import math
import re
import time
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from prototxt import PrototxtError, parse
from prototxt.schema import message_class
from prototxt.text_format.files import read_text


def is_solver(path: Path) -> bool:
    return "base_lr" in path.read_text()


def nets(shared: Path) -> list[Path]:
    """What Caffe reads; `wild` holds nets of forks, with fields that no schema has."""
    paths = [path for path in sorted(shared.rglob("*.prototxt")) if "wild" not in path.parts]
    return [path for path in paths if not is_solver(path)]


def error(text: str, source: str = "f.prototxt", message_name: str = "NetParameter") -> str:
    with pytest.raises(PrototxtError) as caught:
        parse(text, source, message_name)
    assert "\n" not in str(caught.value)
    assert ";" in str(caught.value), "an error ends in a remedy"
    return str(caught.value)


def layer(text: str) -> Any:
    return parse(f"layer {{ {text} }}").message.layer[0]


def test_equals_protobuf_on_every_net(shared: Path) -> None:
    """Every shared file, strictly: protobuf's own parser with our schema is the reference."""
    paths = nets(shared)
    assert len(paths) > 260
    for path in paths:
        text = path.read_text()
        parsed = parse(text, str(path))
        assert parsed.message == text_format.Parse(text, message_class("NetParameter")()), path
        assert parsed.unknown == (), path


def test_solvers_equal_protobuf(shared: Path) -> None:
    for path in filter(is_solver, shared.rglob("*.prototxt")):
        text = path.read_text()
        expected = text_format.Parse(text, message_class("SolverParameter")())
        assert parse(text, str(path), "SolverParameter").message == expected


TRICKY = [
    "name: 'single' 'adjacent' \"double\"",
    r'name: "\a\b\f\n\r\t\v\\\'\"\101\x41\7"',
    "layer: < name: 'a' > , layer { } ; layer {}",
    "input: ['a', \"b\" 'c'] input_dim: [1, 0x10, 010, 0] input_dim: [] input_dim: 5;",
    "input_shape: [{dim: 1}, <dim: [2, 3]>] input_shape { }",
    "input_dim: -2147483648 input_dim: 2147483647 input_dim: -3",
    "layer { loss_weight: [1, 1., .5, 1e3, 1E-3f, 2f, -1.5, inf, -inf, infinity, 1e40, -Infinity] }",
    "layer { loss_weight: nan }",
    "force_backward: t debug_info: 0 layer { propagate_down: [true, false, 1, 0, t, f, True, False] }",
    "layer { eltwise_param { operation: 1 } pooling_param { pool: AVE engine: 2 } include: { phase: TEST } }",
    "name: 'a'\r\n# comment with CRLF\r\nlayer {\r\n}\r\n",
    "name:# a comment inside\n'x'",
    "layer{name:'x'top:'y'bottom:'z'}",
    "layer { reshape_param { shape { dim: 0 dim: -1 } axis: -9223372 } }",
    "name: '\u00e9\u4e2d'",
    "state { phase: TEST level: 3 stage: 'a' }",
    "",
]


@pytest.mark.parametrize("text", TRICKY)
def test_equals_protobuf_on_tricky_texts(text: str) -> None:
    expected = text_format.Parse(text, message_class("NetParameter")())
    # Bytes, not messages: NaN is not equal to itself.
    text = text or "# nothing"
    assert parse(text).message.SerializeToString() == expected.SerializeToString()


REFUSED = [
    "layer { pooling_param { kernel_size: [1, 2, 2] } }",
    "layer { pooling_param { kernel_size: [3] } }",
    "layer { pooling_param { pool: AVE_EXC_PAD } }",
    "layer { name: 'a' name: 'b' }",
    "layer { relu_param { } relu_param { } }",
    "layer { name 'a' }",
    "layer 'a'",
    "layer { name: a }",
    "layer { type: CONVOLUTION }",
    "layers { type: 'CONVOLUTION' }",
    "layers { type: IMAGE_LABEL_DATA }",
    "layer { convolution_param { num_output: -1 } }",
    "layer { convolution_param { num_output: 4294967296 } }",
    "layer { convolution_param { num_output: 1.0 } }",
    "layer { convolution_param { num_output: 1e3 } }",
    "layer { convolution_param { num_output: 09 } }",
    "layer { convolution_param { num_output: '3' } }",
    "layer { convolution_param { bias_term: yes } }",
    "layer { convolution_param { bias_term: 2 } }",
    "layer { eltwise_param { operation: 7 } }",
    "layer { eltwise_param { operation: 'SUM' } }",
    "layer { lrn_param { alpha: 1.2.3 } }",
    "layer { lrn_param { alpha: 3x } }",
    "layer { lrn_param { alpha: 0x10 } }",
    "layer { lrn_param { alpha: } }",
    "layer { name: 'a }",
    "layer { name: 'a\n' }",
    "layer { top: ['a' 'b', ] }",
    "layer { top: ['a'",
    "layer { top: ['a' }",
    "layer {",
    "layer { > ",
    "layer { } }",
    "layer < }",
    "; layer { }",
    "layer { } ;;",
    "1: 2",
    "layer { num-output: 3 }",
]


@pytest.mark.parametrize("text", REFUSED)
def test_refuses_what_protobuf_refuses(text: str) -> None:
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text, message_class("NetParameter")())
    assert error(text).startswith("f.prototxt:")


@pytest.mark.parametrize(
    "text",
    [
        "layer { lrn_param { alpha: +1 } }",
        r"layer { name: 'C:\data' }",
        r"name: '\ud800'",
        r"name: '\777'",
        "layer { clip_param { min: 0 } }",
        "name: 'x' \xa0",
        "layer { lrn_param { alpha: 010 } }",
    ],
)
def test_refuses_what_only_the_c_parser_refuses(text: str) -> None:
    """Caffe reads with protobuf's C++ parser, which is stricter than the Python one."""
    assert error(text).startswith("f.prototxt:1:")


def test_accepts_what_only_the_c_parser_accepts() -> None:
    parsed = parse(r"input_dim: - 3 layer { loss_weight: [- .5, 2F] } name: 'why\?\u00e9\U0001F600'")
    assert list(parsed.message.input_dim) == [-3]
    assert list(parsed.message.layer[0].loss_weight) == [-0.5, 2.0]
    assert parsed.message.name == "why?\u00e9\U0001f600"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "layer {\n  pooling_param { pool: AVE_EXC_PAD } }",
            "f.prototxt:2:25: pool: AVE_EXC_PAD is not one of MAX, AVE, ",
        ),
        ("\n\nlayer { pooling_param { stride: [1,2,2] } }", "f.prototxt:3:33: stride takes one value, found a list"),
        ("layer { pooling_param { pad: 0.5 } }", "f.prototxt:1:30: pad takes a whole number, found '0.5'"),
        ("layer { pooling_param { pad: -1 } }", "1:30: pad: -1 is out of range; it may be 0 to 4294967295"),
        ("layer {\n name: 'a'\n name: 'b' }", "f.prototxt:3:2: name stands here for the second time (first in line 2)"),
        ("layer { }\nlayer {\n pooling_param {\n}", "f.prototxt:2:7: this { of layer number 2 is never closed"),
        ("layer { }\nlayer {\n pooling_param {\n", "f.prototxt:3:16: this { of pooling_param is never closed"),
        ("layer { }\nlayer {\n foo {\n", "f.prototxt:3:6: this { of layer number 2 is never closed"),
        ("layer { top: [ 'a', ", "f.prototxt:1:14: this [ of layer number 1 is never closed"),
        ("layer { }\n}", "f.prototxt:2:1: this } closes nothing"),
        ("layer {\n>", "f.prototxt:2:1: found >, but the { of line 1 is open; close it with }"),
        ("layer { foo: [ 1 }", "f.prototxt:1:18: found }, but the [ of line 1 is open; close it with ]"),
        ("layer { name: 'a\n }", "f.prototxt:1:15: a string is not closed on its line; add the closing '"),
        (
            "layers {\n type: IMAGE_LABEL_DATA }",
            "f.prototxt:2:8: IMAGE_LABEL_DATA is not a layer type of Caffe's old format",
        ),
        ("layers { type: CONVOLUTON3D }", "nearest: CONVOLUTION3D"),
        ("layers { type: POLING }", "nearest: POOLING"),
        ("layer { type: CONVOLUTION }", 'the new layer { } takes one such as "Convolution"'),
        ("layers { type: 'Convolution' }", "the old layers { } take a name such as CONVOLUTION"),
        ("layer { name: conv1 }", 'write "conv1"'),
        ("layer { bottm 'x' }", "did you mean bottom?"),
        ("layer { clip_param { min: 0 } }", "clip_param lacks max"),
        (r"layer { name: 'C:\data' }", r"\d is not an escape sequence"),
        ("layer { name: 'x' \xa0 }", "(U+00A0)"),
    ],
)
def test_errors_say_where_and_what(text: str, found: str) -> None:
    assert found in error(text)


@pytest.mark.parametrize(
    ("text", "placeholder"),
    [
        ("layer { convolution_param { num_output: $#n#$ } }", "$#n#$"),
        ("layer { convolution_param { num_output: {{ n }} } }", "{{ n }}"),
        ("layer { convolution_param { num_output: ${N} } }", "${N}"),
        ("layer { convolution_param { num_output: %d } }", "%d"),
        ("{% for i in x %}\nlayer { }\n{% endfor %}", "{% for i in x %}"),
    ],
)
def test_templates_are_named(text: str, placeholder: str) -> None:
    assert f"found the placeholder {placeholder}: this is a template; fill it in first" in error(text)


def test_a_placeholder_inside_a_string_is_a_string() -> None:
    assert layer("data_param { source: '${DATA}/{{x}}' }").data_param.source == "${DATA}/{{x}}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "the file is empty"),
        (" \r\n\t", "the file is empty"),
        ("<!DOCTYPE html>\n<html></html>", "web page (HTML)"),
        ("\n<html lang='en'>", "web page (HTML)"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", "Git LFS pointer"),
        ("\n\x05LeNet\x12\x10\x00\x01", "binary file (a caffemodel?)"),
        ("\x89HDF\r\n\x1a\n\x00", "HDF5"),
        ("PK\x03\x04\x14\x00", "zip"),
        ("\x1f\x8b\x08\x00", "gzip"),
        ("404: Not Found", "web server"),
    ],
)
def test_other_files_are_named_as_what_they_are(text: str, found: str, tmp_path: Path) -> None:
    message = error(text)
    assert message.startswith("f.prototxt: ") and found in message
    path = tmp_path / "net.prototxt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(PrototxtError, match=re.escape(found)):
        read_text(path)


def test_real_caffemodel_is_no_prototxt(shared: Path) -> None:
    with pytest.raises(PrototxtError, match="binary file"):
        read_text(shared / "shapes-cam" / "shapes-cam.caffemodel")


def test_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(PrototxtError, match=r"none\.prototxt: cannot read the file: No such file"):
        read_text(tmp_path / "none.prototxt")
    with pytest.raises(PrototxtError, match="cannot read the file"):
        read_text(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_bytes("# caf\u00e9\nname: 'caf\u00e9'\nlayer { }".encode(encoding))
    parsed = parse(read_text(path), str(path))
    assert parsed.message.name == "caf\u00e9" and parsed.lines == (3,)


def test_byte_order_mark_in_a_string() -> None:
    assert parse("\ufeffname: 'n'").message.name == "n"


def test_strings_of_escaped_latin1() -> None:
    assert parse(r"name: 'caf\351'").message.name == "caf\u00e9"


def test_bytes_field() -> None:
    parsed = parse(r"data: 'a\377' 'b' label: 3", message_name="Datum")
    assert parsed.message.data == b"a\xffb" and parsed.message.label == 3


def test_floats_are_rounded_to_float32() -> None:
    weights = layer("loss_weight: [0.1, 1e40, nan, -inf]").loss_weight
    assert weights[0] == pytest.approx(0.1, rel=1e-7) and weights[0] != 0.1
    assert weights[1] == math.inf and math.isnan(weights[2]) and weights[3] == -math.inf


def test_lines_of_layers_and_first_fields() -> None:
    parsed = parse("name: 'n'\ninput: 'a'\ninput: 'b' # two\n\nlayer {\n}\n  layer { } layer\n{ }\n")
    assert parsed.lines == (5, 7, 7)
    assert dict(parsed.first) == {"name": 1, "input": 2, "layer": 5}


def test_unknown_fields_are_reported_one_by_one() -> None:
    text = (
        "colour: RED\n"
        "layer { }\n"
        "layer {\n"
        "  pooling_param { pool: MAX foo: [1, 2] kernal_size: 3 }\n"
        "  bar { a: 1\n baz < b: 'x}' > } qux: 'a' 'b'; top: 't'\n"
        "}\n"
    )
    parsed = parse(text)
    found = [(each.path, each.line, each.column, each.text, each.layer) for each in parsed.unknown]
    assert found == [
        ("colour", 1, 1, "RED", None),
        ("pooling_param.foo", 4, 29, "[1, 2]", 1),
        ("pooling_param.kernal_size", 4, 41, "3", 1),
        ("bar", 5, 3, "{ a: 1 baz < b: 'x}' > }", 1),
        ("qux", 6, 20, "'a' 'b'", 1),
    ]
    assert parsed.unknown[2].nearest == "kernel_size"
    assert list(parsed.message.layer[1].top) == ["t"]
    assert parsed.message.layer[1].pooling_param.HasField("pool")


def test_unknown_identifiers_inside_unknown_fields_are_no_problem() -> None:
    assert parse("layer { foo { mode: NO_SUCH_MODE x: -inf y: 0x1F } }").unknown[0].path == "foo"


def test_the_nearest_known_name_is_told() -> None:
    parsed = parse("layer { convolution_params { } zzzzzz: 1 }")
    assert [each.nearest for each in parsed.unknown] == ["convolution_param", ""]


@pytest.mark.parametrize(("name", "limit"), [("bvlc_googlenet", 0.06), ("segflow", 0.15)])
def test_is_fast(shared: Path, name: str, limit: float) -> None:
    text = (shared / "corpus" / f"{name}.prototxt").read_text()

    def seconds() -> float:
        start = time.perf_counter()
        parse(text, name)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < limit
