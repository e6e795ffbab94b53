"""ONNX files made to break the runtime: camcompat's own file, changed by hand with the onnx package."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fuzz.watch import Case

__all__ = ["cases", "good"]


@cache
def good() -> bytes:
    """The embedded net's ONNX file."""
    from converters import to_onnx
    from weights.models import find

    model = find("shapes-cam")
    with TemporaryDirectory() as folder:
        path = to_onnx(model.path("prototxt"), model.path("caffemodel"), Path(folder) / "net.onnx")
        return Path(path).read_bytes()


def _changed(change: Callable[[Any], None]) -> Callable[[], bytes]:
    def made() -> bytes:
        import onnx

        model = onnx.load_from_string(good())
        change(model)
        return bytes(model.SerializeToString())

    return made


def _external(location: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = 1
        for key, value in (("location", location), ("offset", "0"), ("length", "16")):
            tensor.external_data.add(key=key, value=value)

    return change


def _dims(*dims: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        tensor = model.graph.initializer[0]
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return change


def _metadata(text: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.metadata_props[0].value = text

    return change


def _node(type_: str, domain: str = "") -> Callable[[Any], None]:
    def change(model: Any) -> None:
        model.graph.node[0].op_type, model.graph.node[0].domain = type_, domain

    return change


def _huge_shape(model: Any) -> None:
    """Ask for a tensor of terabytes at run time: ConstantOfShape of a stored shape."""
    import numpy as np
    from onnx import helper, numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(np.int64([1 << 20, 1 << 22]), "huge"))
    model.graph.node.append(helper.make_node("ConstantOfShape", ["huge"], ["zeros"]))
    model.graph.node.append(helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("sum", 1, []))


def _loop(model: Any) -> None:
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def _input(*dims: int) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for dim, value in zip(model.graph.input[0].type.tensor_type.shape.dim, dims):
            dim.dim_value = value

    return change


def _preprocess(value: object) -> str:
    import json

    return json.dumps({"format": 1, "preprocess": value})


def _changes() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    kind = "external data with a path"
    for location in (
        "/etc/passwd",
        "../../../../../../etc/passwd",
        "..\\..\\x",
        "folder/x",
        "missing.data",
        "",
        "f.onnx",
        "/dev/zero",
        "/proc/self/mem",
    ):
        yield kind, location or "(empty)", _changed(_external(location))
    kind = "tensors that are not what they say"
    for dims in ((2**62, 4), (-1, 3), (2**40,), (1 << 31, 1 << 31), (5, 5)):
        yield kind, f"an initializer of {dims}", _changed(_dims(*dims))
    yield kind, "an initializer of type 99", _changed(lambda m: setattr(m.graph.initializer[0], "data_type", 99))
    kind = "graphs that cannot run"
    yield kind, "an operator that does not exist", _changed(_node("NoSuchOp"))
    yield kind, "a custom domain", _changed(_node("Conv", "evil.example"))
    yield kind, "a cycle", _changed(_loop)
    yield kind, "no nodes", _changed(lambda m: m.graph.ClearField("node"))
    yield kind, "no graph", _changed(lambda m: m.ClearField("graph"))
    yield kind, "opset 9999", _changed(lambda m: setattr(m.opset_import[0], "version", 9999))
    yield kind, "opset -1", _changed(lambda m: setattr(m.opset_import[0], "version", -1))
    yield kind, "IR version 2^40", _changed(lambda m: setattr(m, "ir_version", 1 << 40))
    yield kind, "terabytes at run time", _changed(_huge_shape)
    yield kind, "an input of 2^31 pixels", _changed(_input(1, 3, 2**31, 2**31))
    yield kind, "an input of 100,000 x 100,000", _changed(_input(1, 3, 100_000, 100_000))
    yield kind, "an input of -5 pixels", _changed(_input(1, 3, -5, -5))
    kind = "metadata that lie"
    for name, text in (
        ("no JSON", "{"),
        ("deep JSON", "[" * 200_000),
        ("a list", "[]"),
        ("null", "null"),
        ("format 2", '{"format": 2}'),
        ("NaN", '{"format": NaN}'),
        ("a number of 10,000 digits", '{"format": ' + "1" * 10_000 + "}"),
        ("labels of numbers", '{"format": 1, "labels": [1, 2, 3]}'),
        ("labels of nothing", '{"format": 1, "labels": 5}'),
        ("two labels", '{"format": 1, "labels": ["a", "b"]}'),
        ("prob elsewhere", '{"format": 1, "prob": "nope"}'),
        ("prob a list", '{"format": 1, "prob": [1]}'),
        ("preprocess a list", _preprocess([1])),
        ("resize of 10^9", _preprocess({"resize": 10**9})),
        ("resize of terabytes", _preprocess({"resize": [10**6, 10**6]})),
        ("crop of 10^9", _preprocess({"crop": 10**9})),
        ("crop of words", _preprocess({"crop": "x"})),
        ("mean of words", _preprocess({"mean": ["a", "b", "c"]})),
        ("mean of infinity", _preprocess({"mean": [1e999, 0, 0]})),
        ("scale NaN", _preprocess({"scale": float("nan")})),
        ("channels", _preprocess({"channels": "XYZ"})),
        ("an unknown key", _preprocess({"command": "rm"})),
        ("bad resize", _preprocess({"resize": -3})),
    ):
        yield kind, name, _changed(_metadata(text))


def _whole() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for part in (0.0001, 0.01, 0.5, 0.999):
        yield f"cut off at {part:.2%}", (lambda part=part: good()[: int(len(good()) * part)])
    yield "nothing", lambda: b""
    yield "zeros", lambda: bytes(1_000_000)
    yield "text", lambda: b"this is no model\n" * 1000
    yield "nested groups", lambda: b"\x0b" * 1_000_000
    yield "nested messages", lambda: _nested(5000)
    yield "a caffemodel", lambda: b"\x0a\x03net\xa2\x06\x03\x0a\x01a"


def _nested(depth: int) -> bytes:
    from weights.files.wire import delimited

    data = b""
    for _ in range(depth):
        data = delimited(6, delimited(5, delimited(1, data)))  # attribute of a node: a graph
    return b"\x08\x08" + delimited(7, delimited(1, data))


def cases() -> Iterator[Case]:
    """Every hand-made ONNX file."""
    for kind, name, make in _changes():
        yield Case("onnx", f"ONNX: {kind}", name, make, None if name.startswith("resize of") else False)
    for name, make in _whole():
        yield Case("onnx", "ONNX: truncated and foreign files", name, make)
