"""BatchNorm, Scale, Bias and Power in the layer before them: the same numbers, and what is asked for stays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import parity
import pytest

import converters
import prototxt
from converters.graph.fusion import fold
from weights.models import find

DATA = Path(__file__).resolve().parents[2] / "data"
HOSTS = {
    "Convolution": "convolution_param { num_output: 6 kernel_size: 3 group: 2 }",
    "Deconvolution": "convolution_param { num_output: 6 kernel_size: 3 group: 2 bias_term: false }",
    "InnerProduct": "inner_product_param { num_output: 6 }",
}
TAIL = (
    ("bn", "BatchNorm", ""),
    ("scale", "Scale", "scale_param { bias_term: true }"),
    ("bias", "Bias", ""),
    ("power", "Power", "power_param { scale: 0.5 shift: -3 }"),
)


def net(host: str, tail=TAIL, extra: str = "") -> prototxt.Net:
    text = f'input: "data" input_shape {{ dim: 2 dim: 4 dim: 6 dim: 5 }} layer {{ name: "host" type: "{host}" '
    text += f'bottom: "data" top: "host" {HOSTS[host]} }}'
    below = "host"
    for name, kind, parameters in tail:
        text += f'layer {{ name: "{name}" type: "{kind}" bottom: "{below}" top: "{name}" {parameters} }}'
        below = name
    return prototxt.loads(text + extra)


@pytest.mark.parametrize("backend", ["onnx", "torch"])
@pytest.mark.parametrize("host", HOSTS)
def test_a_chain_becomes_one_layer_with_the_same_numbers(host: str, backend: str, tmp_path: Path) -> None:
    """Against the float64 evaluation of the net as it stands."""
    definition = net(host)
    graph = fold(converters.lower(definition, converters.Synthetic()).graph)
    assert graph.fused == {"host+bn+scale+bias+power": ("host", "bn", "scale", "bias", "power")}
    assert [node.op for node in graph.nodes if node.op != "reshape"] == [
        {"Convolution": "conv", "Deconvolution": "conv_transpose", "InnerProduct": "linear"}[host]
    ]
    x = np.random.RandomState(0).standard_normal((2, 4, 6, 5)).astype(np.float32)
    exact = parity.run("numpy", definition, converters.Synthetic(), [x], ["power"], tmp_path)["power"]
    found = parity.run(backend, definition, converters.Synthetic(), [x], ["power"], tmp_path, fold=True)["power"]
    assert parity.error(found, exact) <= parity.SINGLE


def test_what_is_asked_for_or_used_elsewhere_stays(tmp_path: Path) -> None:
    definition = net("Convolution")
    path = converters.to_onnx(definition, converters.Synthetic(), tmp_path / "a.onnx", outputs=["bn", "power"])
    nodes = {node.name for node in onnx.load(path).graph.node}
    assert "host+bn" in nodes and "scale" in nodes
    branch = 'layer { name: "branch" type: "ReLU" bottom: "host" top: "branch" }'
    graph = fold(converters.lower(net("Convolution", extra=branch), converters.Synthetic()).graph)
    assert not graph.fused


def test_what_is_not_per_channel_stays() -> None:
    for tail in (
        (("s", "Scale", "scale_param { axis: 2 num_axes: 1 }"),),
        (("p", "Power", "power_param { power: 2 }"),),
        (("r", "ReLU", ""), ("s", "Scale", "")),
    ):
        assert not fold(converters.lower(net("Convolution", tail), converters.Synthetic()).graph).fused


def test_overflowing_weights_stay_apart() -> None:
    blobs = {"host": [np.full((6, 2, 3, 3), 1e30, np.float32), np.zeros(6, np.float32)]}
    blobs["s"] = [np.full(6, 1e30, np.float32)]
    assert not fold(
        converters.lower(net("Convolution", (("s", "Scale", ""),)), converters.FileBlobs(blobs)).graph
    ).fused


def test_the_graph_itself_is_not_changed() -> None:
    graph = converters.lower(net("Convolution"), converters.Synthetic()).graph
    before = [(node.op, node.inputs, node.outputs) for node in graph.nodes]
    fold(graph)
    assert [(node.op, node.inputs, node.outputs) for node in graph.nodes] == before
    assert not graph.fused


def test_onnx_says_what_was_folded_and_can_be_told_not_to(tmp_path: Path) -> None:
    model = find("shapes-cam")
    files = (model.path("prototxt"), model.path("caffemodel"))
    folded = converters.to_onnx(*files, tmp_path / "folded.onnx")
    plain = converters.to_onnx(*files, tmp_path / "plain.onnx", fold=False)
    kinds = [[node.op_type for node in onnx.load(path).graph.node] for path in (folded, plain)]
    assert "BatchNormalization" in kinds[1] and "BatchNormalization" not in kinds[0]
    sessions = [onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]) for path in (folded, plain)]
    entries = [json.loads(s.get_modelmeta().custom_metadata_map["camcompat"]) for s in sessions]
    assert "fused" not in entries[1]
    names = {node.name for node in onnx.load(folded).graph.node}
    assert entries[0]["fused"] and set(entries[0]["fused"]) <= names
    expected = np.load(DATA / "shapes-cam.npz")
    for session in sessions:
        prob = session.run(["prob"], {"data": expected["data"]})[0]
        assert parity.error(prob, expected["prob"][: len(prob)]) <= parity.WHOLE
