"""The primitives as ONNX operators (opset 13 to 17: what onnxruntime has long run without surprises).

Each function takes the `OnnxWriter`, the node, and the names of its operands, and returns the names of its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from converters.graph.dims import Sym, fixed, static
from converters.graph.graph import Node
from converters.onnx_backend import winograd

if TYPE_CHECKING:
    from converters.onnx_backend.writer import OnnxWriter

__all__ = ["TRANSLATIONS", "translate"]

Names = list[str]
Translation = Callable[["OnnxWriter", Node, Names], Names]
TRANSLATIONS: dict[str, Translation] = {}
INT64_MAX = np.iinfo(np.int64).max


def translation(op: str) -> Callable[[Translation], Translation]:
    def register(function: Translation) -> Translation:
        TRANSLATIONS[op] = function
        return function

    return register


def _plain(op: str, onnx_op: str, **rename: str) -> None:
    """A primitive that is one ONNX operator: its attributes pass under the ONNX names given here."""

    def translate(w: OnnxWriter, node: Node, names: Names) -> Names:
        attrs = {rename[key]: value for key, value in node.attrs.items() if key in rename}
        return w.emit(node, onnx_op, names, **attrs)

    TRANSLATIONS[op] = translate


for _op, _onnx in {
    "relu": "Relu", "sigmoid": "Sigmoid", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "abs": "Abs",
    "neg": "Neg", "round_to_float32": "Identity", "floor": "Floor", "ceil": "Ceil", "sign": "Sign",
    "logical_not": "Not", "add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "mod": "Mod", "pow": "Pow",
    "maximum": "Max", "minimum": "Min", "greater": "Greater", "greater_equal": "GreaterOrEqual", "equal": "Equal",
    "logical_and": "And", "where": "Where", "matmul": "MatMul",
}.items():  # fmt: skip
    _plain(_op, _onnx)
_plain("leaky_relu", "LeakyRelu", alpha="alpha")
_plain("elu", "Elu", alpha="alpha")
_plain("hard_sigmoid", "HardSigmoid", alpha="alpha", beta="beta")
_plain("softmax", "Softmax", axis="axis")
_plain("transpose", "Transpose", order="perm")
_plain("concat", "Concat", axis="axis")
_plain("gather", "Gather", axis="axis")
_plain("take_along", "GatherElements", axis="axis")


@translation("tanh")
def tanh(w: OnnxWriter, node: Node, names: Names) -> Names:
    if w.portable:  # OpenCV 5 computes it from powers that overflow; beyond 9.1 it is 1 in float32
        names = [w.op("Clip", [*names, w.scalar(-10.0), w.scalar(10.0)])]
    return w.emit(node, "Tanh", names)


@translation("softplus")
def softplus(w: OnnxWriter, node: Node, names: Names) -> Names:
    # onnxruntime's Softplus overflows for no x, yet loses digits for very negative ones: max(x, 0) + log(1 + e^−|x|).
    (x,) = names
    decay = w.op("Exp", [w.op("Neg", [w.op("Abs", [x])])])
    tail = w.op("Log", [w.op("Add", [decay, w.scalar(1.0)])])
    return w.emit(node, "Add", [w.op("Relu", [x]), tail])


@translation("clip")
def clip(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "Clip", [*names, w.scalar(node.attrs["min"]), w.scalar(node.attrs["max"])])


@translation("cast")
def cast(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "Cast", names, to=w.element_type(node.attrs["to"]))


@translation("linear")
def linear(w: OnnxWriter, node: Node, names: Names) -> Names:
    if "accumulate" not in node.attrs or w.portable:
        return w.emit(node, "Gemm", names, transB=1)
    wide = [w.op("Cast", [name], to=w.element_type("float64")) for name in names if name]
    return w.emit(node, "Cast", [w.op("Gemm", wide, transB=1)], to=w.element_type("float32"))


@translation("batch_norm")
def batch_norm(w: OnnxWriter, node: Node, names: Names) -> Names:
    x, mean, variance = names
    channels = node.inputs[1]
    assert channels is not None
    ones = w.tensor(np.ones(fixed(channels.shape), np.float32), "ones")
    zeros = w.tensor(np.zeros(fixed(channels.shape), np.float32), "zeros")
    return w.emit(node, "BatchNormalization", [x, ones, zeros, mean, variance], epsilon=node.attrs["epsilon"])


@translation("prelu")
def prelu(w: OnnxWriter, node: Node, names: Names) -> Names:
    x, slope = node.inputs
    assert x is not None and slope is not None and slope.data is not None
    column = slope.data.reshape(-1, *(1,) * (len(x.shape) - 2)) if slope.data.size > 1 else slope.data
    return w.emit(node, "PRelu", [names[0], w.tensor(column, "slope")])


def _windows(node: Node) -> dict[str, Any]:
    a = node.attrs
    pads = [*(p for p, _ in a["pads"]), *(p for _, p in a["pads"])]
    return {"kernel_shape": a["kernel"], "strides": a["strides"], "pads": pads}


@translation("max_pool")
def max_pool(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "MaxPool", names, **_windows(node))


@translation("max_pool_with_mask")
def max_pool_with_mask(w: OnnxWriter, node: Node, names: Names) -> Names:
    # ONNX counts through the whole tensor, Caffe within the plane.
    values, mask = (w.name(result) for result in node.outputs)
    places = w.fresh("places")
    w.add("MaxPool", names, [values, places], **_windows(node))
    x = node.inputs[0]
    assert x is not None
    plane = int(np.prod(fixed(x.shape[2:])))
    w.add("Mod", [places, w.integers([plane], scalar=True)], [mask])
    return [values, mask]


@translation("avg_pool")
def avg_pool(w: OnnxWriter, node: Node, names: Names) -> Names:
    x = node.inputs[0]
    assert x is not None
    whole = tuple(node.attrs["kernel"]) == tuple(x.shape[2:]) and not any(map(any, node.attrs["pads"]))
    if whole:
        return w.emit(node, "GlobalAveragePool", names)
    # Floor mode with explicit pads: onnxruntime's ceil_mode was wrong in many releases (CAFFE.md).
    attrs = _windows(node)
    if w.portable and node.attrs["count_pads"] and any(attrs["pads"]):  # OpenCV 4 does not count them
        names, attrs["pads"] = _padded(w, names, attrs["pads"])
    return w.emit(node, "AveragePool", names, count_include_pad=int(node.attrs["count_pads"]), **attrs)


def _padded(w: OnnxWriter, names: Names, pads: Sequence[int]) -> tuple[Names, list[int]]:
    """The first operand with the pads of an operator around it, and the pads that are left to the operator: none."""
    spatial = len(pads) // 2
    amounts = [0, 0, *pads[:spatial], 0, 0, *pads[spatial:]]
    return [w.op("Pad", [names[0], w.integers(amounts)], mode="constant"), *names[1:]], [0] * len(pads)


@translation("conv")
def conv(w: OnnxWriter, node: Node, names: Names) -> Names:
    if w.winograd and winograd.pays(node):
        w.transformed.append(node.layer)
        return winograd.conv(w, node, names)
    attrs = _convolution(node)
    if max(attrs["kernel_shape"]) == 1 and any(attrs["pads"]):
        names, attrs["pads"] = _padded(w, names, attrs["pads"])  # OpenCV 5 overlooks the pads of 1x1 convolutions
    return w.emit(node, "Conv", names, **attrs)


@translation("conv_transpose")
def conv_transpose(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "ConvTranspose", names, **_convolution(node))


def _convolution(node: Node) -> dict[str, Any]:
    a, weight = node.attrs, node.inputs[1]
    assert weight is not None
    attrs = {"kernel_shape": weight.shape[2:], "strides": a["strides"], "pads": a["pads"] * 2}
    return {**attrs, "dilations": a["dilations"], "group": a["group"]}


@translation("resize_bilinear")
def resize_bilinear(w: OnnxWriter, node: Node, names: Names) -> Names:
    x = node.inputs[0]
    assert x is not None
    # Two products with the (sparse, small) interpolation matrices: onnxruntime's Resize rounds its scale to float.
    rows, columns = (_interpolation(n, m) for n, m in zip(fixed(x.shape[2:]), node.attrs["size"]))
    tall = w.op("MatMul", [w.tensor(rows, "rows"), names[0]])
    return w.emit(node, "MatMul", [tall, w.tensor(columns.T, "columns")])


def _interpolation(old: int, new: int) -> np.ndarray:
    # The places in float32, as Caffe has them: its rounding is part of the result.
    place = np.arange(new, dtype=np.float32) * (np.float32(old - 1) / np.float32(new - 1) if new > 1 else np.float32(0))
    low = np.minimum(np.floor(place).astype(int), old - 1)
    matrix = np.zeros((new, old), np.float32)
    np.add.at(matrix, (np.arange(new), low), 1 - (place - low))
    np.add.at(matrix, (np.arange(new), np.minimum(low + 1, old - 1)), place - low)
    return matrix


@translation("reshape")
def reshape(w: OnnxWriter, node: Node, names: Names) -> Names:
    x = node.inputs[0]
    assert x is not None
    return w.emit(node, "Reshape", [names[0], w.shape_tensor(node.attrs["shape"], x.shape)])


@translation("expand")
def expand(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "Expand", [names[0], w.shape_tensor(node.attrs["shape"])])


@translation("full")
def full(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "Expand", [w.scalar(node.attrs["value"]), w.shape_tensor(node.attrs["shape"])])


@translation("arange")
def arange(w: OnnxWriter, node: Node, names: Names) -> Names:
    length = node.attrs["length"]
    if not isinstance(length, Sym):
        return w.emit(node, "Identity", [w.integers(list(range(length)))])
    stop = w.op("Squeeze", [w.shape_tensor((length,))])
    return w.emit(node, "Range", [w.integers([0], scalar=True), stop, w.integers([1], scalar=True)])


@translation("slice")
def slice_(w: OnnxWriter, node: Node, names: Names) -> Names:
    a = node.attrs
    stop = a["stop"] if a["stop"] >= 0 else -INT64_MAX
    return w.emit(node, "Slice", [names[0], *(w.integers([v]) for v in (a["start"], stop, a["axis"], a["step"]))])


@translation("pad")
def pad(w: OnnxWriter, node: Node, names: Names) -> Names:
    x, pads = node.inputs[0], node.attrs["pads"]
    assert x is not None
    head = [0] * (len(x.shape) - len(pads))
    amounts = head + [a for a, _ in pads] + head + [b for _, b in pads]
    return w.emit(node, "Pad", [names[0], w.integers(amounts), w.scalar(node.attrs["value"])], mode="constant")


def _axes_as_attribute(onnx_op: str) -> Translation:
    def translate(w: OnnxWriter, node: Node, names: Names) -> Names:
        return w.emit(node, onnx_op, names, axes=node.attrs["axes"], keepdims=int(node.attrs["keepdims"]))

    return translate


for _kind, _onnx in {"mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin"}.items():
    TRANSLATIONS[f"reduce_{_kind}"] = _axes_as_attribute(_onnx)


@translation("reduce_sum")
def reduce_sum(w: OnnxWriter, node: Node, names: Names) -> Names:
    axes = w.integers(list(node.attrs["axes"]))
    return w.emit(node, "ReduceSum", [names[0], axes], keepdims=int(node.attrs["keepdims"]))


@translation("cumsum")
def cumsum(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "CumSum", [names[0], w.integers([node.attrs["axis"]], scalar=True)])


@translation("top_k")
def top_k(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "TopK", [names[0], w.integers([node.attrs["k"]])], axis=node.attrs["axis"])


@translation("scatter_zeros")
def scatter_zeros(w: OnnxWriter, node: Node, names: Names) -> Names:
    values, indices = names
    rows = node.outputs[0].shape
    zeros = w.op("Expand", [w.scalar(0.0), w.shape_tensor(rows)])
    return w.emit(node, "ScatterElements", [zeros, indices, values], axis=1)


@translation("nonzero")
def nonzero(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(node, "Squeeze", [w.op("NonZero", names), w.integers([0])])


@translation("roi_max_pool")
def roi_max_pool(w: OnnxWriter, node: Node, names: Names) -> Names:
    return w.emit(
        node, "MaxRoiPool", names, pooled_shape=node.attrs["pooled"], spatial_scale=node.attrs["spatial_scale"]
    )


CHUNK = 32  # channels whose sums are one product: more multiply zeros, fewer are more operators


@translation("lrn")
def lrn(w: OnnxWriter, node: Node, names: Names) -> Names:
    """x · (k + alpha/n · Σ x²)^−beta, from operators that onnxruntime runs fast and sums exactly.

    Its own `LRN` raises to a power element by element (a third of GoogLeNet's whole time), and keeps a running sum:
    where channels differ much and alpha is large, what it subtracts again leaves an error of 3e-5.
    """
    (x,), beta = names, float(node.attrs["beta"])
    (channels,) = fixed(node.outputs[0].shape[1:2])
    scale = _band_sums(w, node, w.op("Mul", [x, x]), channels)
    if beta == 0.75:  # Caffe's default: two square roots are many times faster than a power
        root = w.op("Sqrt", [scale])
        return w.emit(node, "Div", [x, w.op("Mul", [root, w.op("Sqrt", [root])])])
    if beta == 0.5:
        return w.emit(node, "Div", [x, w.op("Sqrt", [scale])])
    return w.emit(node, "Mul", [x, w.op("Pow", [scale, w.scalar(-beta)])])


def _band_sums(w: OnnxWriter, node: Node, square: str, channels: int) -> str:
    """k + alpha/n · Σ by 1x1 convolutions, one for some neighbouring channels, whose weights are a band.

    One for all channels would multiply mostly zeros: of 192 it takes half as long again (1.06 ms, not 0.69).
    """
    size, alpha, k = (node.attrs[name] for name in ("size", "alpha", "k"))
    half, places, parts = size // 2, np.arange(channels), []
    chunk = max(CHUNK, size)
    for start in range(0, channels, chunk):
        end = min(start + chunk, channels)
        first, last = max(0, start - half), min(channels, end + half)
        near = np.abs(places[start:end, None] - places[first:last]) <= half
        band = np.where(near, np.float32(alpha) / np.float32(size), np.float32(0)).astype(np.float32)
        read = [square]
        if (first, last) != (0, channels):
            read = [w.op("Slice", [square, *map(w.integers, ([first], [last], [1], [1]))])]
        bias = np.full(end - start, k, np.float32)
        parts.append(
            w.op("Conv", [*read, w.tensor(band[:, :, None, None], "band"), w.tensor(bias, "k")], kernel_shape=[1, 1])
        )
    return parts[0] if len(parts) == 1 else w.op("Concat", parts, axis=1)


@translation("nms")
def nms(w: OnnxWriter, node: Node, names: Names) -> Names:
    """ONNX's own operator, or a Loop where the threshold falls (SSD's `eta`). The scores fall along the boxes."""
    boxes, scores = names
    x = node.inputs[1]
    assert x is not None
    if node.attrs["eta"] < 1:
        return _adaptive_nms(w, node, names)
    # By place, which falls as the score does: OpenCV takes no threshold below 0, and there are no equals to order.
    count = static(x.shape[1], "the number of boxes is needed")
    alive = w.op("Greater", [scores, w.scalar(float(np.finfo(np.float32).min))])
    ranks = w.tensor(np.arange(count, 0, -1, dtype=np.float32), "ranks")
    ranked = w.op("Unsqueeze", [w.op("Where", [alive, ranks, w.scalar(0.0)]), w.integers([1])])
    limits = (w.tensor(np.array([limit], np.float32), "limit") for limit in (node.attrs["iou_threshold"], 0.5))
    kept = w.op("NonMaxSuppression", [boxes, ranked, w.integers([np.iinfo(np.int64).max]), *limits])
    places = w.op("Gather", [kept, w.integers([0, 2])], axis=1)  # (image, class, box) → (image, box)
    ones = w.op("Expand", [w.scalar(1.0), w.op("Slice", [w.op("Shape", [kept]), *map(w.integers, ([0], [1], [0]))])])
    nothing = w.op("Expand", [w.scalar(0.0), w.op("Shape", [scores])])
    return w.emit(node, "Cast", [w.op("ScatterND", [nothing, places, ones])], to=w.element_type("bool"))


def _adaptive_nms(w: OnnxWriter, node: Node, names: Names) -> Names:
    """With eta < 1: one candidate per turn, all rows together."""
    boxes, scores = names
    x = node.inputs[1]
    assert x is not None
    count = static(x.shape[1], "the number of boxes is needed")
    rows = w.op("ReduceMax", [scores], axes=[1], keepdims=1)
    nothing = w.op("Expand", [w.scalar(0.0), w.op("Shape", [scores])])
    limit = w.op("Expand", [w.scalar(node.attrs["iou_threshold"]), w.op("Shape", [rows])])
    body = _nms_turn(w, boxes, scores, count, node.attrs["eta"])
    kept, last = w.fresh("kept"), w.fresh("limit")
    w.add("Loop", [w.integers([count], scalar=True), "", nothing, limit], [kept, last], body=body)
    return w.emit(node, "Cast", [kept], to=w.element_type("bool"))


def _nms_turn(w: OnnxWriter, boxes: str, scores: str, count: int, eta: float) -> object:
    """The subgraph: (turn, condition, kept (B, P), limit (B, 1)) → (condition, kept, limit)."""
    first, second, third = (w.integers([i]) for i in (0, 2, 4))
    axis, ahead = w.integers([2]), w.integers([1])
    low, high = (w.op("Slice", [boxes, a, b, axis]) for a, b in ((first, second), (second, third)))
    area = w.op("ReduceProd", [w.op("Sub", [high, low])], axes=[2], keepdims=0)
    ranks = w.integers(list(range(count)))
    half, one, lowest = w.scalar(0.5), w.scalar(1.0), w.scalar(float(np.finfo(np.float32).min))
    turn, go, kept, limit = (w.fresh(name) for name in ("turn", "go", "kept_so_far", "limit_so_far"))
    outer, w.nodes = w.nodes, []

    def here(x: str) -> str:
        return w.op("Unsqueeze", [w.op("Gather", [x, turn], axis=1), ahead])

    sides = w.op("Sub", [w.op("Min", [high, here(high)]), w.op("Max", [low, here(low)])])
    inner = w.op("ReduceProd", [w.op("Relu", [sides])], axes=[2], keepdims=0)
    union = w.op("Sub", [w.op("Add", [here(area), area]), inner])
    rivals = w.op("And", [w.op("Greater", [w.op("Div", [inner, union]), limit]), w.op("Greater", [kept, half])])
    beaten = w.op("ReduceMax", [w.op("Cast", [rivals], to=TensorProto.FLOAT)], axes=[1], keepdims=1)
    alive = w.op("Greater", [here(scores), lowest])
    free = w.op("And", [alive, w.op("Less", [beaten, half])])
    kept_now = w.op("Where", [w.op("And", [w.op("Equal", [ranks, turn]), free]), one, kept])
    shrinks = w.op("And", [free, w.op("Greater", [limit, half])])
    limit_now = w.op("Where", [shrinks, w.op("Mul", [limit, w.scalar(eta)]), limit])
    go_on = w.op("Identity", [go])
    nodes, w.nodes = w.nodes, outer
    values = [(turn, TensorProto.INT64, ()), (go, TensorProto.BOOL, ()), (kept, 1, None), (limit, 1, None)]
    results = [(go_on, TensorProto.BOOL, ()), (kept_now, 1, None), (limit_now, 1, None)]
    inputs, outputs = ([helper.make_tensor_value_info(*value) for value in group] for group in (values, results))
    return helper.make_graph(nodes, f"{w.layer}/turn", inputs, outputs)


def translate(w: OnnxWriter) -> list[tuple[int, str]]:
    """Every primitive of the writer's graph, and each output under its blob's name.

    Returns:
        The layer index and the operator of each node.
    """
    origins: list[tuple[int, str]] = []
    for node in w.graph.nodes:
        w.layer = node.layer
        TRANSLATIONS[node.op](w, node, [w.name(x) for x in node.inputs])
        origins += [(node.index, made.op_type) for made in w.nodes[len(origins) :]]
    for name, x in w.graph.outputs.items():
        w.layer = name
        if name in w.output_names and w.name(x) != name:
            w.add("Identity", [w.name(x)], [name])
    used = {name for node in _with_bodies(w.nodes) for name in node.input}
    w.tensors = [(name, array) for name, array in w.tensors if name in used]
    return origins


def _with_bodies(nodes: Iterable[onnx.NodeProto]) -> Iterable[onnx.NodeProto]:
    """Nodes and those of their subgraphs: a loop's body reads the outer graph's tensors."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _with_bodies(attribute.g.node)
