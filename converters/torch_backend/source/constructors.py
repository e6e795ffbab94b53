"""How a module is made: its class and the arguments that a person would write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from converters.torch_backend import functions
from converters.torch_backend.source.layout import literal

__all__ = ["Constructor", "constructor", "kind_of"]


@dataclass(frozen=True)
class Constructor:
    """A class and its arguments.

    Attributes:
        name: `nn.Conv2d`, or the name of a helper.
        positional: argument → value, written without their names.
        keywords: argument → (value, default), written with their names unless they are the default.
    """

    name: str
    positional: dict[str, Any]
    keywords: dict[str, tuple[Any, Any]]

    @property
    def fields(self) -> dict[str, Any]:
        return {**self.positional, **{name: value for name, (value, _) in self.keywords.items()}}

    def arguments(self, replaced: dict[str, str] | None = None) -> list[str]:
        """The arguments as source; `replaced` says which are expressions instead of their own values."""
        replaced = replaced or {}
        written = [replaced.get(name, literal(value)) for name, value in self.positional.items()]
        for name, (value, default) in self.keywords.items():
            if name in replaced or value != default:
                written.append(f"{name}={replaced.get(name, literal(value))}")
        return written


_KINDS = {
    "Conv": "conv", "MaxPool": "pool", "AvgPool": "pool", "Linear": "fc", "DoubleLinear": "fc", "BatchNorm": "bn",
    "Scale": "scale", "PReLU": "prelu", "ReLU": "relu", "Dropout": "drop", "LocalResponseNorm": "norm",
    "Softmax": "softmax", "Sigmoid": "sigmoid", "Tanh": "tanh",
}  # fmt: skip


def kind_of(module: nn.Module) -> str:
    """The usual short name of such a module: `conv`, `pool`, `bn`."""
    name = type(module).__name__
    return next((kind for start, kind in _KINDS.items() if name.startswith(start)), name.lower())


def _plain(value: Any) -> Any:
    """(3, 3) is written 3."""
    if isinstance(value, (tuple, list)) and len(set(value)) == 1:
        return value[0]
    return tuple(value) if isinstance(value, list) else value


def constructor(module: nn.Module) -> Constructor:
    """The constructor of an equal module (its weights aside)."""
    name = type(module).__name__
    full = name if type(module).__module__ == functions.__name__ else f"nn.{name}"
    for kinds, describe in _DESCRIBED:
        if isinstance(module, kinds):
            positional, keywords = describe(module)
            return Constructor(full, positional, keywords)
    arguments = {f"argument{i}": value for i, value in enumerate(_ARGUMENTS.get(name, lambda m: ())(module))}
    return Constructor(full, arguments, {})


Description = tuple[dict[str, Any], dict[str, tuple[Any, Any]]]


def _convolution(m: Any) -> Description:
    positional = {
        "in_channels": m.in_channels, "out_channels": m.out_channels, "kernel_size": _plain(m.kernel_size)
    }  # fmt: skip
    keywords = {
        "stride": (_plain(m.stride), 1),
        "padding": (_plain(m.padding), 0),
        "dilation": (_plain(m.dilation), 1),
        "groups": (m.groups, 1),
        "bias": (m.bias is not None, True),
    }
    return positional, keywords


def _max_pool(m: Any) -> Description:
    kernel = _plain(m.kernel_size)
    keywords = {
        "stride": (_plain(m.stride), kernel),
        "padding": (_plain(m.padding), 0),
        "ceil_mode": (m.ceil_mode, False),
    }
    return {"kernel_size": kernel}, keywords


def _linear(m: Any) -> Description:
    return {"in_features": m.in_features, "out_features": m.out_features}, {"bias": (m.bias is not None, True)}


def _batch_norm(m: Any) -> Description:
    keywords = {"eps": (m.eps, 1e-5), "momentum": (m.momentum, 0.1), "affine": (m.affine, True)}
    return {"num_features": m.num_features}, keywords


def _norm(m: Any) -> Description:
    return {"size": m.size}, {"alpha": (m.alpha, None), "beta": (m.beta, None), "k": (m.k, None)}


def _scale(m: Any) -> Description:
    return {"channels": len(m.weight)}, {"bias": (m.bias is not None, True)}


_DESCRIBED: list[tuple[Any, Any]] = [
    (nn.modules.conv._ConvNd, _convolution),
    ((nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _max_pool),
    (nn.Linear, _linear),
    (nn.modules.batchnorm._BatchNorm, _batch_norm),
    (nn.LocalResponseNorm, _norm),
    (functions.Scale, _scale),
    (nn.Softmax, lambda m: ({}, {"dim": (m.dim, None)})),
]
_ARGUMENTS: dict[str, Any] = {
    "Dropout": lambda m: (m.p,),
    "PReLU": lambda m: (m.num_parameters,),
    "LeakyReLU": lambda m: (m.negative_slope,),
    "ELU": lambda m: (m.alpha,),
}
