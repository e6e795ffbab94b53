"""Whoever adds a primitive is told here what it still lacks: a declaration, a backend, or an example of its use."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from camcompat.pycaffe.engine.torch_plan import TorchPlan
from converters.graph.graph import Graph, Node, Value
from converters.lowering.lower_net import Lowered
from converters.numpy_backend import ops as numpy_ops
from converters.numpy_backend.net import NumpyNet
from converters.onnx_backend import ops as onnx_ops
from converters.onnx_backend.file import onnx_model
from converters.ops import PRIMITIVES, Ops, is_discrete, multiply_adds
from converters.torch_backend import ops as torch_ops
from converters.torch_backend.module import torch_module
from prototxt import loads

Results = "Value | tuple[Value, ...]"
X = (2, 4, 6, 6)
NET = loads('layer { name: "layer" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 dim: 6 dim: 6 } } }')
CONV = {"strides": (2, 1), "pads": (1, 1), "dilations": (1, 1)}
POOL = {"kernel": (2, 2), "strides": (2, 2), "pads": ((0, 0), (0, 0))}
RANDOM = np.random.default_rng(0)
UNARY = ["relu", "sigmoid", "tanh", "softplus", "exp", "abs", "neg", "floor", "ceil", "sign", "round_to_float32"]
# A primitive as a layer would ask for it: of x, which is noise of the shape X.
EXAMPLES: dict[str, Callable[[Ops, Value], Results]] = {
    **{
        name: lambda ops, x, name=name: getattr(ops, name)(x)
        for name in [
            "relu",
            "sigmoid",
            "tanh",
            "softplus",
            "exp",
            "abs",
            "neg",
            "floor",
            "ceil",
            "sign",
            "round_to_float32",
        ]
    },
    "log": lambda ops, x: ops.log(ops.exp(x)),
    "sqrt": lambda ops, x: ops.sqrt(ops.abs(x)),
    "leaky_relu": lambda ops, x: ops.leaky_relu(x, 0.1),
    "elu": lambda ops, x: ops.elu(x, 0.5),
    "clip": lambda ops, x: ops.clip(x, -0.5, 1.0),
    "hard_sigmoid": lambda ops, x: ops.hard_sigmoid(x, 0.2, 0.5),
    "cast": lambda ops, x: ops.cast(x, "int64"),
    "logical_not": lambda ops, x: ops.logical_not(ops.cast(x, "bool")),
    **{
        name: lambda ops, x, name=name: getattr(ops, name)(x, ops.const(np.float32([[[[0.5]]]])))
        for name in ["add", "sub", "mul", "div", "maximum", "minimum", "greater", "greater_equal", "equal"]
    },
    "mod": lambda ops, x: ops.mod(ops.arange(7), ops.const(3)),
    "pow": lambda ops, x: ops.pow(ops.abs(x), ops.const(np.float32(1.5))),
    "logical_and": lambda ops, x: ops.logical_and(ops.greater(x, ops.neg(x)), ops.greater(x, ops.exp(x))),
    "where": lambda ops, x: ops.where(ops.greater(x, ops.neg(x)), x, ops.exp(x)),
    "prelu": lambda ops, x: ops.prelu(x, _learned(ops, 4)),
    "softmax": lambda ops, x: ops.softmax(x, 1),
    "lrn": lambda ops, x: ops.lrn(x, 3, 0.5, 0.75, 1.0),
    "batch_norm": lambda ops, x: ops.batch_norm(x, _learned(ops, 4), _learned(ops, 4), 1e-5),
    **{
        f"reduce_{kind}": lambda ops, x, kind=kind: ops.reduce(kind, x, (1, 2), keepdims=False)
        for kind in ("sum", "mean", "max", "min")
    },
    "cumsum": lambda ops, x: ops.cumsum(x, 1),
    "top_k": lambda ops, x: ops.top_k(x, 2, 1),
    "linear": lambda ops, x: ops.linear(ops.flatten_from(x, 1), _learned(ops, 5, 144), _learned(ops, 5)),
    "matmul": lambda ops, x: ops.matmul(x, ops.transpose(x, (0, 1, 3, 2))),
    "reshape": lambda ops, x: ops.reshape(x, (2, 2, 12, 6)),
    "transpose": lambda ops, x: ops.transpose(x, (0, 2, 3, 1)),
    "concat": lambda ops, x: ops.concat([x, x], 1),
    "slice": lambda ops, x: ops.slice(x, 1, 0, 4, 2),
    "pad": lambda ops, x: ops.pad(x, ((0, 1), (2, 0)), 0.5),
    "expand": lambda ops, x: ops.expand(ops.reduce("sum", x, (1,)), X),
    "gather": lambda ops, x: ops.gather(x, ops.const([2, 0]), 1),
    "take_along": lambda ops, x: ops.take_along(x, ops.const(np.zeros(X, int)), 1),
    "scatter_zeros": lambda ops, x: ops.scatter_zeros(ops.flatten_from(x, 1), ops.const([list(range(144))] * 2), 150),
    "arange": lambda ops, x: ops.arange(5),
    "full": lambda ops, x: ops.zeros((2, 3), 0.5),
    "conv": lambda ops, x: ops.conv(x, _learned(ops, 6, 2, 3, 3), _learned(ops, 6), group=2, **CONV),
    "conv_transpose": lambda ops, x: ops.conv_transpose(x, _learned(ops, 4, 3, 3, 3), None, group=2, **CONV),
    "max_pool": lambda ops, x: ops.max_pool(x, **POOL),
    "max_pool_with_mask": lambda ops, x: ops.max_pool_with_mask(x, **POOL),
    "avg_pool": lambda ops, x: ops.avg_pool(x, **POOL, count_pads=True),
    "resize_bilinear": lambda ops, x: ops.resize_bilinear(x, (9, 4)),
    "nonzero": lambda ops, x: ops.nonzero(ops.reshape(ops.relu(x), (288,))),
    "nms": lambda ops, x: ops.nms(*_boxes(ops), iou_threshold=0.5),
    "roi_max_pool": lambda ops, x: ops.roi_max_pool(
        x, ops.const(np.float32([[0, 0, 0, 3, 3], [1, 1, 2, 5, 5]])), pooled=(2, 2), spatial_scale=1.0
    ),
}


def _learned(ops: Ops, *shape: int) -> Value:
    return ops.const(RANDOM.uniform(0.5, 1, shape).astype(np.float32), f"weight{len(shape)}", learned=True)


def _boxes(ops: Ops) -> tuple[Value, Value]:
    boxes = np.float32([[[0, 0, 4, 4], [0, 0, 4, 3.5], [5, 5, 8, 8]]])
    return ops.const(boxes), ops.const(np.float32([[0.9, 0.8, 0.7]]))


@pytest.mark.parametrize(
    "known",
    [EXAMPLES, numpy_ops.TRANSLATIONS, onnx_ops.TRANSLATIONS, torch_ops.TRANSLATIONS],
    ids=[
        "examples here",
        "converters/numpy_backend/ops.py",
        "converters/onnx_backend/ops.py",
        "…/torch_backend/ops.py",
    ],
)
def test_every_primitive_is_known(known: dict[str, object]) -> None:
    assert not set(PRIMITIVES) - set(known), "these are declared in converters/ops and missing there"
    assert not set(known) - set(PRIMITIVES), "these are there and not declared in converters/ops"


def _lowered(name: str) -> tuple[Lowered, Node]:
    """An example as a net, and the node that it is about."""
    graph = Graph("example")
    ops = Ops(graph)
    ops.layer = "layer"
    made = EXAMPLES[name](ops, ops.input("data", X))
    outputs = made if isinstance(made, tuple) else (made,)
    for i, x in enumerate(outputs):
        x.name = f"top{i}"
    graph.outputs = graph.blobs = {x.name: x for x in outputs}
    producer = outputs[0].producer
    assert producer is not None and producer.op == name
    return Lowered(graph, NET), producer


@pytest.mark.parametrize("name", sorted(PRIMITIVES))
def test_every_backend_says_the_same(name: str, tmp_path: Path) -> None:
    """NumPy, an ONNX file, a PyTorch module, and the tape that pycaffe plays."""
    lowered, node = _lowered(name)
    assert is_discrete(node) == (PRIMITIVES[name].kind == "discrete")
    assert multiply_adds(node) >= 0
    x = np.random.default_rng(1).standard_normal(X).astype(np.float32)
    expected = NumpyNet(lowered.graph).run({"data": x})
    session = onnxruntime.InferenceSession(str(onnx_model(lowered).save(tmp_path / "net.onnx")))
    results = {"onnx": session.run(list(expected), {"data": x} if session.get_inputs() else {})}
    with torch.no_grad(), warnings.catch_warnings():
        module = torch_module(lowered)(torch.from_numpy(x))
    results["torch"] = [each.numpy() for each in (module.values() if isinstance(module, dict) else [module])]
    results["pycaffe"] = TorchPlan(lowered.graph, list(lowered.graph.outputs.values())).run([x])
    for backend, arrays in results.items():
        for ours, exact in zip(arrays, expected.values()):
            np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5, err_msg=f"{backend}: {name}")


def test_costs_are_those_of_sums_of_products() -> None:
    """Multiply-adds by hand: outputs times what each of them sums over."""
    costs = {name: multiply_adds(_lowered(name)[1]) for name in PRIMITIVES}
    assert {name: cost for name, cost in costs.items() if cost} == {
        "conv": 2 * 6 * 3 * 6 * (2 * 3 * 3),
        "conv_transpose": 2 * 4 * 6 * 6 * (3 * 3 * 3),
        "linear": 2 * 5 * 144,
        "matmul": 2 * 4 * 6 * 6 * 6,
    }


def test_a_primitive_that_is_not_declared_is_refused() -> None:
    ops = Ops(Graph("example"))
    with pytest.raises(AssertionError, match="forgotten is no declared primitive"):
        ops.one("forgotten", [ops.input("data", X)], X)
