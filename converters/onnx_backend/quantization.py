"""Smaller numbers in ONNX files: weights as float16, and what of a net is to stay float32.

Inputs, outputs and the CAM head stay float32. How far the results are from the float32 file is for the caller to
measure (`camcompat convert --dtype` does, and notes it in the file).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from prototxt.errors import ConversionError

__all__ = ["annotate", "outside_of_int8", "store_as_fp16"]

LEAST = 4096  # numbers: smaller tensors gain nothing
FP16_MAX = float(np.finfo(np.float16).max)


def store_as_fp16(source: Path, target: Path) -> None:
    """Write a float32 ONNX file of ours again, its large weights as float16.

    They are widened when the file is loaded, and the arithmetic stays float32: it runs wherever the float32 file runs,
    as fast, and no intermediate value overflows. Weights beyond what float16 holds stay float32.

    Raises:
        ConversionError: a file of more than 2 GB.
    """
    model = _load(source)
    graph = model.graph
    classifier = _classifier(model)
    inside = {name for node in graph.node for name in _names_inside(node)}
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or _is_head(tensor.name, classifier) or tensor.name in inside:
            continue
        array = numpy_helper.to_array(tensor)
        if array.size < LEAST or np.abs(array).max() > FP16_MAX:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), f"{name}.float16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}/Cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.save(model, target)


def outside_of_int8(path: Path) -> tuple[str, list[str]]:
    """The input's name, and the nodes of an ONNX file of ours that are not to compute in 8 bits.

    These are the CAM head, and convolutions that are no Caffe layer's, with what joins them: the sums of an LRN
    span orders of magnitude.

    Raises:
        ConversionError: a file of more than 2 GB.
    """
    model = _load(path)
    classifier = _classifier(model)
    learned = {tensor.name for tensor in model.graph.initializer if tensor.name.endswith(".weight")}
    sums = {node.output[0] for node in model.graph.node if node.op_type == "Conv" and node.input[1] not in learned}
    excluded = [
        node.name
        for node in model.graph.node
        if _is_head(node.name, classifier)
        or node.output[0] in sums
        or (node.op_type == "Concat" and sums.issuperset(node.input))
    ]
    return model.graph.input[0].name, excluded


def annotate(path: Path, entries: Mapping[str, Any]) -> None:
    """Set entries of the JSON "camcompat" in an ONNX file; it becomes the only metadata."""
    model = _load(path)
    entry = {**_entry(model), **entries}
    model.producer_name = "camcompat"
    del model.metadata_props[:]
    model.metadata_props.add(key="camcompat", value=json.dumps(entry))
    onnx.save(model, path)


def _load(path: Path) -> onnx.ModelProto:
    if path.with_name(f"{path.name}.data").exists():
        raise ConversionError("it is larger than 2 GB", where=str(path), remedy="leave it in float32")
    return onnx.load(path)


def _entry(model: onnx.ModelProto) -> dict[str, Any]:
    """The JSON that the converter left in the file."""
    texts = [item.value for item in model.metadata_props if item.key == "camcompat"]
    return dict(json.loads(texts[0])) if texts else {}


def _classifier(model: onnx.ModelProto) -> str:
    return str(_entry(model).get("cam", {}).get("classifier", ""))


def _is_head(name: str, classifier: str) -> bool:
    """Whether a node or tensor belongs to the CAM head: its classifier, or the maps themselves."""
    return name in ("cam", classifier) or name.startswith(("cam/", f"{classifier}/", f"{classifier}."))


def _names_inside(node: onnx.NodeProto) -> Iterator[str]:
    """What the subgraphs of a node read."""
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inner.input
            yield from _names_inside(inner)
