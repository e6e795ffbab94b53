"""The way back: a PyTorch module that came from a caffemodel, fine-tuned or edited, as a caffemodel again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

import weights
from converters.torch_backend.names import ABOUT
from converters.torch_backend.origins import Computed, Origins, Placed
from prototxt.errors import ConversionError
from prototxt.schema import message_class
from weights.files.rewrite import rewrite

__all__ = ["caffe_blobs", "to_caffemodel"]


def to_caffemodel(
    module: nn.Module, path: str | os.PathLike[str], *, template: str | os.PathLike[str] | None = None
) -> Path:
    """Write the weights of a converted net as a caffemodel that Caffe reads.

    Blobs get the layers' names and types and the shapes that Caffe wants; what torch keeps in another form
    (a transposed InnerProduct, BatchNorm's statistics without their factor) is turned back. Numbers that were not
    changed come out bit for bit.

    Args:
        module: from `to_torch`. Weights that were trained elsewhere are loaded into it first
            (`module.load_state_dict`); the `.safetensors` of `to_python` and the state of its class fit too.
        path: the file to write.
        template: the original caffemodel. Then the whole file is its copy, byte for byte, but for the numbers that
            changed, its generation and legacy shapes included; layers that the module lacks stay as they are.
            Without it a file of today's format is written, which embeds the net as it was converted.

    Raises:
        ConversionError: the module is not from `to_torch`; or numbers were changed that are computed from a blob and
            do not determine it.
        WeightsError: the template belongs to another net, or the file cannot be written.

    >>> from tempfile import mkdtemp
    >>> from weights.models import find
    >>> from converters import to_torch
    >>> model, new = find("shapes-cam"), Path(mkdtemp()) / "new.caffemodel"
    >>> net = to_torch(model.path("prototxt"), model.path("caffemodel"))
    >>> to_caffemodel(net, new, template=model.path("caffemodel")).read_bytes() == (
    ...     model.path("caffemodel").read_bytes())
    True
    """
    blobs = caffe_blobs(module)
    if template is not None:
        rewrite(template, path, blobs)
    else:
        net = message_class("NetParameter").FromString(_about(module)["net"])
        weights.write(path, net, blobs)
    return Path(path)


def caffe_blobs(module: nn.Module) -> dict[str, list[np.ndarray]]:
    """The blobs of a converted net, by Caffe's layer names, float32, in Caffe's shapes; see `to_caffemodel`."""
    origins: Origins = _about(module)["origins"]
    state = {key: _array(tensor) for key, tensor in module.state_dict().items()}
    return {layer: _layer(layer, blobs, state) for layer, blobs in origins.items()}


def _about(module: nn.Module) -> dict[str, Any]:
    meta = getattr(module, "meta", None)
    about: dict[str, Any] = meta.get(ABOUT, {}) if isinstance(meta, dict) else {}
    if "origins" not in about:
        remedy = "make one with to_torch (without fold) and load the weights into it (load_state_dict)"
        raise ConversionError("this module does not know its Caffe layers", where=type(module).__name__, remedy=remedy)
    return about


def _array(tensor: Tensor) -> np.ndarray:
    tensor = tensor.detach().cpu()
    return np.ascontiguousarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())


def _layer(name: str, blobs: list[Placed | Computed], state: dict[str, np.ndarray]) -> list[np.ndarray]:
    made = [blob.restored(state, f'layer "{name}" blob {i}') for i, blob in enumerate(blobs)]
    statistics = {i: blob for i, blob in enumerate(blobs) if isinstance(blob, Computed) and blob.statistic}
    if any(blob.changed(state) for blob in statistics.values()):
        made[2] = np.ones_like(made[2])  # torch's statistics are divided by the factor already
        for i, blob in statistics.items():
            made[i] = state[blob.statistic].reshape(made[i].shape)
    return made
