"""The way that all converters share: files in, a lowered graph with the wanted outputs out."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from typing import Optional, Union

import prototxt as prototxt_files
from prototxt import Net
from prototxt.errors import ConversionError

from .blobs import WeightsLike, blob_source
from .graph import Graph, Value
from .lowering import Lowered, lower

__all__ = ["NetLike", "Shapes", "build", "load_net", "umask"]

NetLike = Union[str, "os.PathLike[str]", Net]
Shapes = Optional[Mapping[str, Sequence[int]]]


def load_net(prototxt: NetLike, input_shapes: Shapes = None) -> Net:
    """A path or a `Net` as a `Net`, with other input shapes where asked for."""
    if isinstance(prototxt, Net):
        if input_shapes:
            return prototxt_files.from_message(prototxt.message, source=prototxt.source, input_shapes=input_shapes)
        return prototxt
    return prototxt_files.load(prototxt, input_shapes=input_shapes)


def build(
    prototxt: NetLike,
    caffemodel: WeightsLike,
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    symbolic_batch: bool = True,
) -> Lowered:
    """Lower a net and keep what the outputs need; every note is said as a `CamcompatWarning`."""
    net = load_net(prototxt, input_shapes)
    lowered = lower(net, blob_source(caffemodel), symbolic_batch=symbolic_batch)
    lowered.warn()
    wanted = None if outputs is None else select(net, lowered.graph, outputs)
    lowered.graph = lowered.graph.pruned(wanted)
    return lowered


def select(net: Net, graph: Graph, outputs: Sequence[str]) -> dict[str, Value]:
    """Blob names as the user types them → values; an unknown one is an error with the nearest."""
    chosen: dict[str, Value] = {}
    for name in [outputs] if isinstance(outputs, str) else outputs:
        version = net.resolve(name) if name not in graph.blobs else name
        if version not in graph.blobs:
            close = difflib.get_close_matches(name, list(graph.blobs), n=3)
            hint = f"did you mean {', '.join(close)}?" if close else "`camcompat inspect` lists them"
            raise ConversionError(f'there is no blob "{name}"', where=net.source, remedy=hint)
        chosen[name if graph.blobs[version] not in graph.inputs else version] = graph.blobs[version]
    return chosen


def umask() -> int:
    """The process's file mode mask: a file made private by its library gets the mode that others would have."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
