"""Caffe's names as Python's, and what a converted module says about itself."""

from __future__ import annotations

import keyword
import unicodedata
from functools import cache
from typing import Any

from torch import fx, nn

from converters.torch_backend import functions

__all__ = ["ABOUT", "about", "class_name", "identifier", "reserved"]

ABOUT = "camcompat"  # the key in `meta`: what copies of the module keep, plain data only
OWN = frozenset({"_node_of", "features", "layer", "layer_names", "name"})  # of `TorchNet`, which stands on these names


def about(module: fx.GraphModule) -> dict[str, Any]:
    """What is noted in a converted module; empty in another."""
    noted: dict[str, Any] = module.meta.get(ABOUT, {})
    return noted


@cache
def reserved() -> frozenset[str]:
    """What a module has of its own: torch's attributes, ours, and the functions beside it in written source."""
    module = fx.GraphModule(nn.Module(), fx.Graph())
    return OWN | {*dir(module), *vars(module), *functions.__all__, "self", "load"}


def identifier(name: str) -> str:
    """A Caffe name as a Python attribute of a module.

    >>> identifier("conv1/7x7_s2"), identifier("2x"), identifier("for"), identifier("type"), identifier("x²")
    ('conv1_7x7_s2', '_2x', 'for_', 'type_', 'x2')
    """
    # Python reads identifiers in this normal form: an attribute of another spelling would never be found.
    name = unicodedata.normalize("NFKC", name) or "layer"
    plain = "".join(c if f"_{c}".isidentifier() else "_" for c in name)
    if plain == "_" or plain.startswith("__"):  # inside a class, Python reads `self.__x` as another name
        plain = f"_{plain.lstrip('_') or 'layer'}"
    if not plain.isidentifier():
        plain = f"_{plain}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain in reserved() else plain


def class_name(name: str) -> str:
    """A net's name as that of a Python class; `CaffeNet` where nothing is left of it.

    >>> class_name("squeezeNet v1"), class_name("16-layer"), class_name("")
    ('SqueezeNet_v1', 'Net_16_layer', 'CaffeNet')
    """
    plain = identifier(name or "CaffeNet").strip("_") or "CaffeNet"
    plain = plain[0].upper() + plain[1:]
    free = plain.isidentifier() and not keyword.iskeyword(plain) and plain not in ("Path", "Tensor")  # imported there
    return plain if free else f"Net_{plain}"
