"""The primitives as PyTorch: an `nn` module where there is one that says the same, else a function.

Each translation takes the `TorchWriter`, the node and its operands (fx nodes, numbers or None) and returns the result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F

from converters.graph.dims import fixed, numel, static
from converters.graph.graph import Node
from converters.torch_backend import functions as torch_functions
from converters.torch_backend import pooling as torch_pooling
from converters.torch_backend.pooling import flat_pads

if TYPE_CHECKING:
    from converters.torch_backend.writer import TorchWriter

__all__ = ["TRANSLATIONS"]

Operands = list[Any]
Translation = Callable[["TorchWriter", Node, Operands], Any]
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
_module("lrn", lambda a: torch_functions.LocalResponseNorm(a["size"], a["alpha"], a["beta"], a["k"]))


@translation("softplus")
def softplus(w: TorchWriter, node: Node, xs: Operands) -> Any:
    # nn.Softplus switches to the identity above a threshold; logaddexp is exact everywhere.
    return w.call(torch.logaddexp, xs[0], w.call(torch.zeros_like, xs[0]))


@translation("div")
def div(w: TorchWriter, node: Node, xs: Operands) -> Any:
    whole = node.outputs[0].dtype == "int64"
    return w.call(operator.floordiv if whole else operator.truediv, *xs)


def _extreme(function: Callable[..., Any], bound: str) -> Translation:
    def translate(w: TorchWriter, node: Node, xs: Operands) -> Any:
        numbers = [x for x in xs if isinstance(x, (int, float))]
        if numbers:
            tensor = next(x for x in xs if x is not numbers[0])
            return w.call(torch.clamp, tensor, **{bound: numbers[0]})
        return w.call(function, *xs)

    return translate


TRANSLATIONS["maximum"] = _extreme(torch.maximum, "min")
TRANSLATIONS["minimum"] = _extreme(torch.minimum, "max")


@translation("clip")
def clip(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch.clamp, xs[0], node.attrs["min"], node.attrs["max"])


@translation("hard_sigmoid")
def hard_sigmoid(w: TorchWriter, node: Node, xs: Operands) -> Any:
    scaled = w.call(operator.add, w.call(operator.mul, xs[0], node.attrs["alpha"]), node.attrs["beta"])
    return w.call(torch.clamp, scaled, 0.0, 1.0)


@translation("cast")
def cast(w: TorchWriter, node: Node, xs: Operands) -> Any:
    to = node.attrs["to"]
    # Back to the input's own precision rather than to float32, so that net.double() stays double.
    return w.method("to", xs[0], w.input_dtype()) if to == "float32" else w.method("to", xs[0], DTYPES[to])


@translation("round_to_float32")
def round_to_float32(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.method("to", w.method("float", xs[0]), w.input_dtype())


CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "conv": (nn.Conv1d, nn.Conv2d, nn.Conv3d),
    "conv_transpose": (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
}


@translation("conv")
def convolution(w: TorchWriter, node: Node, xs: Operands) -> Any:
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
def linear(w: TorchWriter, node: Node, xs: Operands) -> Any:
    _, weight, bias = node.inputs
    assert weight is not None
    out, inner = fixed(weight.shape)
    make = torch_functions.DoubleLinear if "accumulate" in node.attrs else nn.Linear
    module = make(inner, out, bias=bias is not None, device="meta")
    return w.module(node, module, xs[0], weight=weight, bias=bias)


@translation("batch_norm")
def batch_norm(w: TorchWriter, node: Node, xs: Operands) -> Any:
    x, mean, variance = node.inputs
    assert x is not None and mean is not None
    make = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[len(x.shape)]
    module = make(static(mean.shape[0]), eps=node.attrs["epsilon"], affine=False)
    return w.module(node, module, xs[0], running_mean=mean, running_var=variance)


@translation("prelu")
def prelu(w: TorchWriter, node: Node, xs: Operands) -> Any:
    slope = node.inputs[1]
    assert slope is not None
    return w.module(node, nn.PReLU(static(slope.shape[0]), device="meta"), xs[0], weight=slope)


TRANSLATIONS["max_pool"] = torch_pooling.max_pool
TRANSLATIONS["max_pool_with_mask"] = torch_pooling.max_pool_with_mask
TRANSLATIONS["avg_pool"] = torch_pooling.avg_pool


@translation("resize_bilinear")
def resize_bilinear(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(F.interpolate, xs[0], size=list(node.attrs["size"]), mode="bilinear", align_corners=True)


def _reduction(function: Callable[..., Any]) -> Translation:
    def translate(w: TorchWriter, node: Node, xs: Operands) -> Any:
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
def cumsum(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch.cumsum, xs[0], dim=node.attrs["axis"])


@translation("top_k")
def top_k(w: TorchWriter, node: Node, xs: Operands) -> Any:
    # torch.topk does not say which of equals it takes; a stable sort takes the first, as the others do.
    both = w.call(torch.sort, xs[0], dim=node.attrs["axis"], descending=True, stable=True)
    return tuple(
        w.call(torch.narrow, w.call(operator.getitem, both, i), node.attrs["axis"], 0, node.attrs["k"]) for i in (0, 1)
    )


@translation("reshape")
def reshape(w: TorchWriter, node: Node, xs: Operands) -> Any:
    x, shape = node.inputs[0], node.attrs["shape"]
    assert x is not None
    axis = len(shape) - 1
    if 0 <= axis < len(x.shape) - 1 and shape == (*x.shape[:axis], numel(x.shape[axis:])):
        return w.call(torch.flatten, xs[0], axis)
    return w.call(torch.reshape, xs[0], w.shape(node.attrs["shape"], infer=True))


@translation("transpose")
def transpose(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch.permute, xs[0], node.attrs["order"])


@translation("concat")
def concat(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch.cat, xs, dim=node.attrs["axis"])


@translation("slice")
def slice_(w: TorchWriter, node: Node, xs: Operands) -> Any:
    a = node.attrs
    if a["step"] < 0:
        if (a["start"], a["stop"], a["step"]) != (node.outputs[0].shape[a["axis"]] - 1, -1, -1):
            raise ValueError("a negative step is only for a whole axis")
        return w.call(torch.flip, xs[0], [a["axis"]])
    index = (slice(None),) * a["axis"] + (slice(a["start"], a["stop"], a["step"] if a["step"] != 1 else None),)
    return w.call(operator.getitem, xs[0], index)


@translation("pad")
def pad(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(F.pad, xs[0], flat_pads(node.attrs["pads"]), value=node.attrs["value"])


@translation("expand")
def expand(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.method("expand", xs[0], w.shape(node.attrs["shape"]))


@translation("gather")
def gather(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(operator.getitem, xs[0], (slice(None),) * node.attrs["axis"] + (w.tensor(node.inputs[1]),))


@translation("take_along")
def take_along(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch.gather, xs[0], node.attrs["axis"], w.tensor(node.inputs[1]))


@translation("scatter_zeros")
def scatter_zeros(w: TorchWriter, node: Node, xs: Operands) -> Any:
    zeros = w.method("new_zeros", xs[0], w.shape(node.outputs[0].shape))
    return w.call(torch.scatter, zeros, 1, xs[1], xs[0])


@translation("arange")
def arange(w: TorchWriter, node: Node, xs: Operands) -> Any:
    (length,) = w.shape((node.attrs["length"],))
    return w.call(torch.arange, length, device=w.input_device())


@translation("full")
def full(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.method("new_full", w.any_input(), w.shape(node.attrs["shape"]), node.attrs["value"])


@translation("nonzero")
def nonzero(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(operator.getitem, w.call(torch.nonzero, xs[0], as_tuple=True), 0)


@translation("nms")
def nms(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch_functions.nms, *xs, node.attrs["iou_threshold"], node.attrs["eta"])


@translation("roi_max_pool")
def roi_max_pool(w: TorchWriter, node: Node, xs: Operands) -> Any:
    return w.call(torch_functions.roi_max_pool, *xs, *node.attrs["pooled"], node.attrs["spatial_scale"])
