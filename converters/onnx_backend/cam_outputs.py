"""The outputs of a CAM head in an ONNX file: `scores`, `classes` and `cams`, and the optional input `k`."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from converters.cam.head import CamHead, find_cam_head, why_no_head
from converters.graph.dims import fixed
from converters.lowering.lower_net import Lowered
from converters.onnx_backend.writer import OnnxWriter
from converters.options import Options
from prototxt.errors import ConversionError

__all__ = ["CAM_NAMES", "add_cam_outputs", "cam_head", "cam_infos"]

CAM_NAMES = ("scores", "classes", "cams", "k")


def cam_head(lowered: Lowered, options: Options) -> CamHead | None:
    """The CAM head of a lowered net, if it is wanted, there is one, and the names of its outputs are free.

    Raises:
        ConversionError: it is asked for, and there is none. Where it is only looked for, a clash of names is a note.
    """
    if not options.wants_cam():
        return None
    required = bool(options.cam)
    head = find_cam_head(lowered.graph)
    problem = "" if head else f"no class activation mapping head was found: {why_no_head(lowered.graph)}"
    remedy = "it takes features -> global average pooling -> InnerProduct; or convert without CAM"
    taken = {x.name for x in lowered.graph.inputs} | set(lowered.graph.outputs)
    clash = [name for name in CAM_NAMES if name in taken]
    if head and clash:
        problem = f'an input or output of the net is called "{clash[0]}", as one of the CAM is'
        remedy, head = "rename it in the prototxt, or convert without CAM", None
        if not required:
            lowered.notes.append(f"{lowered.net.source}: no CAM outputs: {problem}")
    if required and head is None:
        raise ConversionError(problem, where=lowered.net.source, remedy=remedy)
    return head


def cam_infos(head: CamHead) -> list[onnx.ValueInfoProto]:
    """`scores`, `classes` and `cams` with their types and shapes."""
    batch = str(head.features.shape[0]) if not isinstance(head.features.shape[0], int) else head.features.shape[0]
    height, width = fixed(head.features.shape[2:])
    return [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, [batch, "k"]),
        helper.make_tensor_value_info("classes", TensorProto.INT64, [batch, "k"]),
        helper.make_tensor_value_info("cams", TensorProto.FLOAT, [batch, "k", height, width]),
    ]


def add_cam_outputs(writer: OnnxWriter, head: CamHead, top_k: int) -> None:
    """Add `scores`, `classes` (N, k) and `cams` (N, k, h, w) = features · classifier weights: no bias, no ReLU.

    `k` is an initializer that is also an optional input, so that a caller may ask for more or fewer classes.
    """
    writer.layer = "cam"
    k = writer.initializer(np.asarray([min(top_k, head.classes)], np.int64), "k")
    rows = writer.name(head.prob)
    if len(head.prob.shape) != 2:
        rows = writer.op("Reshape", [rows, writer.integers([-1, head.classes])])
    writer.add("TopK", [rows, k], ["scores", "classes"], axis=1)
    features = writer.name(head.features)
    height, width = fixed(head.features.shape[2:])
    if head.weight is None:
        places = writer.op("Unsqueeze", ["classes", writer.integers([2])])
        writer.add("GatherND", [features, places], ["cams"], batch_dims=1)
        return
    rows = writer.op("Gather", [writer.name(head.weight), "classes"], axis=0)
    flat = writer.op("Reshape", [features, writer.integers([0, 0, -1])])  # (N, C, h·w)
    maps = writer.op("MatMul", [rows, flat])
    writer.add("Reshape", [maps, writer.integers([0, 0, height, width])], ["cams"])
