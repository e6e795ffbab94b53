"""A Caffe net as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper

from converters.cam.head import CamHead
from converters.graph import fusion
from converters.lowering.blobs import WeightsLike, blob_source
from converters.lowering.build import DEFAULT, NetLike, build
from converters.lowering.lower_net import Lowered
from converters.onnx_backend.cam_outputs import CAM_NAMES, add_cam_outputs, cam_head, cam_infos
from converters.onnx_backend.ops import translate
from converters.onnx_backend.stream import OnnxModel
from converters.onnx_backend.writer import IR_VERSION, OPSET, OnnxWriter, value_info
from converters.options import Options, Shapes
from converters.provenance import digest_ahead, provenance
from prototxt.errors import ConversionError

__all__ = ["onnx_model", "to_onnx"]


def to_onnx(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    path: str | os.PathLike[str],
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    cam: bool | None = None,
    top_k: int = 5,
    metadata: Mapping[str, Any] | None = None,
    symbolic_batch: bool = True,
    keep_losses: bool | None = None,
    fold: bool = True,
    winograd: bool | None = None,
    portable: bool = False,
) -> Path:
    """Rebuild a Caffe net as an ONNX file whose inputs and outputs bear Caffe's blob names.

    Where the net ends in a class activation mapping head, the file also has the outputs `scores` and `classes` (N, k)
    of the top k and `cams` (N, k, h, w) = features · classifier weights; k is an optional input of the file.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`; None takes the net inside the caffemodel.
        caffemodel: path of its weights, a mapping of layer names to arrays, or `converters.Synthetic()`.
        path: the file to write; it appears whole or not at all.
        outputs: the blobs to return (any blob of the net); by default the net's own outputs.
        input_shapes: input name → another shape than the prototxt declares.
        cam: add the class activation maps; None: where there is a head and `outputs` is not given.
        top_k: the default of k.
        metadata: further entries of the JSON that the file keeps under "camcompat" (labels, preprocessing).
        symbolic_batch: False fixes the batch axis at its declared size.
        keep_losses: of a training definition: True keeps losses and labels; see `prototxt.deploy`.
        fold: BatchNorm, Scale, Bias and Power become part of the layer before them (see `converters.graph.fusion`): the
            same numbers to rounding, in less time. The metadata's "fused" names the layers of each merged node.
        winograd: large convolutions in a form of half the multiplications (`onnx_backend.winograd`), named in the
            metadata's "winograd": faster with onnxruntime on a CPU, the numbers the same to rounding. None: in
            files with class activation maps, which are made for onnxruntime. False leaves plain `Conv` operators, for
            GPUs, which have such forms of their own, and for other runtimes: OpenCV's importer refuses the form.
        portable: for runtimes other than onnxruntime (OpenCV 5's among them): no float64, in which a classifier before
            a softmax is computed else, no Winograd's form, maps only with `cam=True`. Scores of hundreds then cost the
            softmax a digit, as in Caffe (2e-5 at 250).

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.

    >>> to_onnx("deploy.prototxt", "net.caffemodel", "net.onnx")     # doctest: +SKIP
    PosixPath('net.onnx')
    """
    options = Options(
        outputs=outputs,
        input_shapes=input_shapes,
        keep_losses=keep_losses,
        symbolic_batch=symbolic_batch,
        cam=cam,
        top_k=top_k,
        fold=fold,
        winograd=winograd,
        portable=portable,
    )
    blobs = blob_source(caffemodel)
    digest_ahead(blobs)
    lowered = build(prototxt, blobs, options)
    head = cam_head(lowered, options)
    lowered.warn()
    origin = partial(provenance, lowered, blobs, options=options.recorded(), packages=("onnx",))
    return onnx_model(lowered, head, options, metadata=metadata, origin=origin).save(path)


def onnx_model(
    lowered: Lowered,
    head: CamHead | None = None,
    options: Options = DEFAULT,
    *,
    metadata: Mapping[str, Any] | None = None,
    origin: Callable[[], Mapping[str, Any]] | None = None,
) -> OnnxModel:
    """A lowered net as an ONNX model, its tensors still the net's own arrays; `origin` makes its `provenance`."""
    if options.fold:
        kept = [x for x in (head.features, head.prob, head.weight) if x is not None] if head else []
        lowered = replace(lowered, graph=fusion.fold(lowered.graph, kept))
    graph = lowered.graph
    if head and options.top_k < 1:
        remedy = "ask for 1 class map or more"
        raise ConversionError(f"top_k is {options.top_k}", where=lowered.net.source, remedy=remedy)
    winograd = options.in_winograds_form(cam=head is not None)
    writer = OnnxWriter(graph, reserved=CAM_NAMES if head else (), winograd=winograd, portable=options.portable)
    translate(writer)
    inputs = [value_info(writer.name(x), x) for x in graph.inputs]
    results = [value_info(name, graph.outputs[name]) for name in writer.output_names]
    if head:
        add_cam_outputs(writer, head, options.top_k)
        inputs.append(helper.make_tensor_value_info("k", TensorProto.INT64, [1]))
        results += cam_infos(head)
    same = [name for name in graph.outputs if name not in writer.output_names]
    if same or not results:
        problem = f'output "{same[0]}" is an input; ONNX cannot return it' if same else "the net has no output"
        raise ConversionError(problem, where=lowered.net.source, remedy="ask for other blobs with outputs=[…]")
    body = helper.make_graph(writer.nodes, graph.name or "caffe", inputs, results)
    model = helper.make_model(body, producer_name="camcompat", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return OnnxModel(model, writer.tensors, partial(_description, lowered, head, writer.transformed, metadata, origin))


def _description(
    lowered: Lowered,
    head: CamHead | None,
    transformed: Sequence[str],
    metadata: Mapping[str, Any] | None,
    origin: Callable[[], Mapping[str, Any]] | None,
) -> dict[str, Any]:
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
    if graph.fused:
        entry["fused"] = graph.fused
    if transformed:
        entry["winograd"] = list(transformed)
    entry.update(metadata or {})
    return {**entry, "provenance": origin()} if origin else entry
