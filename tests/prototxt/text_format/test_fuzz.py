"""Damaged files: whatever happens to a text, the reader answers with a net or with one line that says where."""

from __future__ import annotations

import random
import re
import time

import pytest

from prototxt import PrototxtError, loads, parse
from prototxt.text_format import tokens

V0 = """name: "old"
input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "x" top: "p" }
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 5 blobs_lr: 1. blobs_lr: 2.
  weight_filler { type: "gaussian" std: 0.01 } } bottom: "p" top: "c" }
"""
V1 = """name: 'C3D' # a clip
input: "clip" input_shape: < dim: 1 dim: 3, dim: 16; dim: 0x20 dim: 32 >
layers {
  name: "conv1a" type: CONVOLUTION3D bottom: "clip" top: "conv1a" blobs_lr: 1 blobs_lr: 2
  convolution_param { num_output: 64 kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1 }
}
layers { name: "relu1a" type: RELU bottom: "conv1a" top: "conv1a" }
layers { name: "pool1" type: POOLING3D bottom: "conv1a" top: "pool1"
  pooling_param { pool: MAX kernel_size: 2 kernel_depth: 1 stride: 2 } }
"""
V2 = """name: "new"\r
layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: [10, 3, 227, 227] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 decay_mult: 1e-3 }
  convolution_param { num_output: 96 kernel_size: 11 stride: 4 weight_filler { type: "gaussian" std: .01f } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" include { phase: TEST } relu_param { engine: 1 } }
"""
SSD = """layer { name: "priors" type: "PriorBox" bottom: "f" bottom: "d" top: "priors"
  prior_box_param { min_size: 30.0 max_size: 60.0 aspect_ratio: 2 flip: true clip: false variance: 0.1 offset: 0.5 } }
layer { name: "out" type: "DetectionOutput" bottom: "a" bottom: "b" bottom: "priors" top: "out"
  detection_output_param { num_classes: 21 code_type: CENTER_SIZE nms_param { nms_threshold: 0.45 top_k: 400 }
    save_output_param { label_map_file: "C:\\\\labels\\\\\\x41.txt" } keep_top_k: 200 confidence_threshold: -inf } }
"""
ODD = """unheard { of: [1, 'two', { three: <> }] } force_backward: t;
layer: [ { name: 'a' 'b' "c" type: "Eltwise" eltwise_param { operation: 1 coeff: [1, -1.] } }, { } ]
layer < type: 'Python' python_param { module: 'm' layer: "L" param_str: "{'a': 1}" } >
"""
TEXTS = [V0, V1, V2, SSD, ODD]
PLACED = re.compile(r"f\.prototxt:[1-9]\d*:[1-9]\d*: \S")
WHOLE_FILE = ("f.prototxt: it is ", "f.prototxt: the file is empty")
PIECES = [
    *"{}<>[]:;,\"'#\\$-.\0\t\n\r",
    "\ud800",
    "\u2028",
    "\x85",
    "é",
    "layer",
    "layers {",
    "type: RELU",
    "99999999999",
]


def mutant(random_: random.Random) -> str:
    """One of the texts with a few accidents: bytes flipped, pieces cut out, doubled, moved or put in, the end lost."""
    text = random_.choice(TEXTS)
    for _ in range(random_.randint(1, 4)):
        at = random_.randrange(len(text) + 1)
        end = min(len(text), at + random_.choice([1, 1, 1, 2, 5, 40]))
        accident = random_.randrange(6)
        if accident == 0:
            text = text[:at]
        elif accident == 1:
            text = text[:at] + text[end:]
        elif accident == 2:
            text = text[:end] + text[at:]
        elif accident == 3:
            text = text[:at] + random_.choice(PIECES) + text[at:]
        elif accident == 4 and at < len(text):
            text = text[:at] + chr(ord(text[at]) ^ (1 << random_.randrange(8))) + text[at + 1 :]
        else:
            text = text[end:] + text[:at]
    return text


def answer(text: str, read: object = parse) -> str:
    """The error's text, "" if there is none; any other exception is the test's failure."""
    assert callable(read)
    try:
        read(text, source="f.prototxt")
    except PrototxtError as error:
        return str(error)
    return ""


def test_the_originals_are_read() -> None:
    assert [answer(text) for text in TEXTS] == [""] * 5
    assert [answer(text, loads) for text in (V0, V1, V2)] == [""] * 3


def test_mutants_are_read_or_refused_in_one_line() -> None:
    random_ = random.Random(20260714)
    refused = 0
    for _ in range(3000):
        text = mutant(random_)
        message = answer(text)
        if message:
            refused += 1
            assert len(message.splitlines()) == 1 and len(message) < 600, (text, message)
            assert PLACED.match(message) or message.startswith(WHOLE_FILE), (text, message)
            assert "; " in message, (text, message)
        elif len(text) < 5000:
            later = answer(text, loads)  # what is wrong with the net itself is told as shortly
            assert len(later.splitlines()) <= 1, (text, later)
    assert 1000 < refused < 2900


def test_the_size_of_a_block_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens are found block by block; the smallest blocks end at every place."""
    random_ = random.Random(1)
    texts = [*TEXTS, *(mutant(random_) for _ in range(200))]

    def results() -> list[tuple[bool, object]]:
        found: list[tuple[bool, object]] = []
        for text in texts:
            try:
                parsed = parse(text, "f.prototxt")
            except PrototxtError:
                found.append((False, None))
            else:
                found.append((True, (parsed.message.SerializeToString(), parsed.lines, parsed.unknown)))
        return found

    expected = results()
    monkeypatch.setattr(tokens, "_BLOCK", 1)
    assert results() == expected


def seconds(text: str) -> tuple[float, str]:
    start = time.perf_counter()
    message = answer(text)
    return time.perf_counter() - start, message


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("layer { foo {" + "a {" * 100_000, "is never closed"),
        ("layer { foo: " + "[" * 100_000, "is never closed"),
        ("layer {" * 100_000, "is never closed"),
        ("layer { foo {" + "a {" * 100_000 + "}" * 100_001, "layer number 1 is never closed"),
        ("layer { foo {" + "a {" * 100_000 + "}" * 100_003, "closes nothing"),
        ("layer { name: " + "[" * 100_000, "found a list"),
    ],
)
def test_deep_nesting_is_an_error_like_any_other(text: str, found: str) -> None:
    taken, message = seconds(text)
    assert found in message and PLACED.match(message) and len(message) < 200
    assert taken < 1


@pytest.mark.parametrize(
    "piece",
    ["lorem ipsum ", "lorem\n", "1,2,3\n", '{"a": [1, 2]}\n', "input_dim: 1x\n", "${", "{{", "'", "-", "a: 'b\n", "é"],
)
def test_a_big_file_that_is_no_prototxt_is_refused_at_once(piece: str) -> None:
    text = piece * (5_000_000 // len(piece))
    taken, message = seconds(text)
    assert PLACED.match(message) and len(message) < 200
    assert taken < 0.5


def test_a_name_of_megabytes_is_cut_short_in_the_message() -> None:
    for text in ("a" * 2_000_000, "name: " + "a" * 2_000_000, "input_dim: " + "1" * 2_000_000):
        taken, message = seconds(text)
        assert "…" in message and len(message) < 250 and taken < 1


def test_time_grows_with_the_length_only() -> None:
    """Layers, unknown fields, comments and strings by the thousand: ten times the text, ten times the time."""
    layer = 'layer { name: "%d" type: "ReLU" bottom: "a" top: "b" relu_param { } } # so\n'
    makers = [
        lambda n: "".join(layer % i for i in range(n)),
        lambda n: "layer {" + "".join(f"colour{i}: RED\n" for i in range(5 * n)) + "}",
        lambda n: "# a comment\n" * (10 * n),
        lambda n: "name: " + '"a" ' * (10 * n),
        lambda n: "input_dim: [" + "1, " * (10 * n) + "1]",
    ]
    for make in makers:
        small, big = (min(seconds(make(n))[0] for _ in range(2)) for n in (200, 2000))
        assert big < 40 * small + 0.05
