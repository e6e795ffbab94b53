"""A Caffe net as an ONNX file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from prototxt.errors import ConversionError

from .blobs import WeightsLike
from .build import NetLike, Shapes, build, umask
from .cam_head import CamHead, add_cam_outputs, find_cam_head
from .dims import fixed
from .graph import Graph
from .lowering import Lowered
from .onnx_writer import IR_VERSION, OPSET, OnnxWriter, value_info

__all__ = ["onnx_model", "save_onnx", "to_onnx"]

PROTOBUF_LIMIT = 2_000_000_000  # a protobuf message ends at 2 GiB; beyond it the tensors go to a file beside


def to_onnx(
    prototxt: NetLike,
    caffemodel: WeightsLike,
    path: str | os.PathLike[str],
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    cam: bool | None = None,
    top_k: int = 5,
    metadata: Mapping[str, Any] | None = None,
    symbolic_batch: bool = True,
) -> Path:
    """Rebuild a Caffe net as an ONNX file whose inputs and outputs bear Caffe's blob names.

    Where the net ends in a class activation mapping head, the file also has the outputs `scores` and `classes` (N, k)
    of the top k and `cams` (N, k, h, w) = features · classifier weights; k is an optional input of the file.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`.
        caffemodel: path of its weights, a mapping of layer names to arrays, or `converters.Synthetic()`.
        path: the file to write; it appears whole or not at all.
        outputs: the blobs to return (any blob of the net); by default the net's own outputs.
        input_shapes: input name → another shape than the prototxt declares.
        cam: add the class activation maps; None: where there is a head and `outputs` is not given.
        top_k: the default of k.
        metadata: further entries of the JSON that the file keeps under "camcompat" (labels, preprocessing).
        symbolic_batch: False fixes the batch axis at its declared size.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.

    >>> to_onnx("deploy.prototxt", "net.caffemodel", "net.onnx")     # doctest: +SKIP
    PosixPath('net.onnx')
    """
    lowered = build(prototxt, caffemodel, outputs=outputs, input_shapes=input_shapes, symbolic_batch=symbolic_batch)
    wants_cam = outputs is None if cam is None else cam
    head = find_cam_head(lowered.graph) if wants_cam else None
    if cam and head is None:
        raise ConversionError(
            "no class activation mapping head was found",
            where=lowered.net.source,
            remedy="it takes features -> global average pooling -> InnerProduct; or convert without CAM",
        )
    return save_onnx(onnx_model(lowered, head, top_k=top_k, metadata=metadata), path)


def onnx_model(
    lowered: Lowered,
    head: CamHead | None = None,
    *,
    top_k: int = 5,
    metadata: Mapping[str, Any] | None = None,
) -> onnx.ModelProto:
    """A lowered net as an ONNX model in memory."""
    graph = lowered.graph
    writer = OnnxWriter(graph)
    for name in CAM_OUTPUTS if head else ():
        if name in writer.taken:
            raise ConversionError(
                f'the net has a blob called "{name}", as a CAM output is', remedy="convert with cam=False"
            )
        writer.taken.add(name)
    writer.write()
    inputs = [value_info(writer.name(x), x) for x in graph.inputs]
    results = [value_info(name, graph.outputs[name]) for name in writer.output_names]
    if head:
        add_cam_outputs(writer, head, top_k)
        inputs.append(helper.make_tensor_value_info("k", TensorProto.INT64, [1]))
        results += _cam_infos(graph, head)
    if not results:
        raise ConversionError("the net has no output besides its inputs", where=lowered.net.source)
    body = helper.make_graph(writer.nodes, graph.name or "caffe", inputs, results, writer.initializers)
    model = helper.make_model(body, producer_name="camcompat", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    model.metadata_props.add(key="camcompat", value=json.dumps(_description(lowered, head, metadata)))
    return model


CAM_OUTPUTS = ("scores", "classes", "cams")


def _cam_infos(graph: Graph, head: CamHead) -> list[onnx.ValueInfoProto]:
    batch = str(head.features.shape[0]) if not isinstance(head.features.shape[0], int) else head.features.shape[0]
    height, width = fixed(head.features.shape[2:])
    return [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, "k"]),
        helper.make_tensor_value_info("classes", TensorProto.INT64, [batch, "k"]),
        helper.make_tensor_value_info("cams", TensorProto.FLOAT, [batch, "k", height, width]),
    ]


def _description(lowered: Lowered, head: CamHead | None, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    graph = lowered.graph
    entry: dict[str, Any] = {"format": 1, "net": graph.name, "inputs": [x.name for x in graph.inputs]}
    if graph.inputs:
        entry["input"] = graph.inputs[0].name
    if head:
        prob = next((name for name, x in graph.outputs.items() if x is head.prob), "")
        entry["prob"] = prob
        entry["cam"] = {"features": head.source, "classifier": head.classifier, "form": head.form}
    if lowered.static:
        entry["static_batch"] = lowered.static
    return {**entry, **(metadata or {})}


def save_onnx(model: onnx.ModelProto, path: str | os.PathLike[str]) -> Path:
    """Write a model whole or not at all: to a temporary file beside, then renamed."""
    target = Path(path)
    if not target.parent.is_dir():
        raise ConversionError("the folder does not exist", where=str(target.parent), remedy="create it first")
    if target.is_dir():
        raise ConversionError("it is a folder", where=str(target), remedy="give the path of the .onnx file to write")
    if sum(len(tensor.raw_data) for tensor in model.graph.initializer) > PROTOBUF_LIMIT:
        data = f"{target.name}.data"
        (target.parent / data).unlink(missing_ok=True)
        onnx.save_model(model, str(target), save_as_external_data=True, location=data, size_threshold=1024)
        return target
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString())
        os.chmod(temporary, 0o666 & ~umask())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target
