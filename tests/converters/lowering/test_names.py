"""Names that Caffe allows and Python, torch.fx or ONNX do not: of layers, blobs and nets; and the written source."""

from __future__ import annotations

import ast
import keyword

import numpy as np
import onnxruntime
import pytest
import torch

import converters
import prototxt
from converters.lowering.build import build
from converters.torch_backend.module import torch_module
from converters.torch_backend.names import class_name, identifier, reserved
from converters.torch_backend.net import TorchNet
from converters.torch_backend.source.file import python_source

NASTY = [
    "data.1", "a/b", "1", "class", "None", "été", "conv²", "½", "ﬁx", "forward", "training", "graph", "code", "meta",
    "recompile", "_modules", "_graph", "__init__", "self", "torch", "nn", "device", "inf", "float", "slice", "getattr",
    "roi_max_pool", "nms", "Tensor", "weight", "layer_names", "out@l", "%s", "{0}", "日本", "٣", "..",
]  # fmt: skip
X = np.random.RandomState(3).standard_normal((2, 3, 4, 5)).astype(np.float32)
WEIGHT = np.random.RandomState(4).standard_normal((2, 3, 1, 1)).astype(np.float32)
WANTED = np.maximum(np.einsum("oc,nchw->nohw", WEIGHT[:, :, 0, 0].astype(np.float64), X), 0)


def text(*, data: str = "data", layer: str = "conv", blob: str = "out", net: str = "net") -> str:
    return f"""
        name: "{net}"
        layer {{ name: "{data}" type: "Input" top: "{data}" input_param {{ shape {{ dim: 2 dim: 3 dim: 4 dim: 5 }} }} }}
        layer {{ name: "{layer}" type: "Convolution" bottom: "{data}" top: "{blob}"
                 convolution_param {{ num_output: 2 kernel_size: 1 bias_term: false }} }}
        layer {{ name: "l" type: "ReLU" bottom: "{blob}" top: "{blob}" }}"""


def run_source(module: torch.fx.GraphModule, *inputs: np.ndarray) -> torch.Tensor:
    """What the written file computes, with the module's weights."""
    space: dict[str, object] = {"__name__": "written"}
    exec(compile(python_source(module), "written.py", "exec"), space)
    written = space[type(module).__name__]()
    written.load_state_dict(module.state_dict())
    result = written.eval()(*map(torch.from_numpy, inputs))
    assert isinstance(result, torch.Tensor)
    return result.detach()


@pytest.mark.parametrize("role", ["data", "layer", "blob", "net"])
@pytest.mark.parametrize("name", NASTY)
def test_any_name_anywhere(name: str, role: str, tmp_path) -> None:
    net = prototxt.loads(text(**{role: name}))
    weights = {name if role == "layer" else "conv": [WEIGHT]}
    module = torch_module(build(net, weights))
    for found in (module(torch.from_numpy(X)).detach(), run_source(module, X)):
        np.testing.assert_allclose(found.numpy(), WANTED, rtol=0, atol=1e-5)
    session = onnxruntime.InferenceSession(
        str(converters.to_onnx(net, weights, tmp_path / "net.onnx")), providers=["CPUExecutionProvider"]
    )
    blob, data = (name if role == kind else plain for kind, plain in (("blob", "out"), ("data", "data")))
    np.testing.assert_allclose(session.run([blob], {data: X})[0], WANTED, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NASTY)
def test_identifiers_are_what_python_reads(name: str) -> None:
    for made in (identifier(name), class_name(name)):
        assert made.isidentifier() and not keyword.iskeyword(made)
        parsed = ast.parse(f"net.{made}", mode="eval").body
        assert isinstance(parsed, ast.Attribute) and parsed.attr == made


@pytest.mark.parametrize(("first", "second"), [("data.1", "data_1"), ("fix", "ﬁx"), ("x", "x_1"), ("class", "class_")])
def test_two_inputs_whose_identifiers_are_alike(first: str, second: str) -> None:
    shape = "input_param { shape { dim: 2 dim: 3 } }"
    net = prototxt.loads(f"""
        layer {{ name: "i" type: "Input" top: "{first}" {shape} }}
        layer {{ name: "j" type: "Input" top: "{second}" {shape} }}
        layer {{ name: "{first}" type: "Bias" bottom: "{first}" top: "a" }}
        layer {{ name: "{second}" type: "Bias" bottom: "{second}" top: "b" }}
        layer {{ name: "s" type: "Eltwise" bottom: "a" bottom: "b" top: "out"
                 eltwise_param {{ coeff: 1 coeff: -2 }} }}""")
    a, b = X[:, :, 0, 0].copy(), X[:, :, 1, 1].copy()
    offsets = {first: [np.float32([1, 2, 3])], second: [np.float32([5, 7, 9])]}
    module = torch_module(build(net, offsets))
    wanted = a + np.float32([1, 2, 3]) - 2 * (b + np.float32([5, 7, 9]))
    for found in (module(torch.from_numpy(a), torch.from_numpy(b)).detach(), run_source(module, a, b)):
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6)


def test_outputs_may_be_numpys_strings() -> None:
    module = converters.to_torch(prototxt.loads(text()), {"conv": [WEIGHT]}, outputs=np.array(["out", "out@conv"]))
    assert list(module(torch.from_numpy(X))) == ["out", "out@conv"]


def test_what_a_module_has_of_its_own_is_reserved() -> None:
    own = {name for name in vars(TorchNet) if not name.startswith("__")}
    assert own and own <= reserved()
    assert identifier("features") == "features_" and identifier("forward") == "forward_"
