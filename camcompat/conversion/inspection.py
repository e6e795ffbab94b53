"""What a Caffe net holds (layers, shapes, parameters, multiply-adds, what cannot be converted), and what an ONNX file
says about itself, which onnxruntime alone reads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camcompat.cam.session import CAM_OUTPUTS, open_session, read_metadata
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from converters import Lowered
    from converters.graph.graph import Graph
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike
    from converters.options import Shapes

__all__ = ["Inspection", "OnnxInspection", "Row", "inspect", "inspect_onnx"]


@dataclass(frozen=True)
class Row:
    """A layer.

    Attributes:
        name, type: as the prototxt has them.
        variant: which of several layers of its type name it is, "" where there is one.
        shape: a shape for each top, symbols as text.
        parameters: how many learned numbers it has.
        multiply_adds: for one image.
        error: why it cannot be converted, or "".
    """

    name: str
    type: str
    variant: str
    shape: tuple[tuple[int | str, ...], ...]
    parameters: int
    multiply_adds: int
    error: str


@dataclass(frozen=True)
class Inspection:
    """A net's layers and what holds for the whole.

    Attributes:
        name, source: of the net.
        inputs: shape by name.
        outputs: the blobs it returns.
        rows: one per layer.
        batch: the symbol of the batch axis, or "fixed: …" with the reason.
        cam: the class activation mapping head in words, or "".
        notes: fields and weights that are not used.
    """

    name: str
    source: str
    inputs: Mapping[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]
    rows: tuple[Row, ...]
    batch: str
    cam: str
    notes: tuple[str, ...]

    @property
    def parameters(self) -> int:
        return sum(row.parameters for row in self.rows)

    @property
    def multiply_adds(self) -> int:
        return sum(row.multiply_adds for row in self.rows)

    @property
    def unsupported(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.error)

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        totals = {"parameters": self.parameters, "multiply_adds": self.multiply_adds}
        return {**asdict(self), **totals}


def inspect(
    prototxt: NetLike | None,
    caffemodel: WeightsLike | None = None,
    *,
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
) -> Inspection:
    """Describe a net layer by layer; a layer that is not supported is a row, not an error.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`; None takes the net inside the caffemodel.
        caffemodel: its weights; without them, shapes come from the prototxt alone.
        input_shapes: input name → another shape than the prototxt declares.
        keep_losses: of a training definition: True keeps losses and labels; see `prototxt.deploy`.

    Raises:
        PrototxtError: the definition cannot be read at all.
        WeightsError: the weights cannot be read at all.

    >>> inspect("deploy.prototxt").parameters                        # doctest: +SKIP
    10352024
    """
    from converters.lowering.blobs import ShapesOnly, blob_source
    from converters.lowering.build import load_net
    from converters.lowering.lower_net import lower

    blobs = ShapesOnly() if caffemodel is None else blob_source(caffemodel)
    net = load_net(prototxt, input_shapes, blobs=blobs, keep_losses=keep_losses)
    lowered = lower(net, blobs, tolerant=True)
    counts = _multiply_adds(lowered)
    graph = lowered.graph
    rows = []
    for index, layer in enumerate(net.layers):
        shapes = tuple(_plain(graph.blobs[top].shape) if top in graph.blobs else ("?",) for top in layer.tops)
        error = str(lowered.errors.get(index, ""))
        parameters, operations = lowered.parameters.get(index, 0), counts.get(index, 0)
        rows.append(Row(layer.name, layer.type, lowered.variants.get(index, ""), shapes, parameters, operations, error))
    return Inspection(
        name=net.name,
        source=net.source,
        inputs={x.name: _plain(x.shape) for x in graph.inputs},
        outputs=tuple(graph.outputs),
        rows=tuple(rows),
        batch=f"fixed: {lowered.static}" if lowered.static else ", ".join(_batch_symbols(graph)) or "none",
        cam=_cam(lowered),
        notes=tuple(lowered.notes),
    )


def _batch_symbols(graph: Graph) -> list[str]:
    """Those of the inputs: a number of detections is a symbol too, and no batch."""
    return [name for name, symbol in graph.symbols.items() if any(symbol.source is x for x in graph.inputs)]


def _plain(shape: Sequence[object]) -> tuple[int | str, ...]:
    return tuple(dim if isinstance(dim, int) else str(dim) for dim in shape)


def _multiply_adds(lowered: Lowered) -> dict[int, int]:
    """Multiply-adds per layer index."""
    from converters.ops import multiply_adds

    counts: dict[int, int] = {}
    for node in lowered.graph.nodes:
        counts[node.index] = counts.get(node.index, 0) + multiply_adds(node)
    return counts


def _cam(lowered: Lowered) -> str:
    from converters.cam.head import find_cam_head

    head = find_cam_head(lowered.graph)
    if head is None:
        return ""
    shape = "x".join(map(str, head.features.shape[1:]))
    form = "its class maps" if head.weight is None else f"features of {head.source}"
    return f"{form} ({shape}), {head.classes} classes by {head.classifier}"


@dataclass(frozen=True)
class OnnxInspection:
    """An ONNX file from the outside.

    Attributes:
        file: its name; ``bytes``: its size, tensors beside it not counted.
        producer: the program that wrote it.
        net: the Caffe net's name, "" where the file does not say.
        inputs, outputs: shape by name, with the type where it is not float32; ``optional``: inputs with a default.
        cam: features, classifier and form of the class activation maps; empty without them.
        labels: how many class names it holds.
        dtype: "float32", "fp16" or "int8".
        folded: nodes that are several layers; ``winograd``: layers in that form.
        preprocess, source, provenance: what the converter noted, as it stands in the file (`provenance` holds hashes,
            versions, options and, where the file was checked, `verification`).
    """

    file: str
    bytes: int
    producer: str
    net: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    optional: Mapping[str, str]
    cam: Mapping[str, Any]
    labels: int
    dtype: str
    folded: Sequence[str]
    winograd: Sequence[str]
    preprocess: Mapping[str, Any]
    source: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The same as text, a fact per line."""
        by = self.producer or "an unnamed program"
        yield f"file          {self.file}  {self.bytes / 1e6:.1f} MB, written by {by}"
        yield f"net           {self.net or 'not named'}"
        for word, entries in (("input", self.inputs), ("optional", self.optional), ("output", self.outputs)):
            for name, shape in entries.items():
                yield f"{word:<14}{name} {shape}"
        if self.cam:
            features, classifier = (self.cam.get(key, "?") for key in ("features", "classifier"))
            yield f"CAM           features of {features}, classes by {classifier}"
        else:
            yield "CAM           none"
        yield f"labels        {self.labels or 'none'}"
        yield f"numbers       {self.dtype}"
        for word, layers in (("folded", self.folded), ("winograd", self.winograd)):
            if layers:
                yield f"{word:<14}{', '.join(layers[:4])}{f' and {len(layers) - 4} more' if len(layers) > 4 else ''}"
        for word in ("preprocess", "source", "provenance"):
            entry = getattr(self, word)
            for path, value in _leaves(entry):
                yield f"{word:<14}{' '.join(path)}: {value}"
            if not entry:
                yield f"{word:<14}not noted"


def inspect_onnx(path: str | os.PathLike[str]) -> OnnxInspection:
    """Describe an ONNX file, whoever wrote it; the packages onnx and protobuf are not needed.

    Raises:
        CamcompatError: there is no such file, or onnxruntime cannot open it.

    >>> inspect_onnx("net.onnx").provenance["caffemodel"]["sha256"]         # doctest: +SKIP
    'b6f6172d28babd8a29adb5d7b9393158356dbbf1fd9c10675c4429fb78b33133'
    """
    file = Path(path)
    if not file.is_file():
        raise CamcompatError("no such file", where=str(file), remedy="check the path")
    session = open_session(file)
    said = read_metadata(session, str(file))
    outputs = {node.name: _shape(node) for node in session.get_outputs()}
    cam = _mapping(said, "cam") if set(CAM_OUTPUTS) <= outputs.keys() else {}
    return OnnxInspection(
        file=file.name,
        bytes=file.stat().st_size,
        producer=str(session.get_modelmeta().producer_name),
        net=str(said.get("net", "")),
        inputs={node.name: _shape(node) for node in session.get_inputs()},
        outputs=outputs,
        optional={node.name: _shape(node) for node in session.get_overridable_initializers() if node.name == "k"},
        cam=cam or ({"form": "unknown"} if set(CAM_OUTPUTS) <= outputs.keys() else {}),
        labels=len(said.get("labels") or ()),
        dtype=str(said.get("dtype", "float32")),
        folded=list(_mapping(said, "fused")),
        winograd=[str(name) for name in said.get("winograd") or ()],
        preprocess=_mapping(said, "preprocess"),
        source=_mapping(said, "source"),
        provenance=_mapping(said, "provenance"),
    )


def _mapping(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = said.get(key)
    return value if isinstance(value, Mapping) else {}


def _shape(node: Any) -> str:
    kind = {"tensor(float)": ""}.get(node.type, f" {node.type.removeprefix('tensor(').removesuffix(')')}")
    return ("x".join(str(dim or "?") for dim in node.shape) or "scalar") + kind


def _leaves(entry: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in entry.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, str(key)))
        elif value not in ({}, None, ""):
            yield (*path, str(key)), value
