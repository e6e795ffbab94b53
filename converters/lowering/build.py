"""The way that all converters share: files in, a lowered graph with the wanted outputs out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import prototxt as prototxt_files
from converters.graph.graph import Graph, Value
from converters.layers.registry import layer_types
from converters.lowering.blobs import BlobSource, FileBlobs, WeightsLike, blob_source
from converters.lowering.input_size import channels_of, infer_shape
from converters.lowering.lower_net import Lowered, lower
from converters.lowering.notes import odd_numbers
from converters.options import Options, Shapes
from prototxt import Net
from prototxt.errors import ConversionError, PrototxtError, nearest_names
from prototxt.training.data_layers import UnknownShape
from weights import Weights

__all__ = ["NetLike", "build", "load_net", "umask"]

DEFAULT = Options()

NetLike: TypeAlias = "str | os.PathLike[str] | Net"


def load_net(
    prototxt: NetLike | None,
    input_shapes: Shapes = None,
    *,
    blobs: BlobSource | None = None,
    keep_losses: bool | None = None,
) -> Net:
    """A path or a `Net` as the `Net` to run; see `prototxt.deploy` for what becomes of a training definition.

    Args:
        prototxt: None takes the net that the caffemodel embeds.
        input_shapes: input name → another shape than the definition says.
        blobs: the weights: they tell the size of an input that the definition leaves open.
        keep_losses: as for `prototxt.deploy`.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.
    """
    definition, source = _definition(prototxt, blobs)
    weights = blobs if isinstance(blobs, FileBlobs) else None

    def deployed(shapes: Mapping[str, Sequence[int]]) -> Net:
        return prototxt_files.deploy(
            definition,
            source=source,
            input_shapes=shapes,
            keep_losses=keep_losses,
            channels=None if weights is None else partial(channels_of, weights),
            own=layer_types(),
        )

    shapes: dict[str, Sequence[int]] = dict(input_shapes or {})
    notes: list[str] = []
    while True:
        try:
            net = deployed(shapes)
            return replace(net, notes=(*net.notes, *notes)) if notes else net
        except UnknownShape as unknown:
            if weights is None:
                raise
            shapes[unknown.name], note = infer_shape(unknown, partial(_with, deployed, shapes, unknown.name), weights)
            notes.append(note)
        except PrototxtError as error:
            if prototxt is not None:
                raise
            remedy = "the net inside this caffemodel cannot stand alone: give the prototxt as well"
            raise PrototxtError(error.message, where=error.where, remedy=remedy) from error


def _with(
    deployed: Callable[[Mapping[str, Sequence[int]]], Net],
    shapes: Mapping[str, Sequence[int]],
    name: str,
    shape: Sequence[int],
) -> Net:
    return deployed({**shapes, name: shape})


def _definition(prototxt: NetLike | None, blobs: BlobSource | None) -> tuple[Any, str]:
    """What `prototxt.deploy` takes, and its source where that is a message."""
    if isinstance(prototxt, (str, os.PathLike, Net)) or hasattr(prototxt, "SerializeToString"):
        return prototxt, ""
    if prototxt is not None:
        raise ConversionError(f"{type(prototxt).__name__} is no net", remedy="give the path of a prototxt, or a Net")
    weights = blobs.blobs if isinstance(blobs, FileBlobs) else None
    if not isinstance(weights, Weights):
        remedy = "give the prototxt, or the path of a caffemodel (it embeds the net that it was trained as)"
        raise ConversionError("there is no net to convert: neither a prototxt nor a caffemodel", remedy=remedy)
    return weights.net(), weights.source


def build(prototxt: NetLike | None, caffemodel: WeightsLike, options: Options = DEFAULT) -> Lowered:
    """Lower a net and keep what the outputs need. Who asked for it says the notes (`notes.warn`)."""
    blobs = blob_source(caffemodel)
    net = load_net(prototxt, options.input_shapes, blobs=blobs, keep_losses=options.keep_losses)
    lowered = lower(net, blobs, symbolic_batch=options.symbolic_batch)
    lowered.notes += odd_numbers(net, blobs)
    wanted = None if options.outputs is None else select(net, lowered.graph, options.outputs)
    lowered.graph = lowered.graph.pruned(wanted)
    return lowered


def select(net: Net, graph: Graph, outputs: Sequence[str]) -> dict[str, Value]:
    """Blob names as the user types them → values; an unknown one is an error with the nearest."""
    chosen: dict[str, Value] = {}
    for name in [outputs] if isinstance(outputs, str) else map(str, outputs):  # (NumPy's strings print otherwise)
        version = net.resolve(name) if name not in graph.blobs else name
        if version not in graph.blobs:
            close = nearest_names(name, graph.blobs, 3)
            hint = f"did you mean {', '.join(close)}?" if close else "`camcompat inspect` lists them"
            raise ConversionError(f'there is no blob "{name}"', where=net.source, remedy=hint)
        chosen[name if graph.blobs[version] not in graph.inputs else version] = graph.blobs[version]
    return chosen


def umask() -> int:
    """The process's file mode mask: a file made private by its library gets the mode that others would have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
