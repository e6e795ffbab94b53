"""The primitives as PyTorch: an `nn` module where there is one that says the same, else a function.

Each translation takes the `Emitter`, the node and its operands (fx nodes, numbers or None) and returns the result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from converters.graph.dims import fixed, numel, static
from converters.graph.graph import Node
from converters.torch_backend import functions
from converters.torch_backend.emitter import Emitter
from converters.torch_backend.writer import TorchWriter

__all__ = ["TRANSLATIONS", "translate"]

Operands = list[Any]
Translation = Callable[[Emitter, Node, Operands], Any]
TRANSLATIONS: dict[str, Translation] = {}
DTYPES = {"float32": torch.float32, "float64": torch.float64, "int64": torch.int64, "bool": torch.bool}


def translation(op: str) -> Callable[[Translation], Translation]:
    def register(function: Translation) -> Translation:
        TRANSLATIONS[op] = function
        return function

    return register


def _functions(table: dict[str, Callable[..., Any]]) -> None:
    """Primitives that are one function of the operands."""

    def caller(function: Callable[..., Any]) -> Translation:
        return lambda w, node, xs: w.call(function, *xs)

    for op, function in table.items():
        TRANSLATIONS[op] = caller(function)


_functions(
    {
        "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "abs": torch.abs, "neg": operator.neg,
        "floor": torch.floor, "ceil": torch.ceil, "sign": torch.sign, "logical_not": torch.logical_not,
        "add": operator.add, "sub": operator.sub, "mul": operator.mul, "mod": operator.mod, "pow": operator.pow,
        "greater": operator.gt, "greater_equal": operator.ge, "equal": operator.eq,
        "logical_and": torch.logical_and, "where": torch.where, "matmul": torch.matmul,
    }
)  # fmt: skip


def _module(op: str, make: Callable[[dict[str, Any]], nn.Module]) -> None:
    """Primitives that are an `nn` module without parameters."""
    TRANSLATIONS[op] = lambda w, node, xs: w.module(node, make(node.attrs), xs[0])


_module("relu", lambda a: nn.ReLU())
_module("sigmoid", lambda a: nn.Sigmoid())
_module("tanh", lambda a: nn.Tanh())
_module("leaky_relu", lambda a: nn.LeakyReLU(a["alpha"]))
_module("elu", lambda a: nn.ELU(a["alpha"]))
_module("softmax", lambda a: nn.Softmax(dim=a["axis"]))
_module("lrn", lambda a: functions.LocalResponseNorm(a["size"], a["alpha"], a["beta"], a["k"]))


@translation("softplus")
def softplus(w: Emitter, node: Node, xs: Operands) -> Any:
    # nn.Softplus switches to the identity above a threshold; logaddexp is exact everywhere.
    return w.call(torch.logaddexp, xs[0], w.call(torch.zeros_like, xs[0]))


@translation("div")
def div(w: Emitter, node: Node, xs: Operands) -> Any:
    whole = node.outputs[0].dtype == "int64"
    return w.call(operator.floordiv if whole else operator.truediv, *xs)


def _extreme(function: Callable[..., Any], bound: str) -> Translation:
    def translate(w: Emitter, node: Node, xs: Operands) -> Any:
        numbers = [x for x in xs if isinstance(x, (int, float))]
        if numbers:
            tensor = next(x for x in xs if x is not numbers[0])
            return w.call(torch.clamp, tensor, **{bound: numbers[0]})
        return w.call(function, *xs)

    return translate


TRANSLATIONS["maximum"] = _extreme(torch.maximum, "min")
TRANSLATIONS["minimum"] = _extreme(torch.minimum, "max")


@translation("clip")
def clip(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(torch.clamp, xs[0], node.attrs["min"], node.attrs["max"])


@translation("hard_sigmoid")
def hard_sigmoid(w: Emitter, node: Node, xs: Operands) -> Any:
    scaled = w.call(operator.add, w.call(operator.mul, xs[0], node.attrs["alpha"]), node.attrs["beta"])
    return w.call(torch.clamp, scaled, 0.0, 1.0)


@translation("cast")
def cast(w: Emitter, node: Node, xs: Operands) -> Any:
    to = node.attrs["to"]
    # Back to the input's own precision rather than to float32, so that net.double() stays double.
    return w.method("to", xs[0], w.input_dtype()) if to == "float32" else w.method("to", xs[0], DTYPES[to])


@translation("round_to_float32")
def round_to_float32(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.method("to", w.method("float", xs[0]), w.input_dtype())


CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "conv": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "conv_transpose": (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
}


@translation("conv")
def convolution(w: Emitter, node: Node, xs: Operands) -> Any:
    (_, weight, bias), a = node.inputs, node.attrs
    assert weight is not None
    first, second, *kernel = fixed(weight.shape)
    # torch's own layout: (out, in/group) forwards, (in, out/group) transposed
    channels = (second * a["group"], first) if node.op == "conv" else (first, second * a["group"])
    module = CONVOLUTIONS[node.op][len(kernel) - 1](
        *channels,
        tuple(kernel),
        stride=a["strides"],
        padding=a["pads"],
        dilation=a["dilations"],
        groups=a["group"],
        bias=bias is not None,
        device="meta",
    )
    return w.module(node, module, xs[0], weight=weight, bias=bias)


TRANSLATIONS["conv_transpose"] = convolution


@translation("linear")
def linear(w: Emitter, node: Node, xs: Operands) -> Any:
    _, weight, bias = node.inputs
    assert weight is not None
    out, inner = fixed(weight.shape)
    make = functions.DoubleLinear if "accumulate" in node.attrs else nn.Linear
    module = make(inner, out, bias=bias is not None, device="meta")
    return w.module(node, module, xs[0], weight=weight, bias=bias)


@translation("batch_norm")
def batch_norm(w: Emitter, node: Node, xs: Operands) -> Any:
    x, mean, variance = node.inputs
    assert x is not None and mean is not None
    make = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(x.shape)]
    module = make(static(mean.shape[0]), eps=node.attrs["epsilon"], affine=False, momentum=w.momentum(node))
    return w.module(node, module, xs[0], running_mean=mean, running_var=variance)


@translation("prelu")
def prelu(w: Emitter, node: Node, xs: Operands) -> Any:
    slope = node.inputs[1]
    assert slope is not None
    return w.module(node, nn.PReLU(static(slope.shape[0]), device="meta"), xs[0], weight=slope)


@translation("resize_bilinear")
def resize_bilinear(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(F.interpolate, xs[0], size=list(node.attrs["size"]), mode="bilinear", align_corners=True)


def _reduction(function: Callable[..., Any]) -> Translation:
    def translate(w: Emitter, node: Node, xs: Operands) -> Any:
        return w.call(function, xs[0], dim=list(node.attrs["axes"]), keepdim=node.attrs["keepdims"])

    return translate


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
}
for _kind, _function in _REDUCTIONS.items():
    TRANSLATIONS[f"reduce_{_kind}"] = _reduction(_function)


@translation("cumsum")
def cumsum(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(torch.cumsum, xs[0], dim=node.attrs["axis"])


@translation("top_k")
def top_k(w: Emitter, node: Node, xs: Operands) -> Any:
    # torch.topk does not say which of equals it takes; a stable sort takes the first, as the others do.
    both = w.call(torch.sort, xs[0], dim=node.attrs["axis"], descending=True, stable=True)
    return tuple(
        w.call(torch.narrow, w.call(operator.getitem, both, i), node.attrs["axis"], 0, node.attrs["k"]) for i in (0, 1)
    )


@translation("reshape")
def reshape(w: Emitter, node: Node, xs: Operands) -> Any:
    x, shape = node.inputs[0], node.attrs["shape"]
    assert x is not None
    axis = len(shape) - 1
    if 0 <= axis < len(x.shape) - 1 and shape == (*x.shape[:axis], numel(x.shape[axis:])):
        return w.call(torch.flatten, xs[0], axis)
    return w.call(torch.reshape, xs[0], w.shape(node.attrs["shape"], infer=True))


@translation("transpose")
def transpose(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(torch.permute, xs[0], node.attrs["order"])


@translation("concat")
def concat(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(torch.cat, xs, dim=node.attrs["axis"])


@translation("slice")
def slice_(w: Emitter, node: Node, xs: Operands) -> Any:
    a = node.attrs
    if a["step"] < 0:
        if (a["start"], a["stop"], a["step"]) != (node.outputs[0].shape[a["axis"]] - 1, -1, -1):
            raise ValueError("a negative step is only for a whole axis")
        return w.call(torch.flip, xs[0], [a["axis"]])
    index = (slice(None),) * a["axis"] + (slice(a["start"], a["stop"], a["step"] if a["step"] != 1 else None),)
    return w.call(operator.getitem, xs[0], index)


@translation("pad")
def pad(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(F.pad, xs[0], _flat_pads(node.attrs["pads"]), value=node.attrs["value"])


@translation("expand")
def expand(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.method("expand", xs[0], w.shape(node.attrs["shape"]))


@translation("gather")
def gather(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(operator.getitem, xs[0], (slice(None),) * node.attrs["axis"] + (w.tensor(node.inputs[1]),))


@translation("take_along")
def take_along(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(torch.gather, xs[0], node.attrs["axis"], w.tensor(node.inputs[1]))


@translation("scatter_zeros")
def scatter_zeros(w: Emitter, node: Node, xs: Operands) -> Any:
    zeros = w.method("new_zeros", xs[0], w.shape(node.outputs[0].shape))
    return w.call(torch.scatter, zeros, 1, xs[1], xs[0])


@translation("arange")
def arange(w: Emitter, node: Node, xs: Operands) -> Any:
    (length,) = w.shape((node.attrs["length"],))
    return w.call(torch.arange, length, device=w.input_device())


@translation("full")
def full(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.method("new_full", w.any_input(), w.shape(node.attrs["shape"]), node.attrs["value"])


@translation("nonzero")
def nonzero(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(operator.getitem, w.call(torch.nonzero, xs[0], as_tuple=True), 0)


@translation("nms")
def nms(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(functions.nms, *xs, node.attrs["iou_threshold"], node.attrs["eta"])


@translation("roi_max_pool")
def roi_max_pool(w: Emitter, node: Node, xs: Operands) -> Any:
    return w.call(functions.roi_max_pool, *xs, *node.attrs["pooled"], node.attrs["spatial_scale"])


# Pooling: torch's own modules where their rules make just these windows, explicit padding where not.


def _flat_pads(pads: Sequence[tuple[int, int]]) -> list[int]:
    """(before, after) per axis as `torch.nn.functional.pad` wants it: last axis first."""
    return [amount for pair in reversed(pads) for amount in pair]


def _symmetric(pads: Sequence[tuple[int, int]], kernel: Sequence[int]) -> tuple[int, ...] | None:
    """The one number per axis that torch's pooling takes, or None where it cannot say these pads."""
    fits = all(a == b and 2 * a <= k for (a, b), k in zip(pads, kernel))
    return tuple(a for a, _ in pads) if fits else None


def _ceiling(node: Node) -> tuple[int, ...] | None:
    """The leading pads if torch's ceil_mode makes just these windows, else None."""
    a, x = node.attrs, node.inputs[0]
    assert x is not None
    lengths, counts = fixed(x.shape[2:]), fixed(node.outputs[0].shape[2:])
    for length, made, k, s, (before, after) in zip(lengths, counts, a["kernel"], a["strides"], a["pads"]):
        count = -(-(length + 2 * before - k) // s) + 1
        count -= (count - 1) * s >= length + before
        if 2 * before > k or after < before or count != made:
            return None
    return tuple(before for before, _ in a["pads"])


@translation("max_pool")
def max_pool(w: Emitter, node: Node, xs: Operands) -> Any:
    a = node.attrs
    make: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[len(a["kernel"]) - 1]
    pads = _symmetric(a["pads"], a["kernel"])
    if pads is not None:
        return w.module(node, make(a["kernel"], a["strides"], pads), xs[0])
    pads = _ceiling(node)
    if pads is not None:
        return w.module(node, make(a["kernel"], a["strides"], pads, ceil_mode=True), xs[0])
    return w.module(
        node, make(a["kernel"], a["strides"]), w.call(F.pad, xs[0], _flat_pads(a["pads"]), value=float("-inf"))
    )


@translation("max_pool_with_mask")
def max_pool_with_mask(w: Emitter, node: Node, xs: Operands) -> Any:
    a, pads = node.attrs, _symmetric(node.attrs["pads"], node.attrs["kernel"])
    ceil = _ceiling(node) if pads is None else None
    if pads is None and ceil is None:
        raise ValueError(f"torch cannot give the mask of a pooling padded by {a['pads']}")
    options = {"ceil_mode": ceil is not None, "return_indices": True}
    both = w.call(F.max_pool2d, xs[0], a["kernel"], a["strides"], pads or ceil, **options)
    return w.call(operator.getitem, both, 0), w.call(operator.getitem, both, 1)


@translation("avg_pool")
def avg_pool(w: Emitter, node: Node, xs: Operands) -> Any:
    a = node.attrs
    make: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)[len(a["kernel"]) - 1]
    pads, ceil = _symmetric(a["pads"], a["kernel"]), _ceiling(node)
    if pads is not None and (a["count_pads"] or not any(pads)):
        return w.module(node, make(a["kernel"], a["strides"], pads), xs[0])
    if a["count_pads"]:
        return w.module(node, make(a["kernel"], a["strides"]), w.call(F.pad, xs[0], _flat_pads(a["pads"])))
    if ceil is not None and not any(ceil):  # torch's ceil_mode also divides by what lies inside
        return w.module(node, make(a["kernel"], a["strides"], ceil_mode=True), xs[0])
    lists = (list(a["kernel"]), list(a["strides"]), _flat_pads(a["pads"]))
    return w.call(functions.avg_pool_inside, xs[0], *lists)


def _scaled_channels(node: Node) -> int:
    """How many channels (axis 1) a product multiplies, each by its own learned weight; 0 if it is no such product."""
    return _per_channel(node) if node.op == "mul" else 0


def _per_channel(node: Node) -> int:
    x, weight = node.inputs
    if x is None or weight is None or weight.data is None or not weight.learned or weight.name.startswith("shared."):
        return 0
    column = (x.shape[1], *(1,) * (len(x.shape) - 2)) if len(x.shape) > 1 else ()
    return static(x.shape[1]) if column and weight.shape == column else 0


def _offset_of(node: Node, after: Node | None) -> Node | None:
    """The sum behind a product that the same layer makes of its result with learned offsets, or None."""
    if after is None or after.op != "add" or after.index != node.index or after.inputs[0] is not node.outputs[0]:
        return None
    return after if _per_channel(after) and not node.outputs[0].name else None


def _scale(w: Emitter, node: Node, offset: Node | None, x: Any) -> Any:
    """The call of a `Scale` that stands for both."""
    channels = _scaled_channels(node)
    module = functions.Scale(channels, bias=offset is not None)
    bias = offset.inputs[1] if offset is not None else None
    return w.module(node, module, x, (channels,), weight=node.inputs[1], bias=bias)


def translate(w: TorchWriter) -> None:
    """Write every primitive of the writer's graph; the product and the sum of a Scale layer become one module."""
    w.begin()
    nodes = w.primitives.nodes
    taken: Node | None = None
    for node, after in zip(nodes, [*nodes[1:], None]):
        if node is taken:
            continue
        taken = _offset_of(node, after) if _scaled_channels(node) else None
        results = (taken or node).outputs
        w.name(results)
        xs = w.operands(node)
        made = _scale(w, node, taken, xs[0]) if _scaled_channels(node) else TRANSLATIONS[node.op](w, node, xs)
        w.results(node, results, made)
    w.end()
