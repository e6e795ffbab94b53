"""Nets to run: a training definition becomes the net that one deploys, any other net stays as it is."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from prototxt.net import build, parse_net, parsed_message
from prototxt.structure import Net
from prototxt.text_format.files import read_text
from prototxt.text_format.parser import Parsed
from prototxt.training.train_val import Rewriting, rewrite
from prototxt.wiring import Entry

__all__ = ["deploy"]


def deploy(
    net: str | os.PathLike[str] | Net | Any,
    *,
    source: str = "",
    phase: str | None = None,
    level: int | None = None,
    stages: Iterable[str] = (),
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    keep_losses: bool | None = None,
    channels: Callable[[Any], int | None] | None = None,
    own: Container[str] = (),
) -> Net:
    """A net that can be run: like :func:`prototxt.load`, but a training definition is made a deployed net.

    Data layers (Data, ImageData, HDF5Data, MemoryData, Python without bottoms, …) become inputs of the size that they
    crop or resize to; where the wanted phase has none, those of the other phase are taken. SoftmaxWithLoss becomes
    Softmax (top ``prob``, or ``<loss>_prob`` where there are several or the name is taken) and SigmoidCrossEntropyLoss
    Sigmoid; of any other loss the prediction becomes an output. Labels, metrics, and classifiers that learn the same
    labels with a smaller ``loss_weight`` (GoogLeNet's two) are left out. ``Net.notes`` says what was changed.

    A training definition is a net with data layers, one with losses and phase rules, or one out of a caffemodel. Any
    other net with losses, and every net without either, is loaded as it is.

    Args:
        net: the path of a prototxt, a Net, or the NetParameter inside a caffemodel.
        source: the file, for errors; only with a NetParameter.
        phase, level, stages, input_shapes: as for :func:`prototxt.load`.
        keep_losses: True keeps losses, metrics and labels (as inputs); False replaces the losses of any net.
        channels: a function from the first LayerParameter with weights that reads an input to its channels, or None.
        own: layer types of the user's own, which are not data layers: ``"Python:module.Class"``.

    Raises:
        PrototxtError: as :func:`prototxt.load`; an UnknownShape where the size of an input is not in the prototxt.

    >>> from prototxt import loads
    >>> data = 'layer { name: "d" type: "ImageData" top: "x" top: "label" transform_param { crop_size: 8 } }'
    >>> loss = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "loss" }'
    >>> net = deploy(loads(data + loss))
    >>> dict(net.inputs), net.outputs
    ({'x': (1, 3, 8, 8)}, ('prob',))
    """
    if isinstance(net, Net):
        if net.deployed and not input_shapes and keep_losses is None:
            return net
        keep_losses = True if net.deployed and keep_losses is None else keep_losses
        parsed, embedded = _parsed_again(net), False
    elif isinstance(net, (str, os.PathLike)):
        parsed, embedded = parse_net(read_text(net), os.fspath(net)), False
    else:
        parsed, embedded = parsed_message(net, source), True
    rewriting = Rewriting(keep_losses, embedded, dict(input_shapes or {}), channels or _unknown, own, parsed.source)

    def change(kept: list[Entry], absent: list[Entry]) -> tuple[list[Entry], list[str]]:
        return rewrite(kept, absent, rewriting)

    made = build(parsed, phase, level, stages, input_shapes, change)
    return replace(made, notes=(*net.notes, *made.notes)) if isinstance(net, Net) else made


def _unknown(layer: Any) -> int | None:
    return None


def _parsed_again(net: Net) -> Parsed:
    """A net as :func:`prototxt.text_format.parser.parse` would have returned it, lines included."""
    lines = tuple(layer.line for layer in net.layers if layer.line is not None)
    index = {id(unknown): i for i, layer in enumerate(net.layers) for unknown in layer.unknown}
    unknown = tuple(replace(field, layer=index.get(id(field))) for field in net.unknown)
    return Parsed(
        net.message, net.source, lines if len(lines) == len(net.layers) else (), unknown, MappingProxyType({})
    )
