"""The ten crops' class activation maps from two passes, of a whole picture and of its mirror image.

A net of convolutions gives on a larger picture the features of all its crops at once, but for the zero padding that a
crop sees at its own border. Each crop is a window of these features; average, classifier and softmax are taken of it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from converters.cam.head import CamHead, find_cam_head
from converters.graph import fusion
from converters.graph.dims import fixed
from converters.graph.graph import Value
from converters.lowering.blobs import WeightsLike, blob_source
from converters.lowering.build import DEFAULT, NetLike, build, load_net
from converters.lowering.lower_net import lower
from converters.onnx_backend.cam_outputs import CAM_NAMES
from converters.onnx_backend.ops import translate
from converters.onnx_backend.stream import OnnxModel
from converters.onnx_backend.writer import IR_VERSION, OPSET, OnnxWriter
from converters.options import Options
from prototxt.errors import ConversionError

__all__ = ["to_dense_onnx"]

CROPS = 10


def to_dense_onnx(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    path: str | os.PathLike[str],
    options: Options = DEFAULT,
    *,
    canvas: Sequence[int] = (256, 256),
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write an ONNX file that takes whole resized pictures and gives what their ten crops give, nearly.

    Its input is (N, C, *canvas); it mirrors the pictures itself. Its outputs: the net's scores (N, classes), the mean
    over the crops; `scores` and `classes` (N, k) of the best; `cams` (N, k, 10, h, w): the maps of the crops in the
    release's order (left top, left bottom, right top, right bottom, centre; the same mirrored, as the net sees them).

    Args:
        prototxt, caffemodel, metadata: as for `to_onnx`.
        options: input_shapes, keep_losses, top_k and winograd count.
        canvas: (height, width) that pictures are resized to, larger than the net's own input.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy; also for a net without CAM head,
            and one whose features do not grow with the picture.

    >>> to_dense_onnx("deploy.prototxt", "net.caffemodel", "net-dense.onnx")     # doctest: +SKIP
    PosixPath('net-dense.onnx')
    """
    plain = build(prototxt, caffemodel, replace(options, outputs=None))
    head = find_cam_head(plain.graph)
    where = plain.net.source
    if head is None or len(plain.graph.inputs) != 1:
        raise ConversionError("no class activation mapping head was found", where=where, remedy="convert it plainly")
    image = plain.graph.inputs[0]
    blobs = blob_source(caffemodel)
    shape = (1, *fixed(image.shape[1:2]), *canvas)
    shapes = {**(options.input_shapes or {}), image.name: shape}
    net = load_net(prototxt, shapes, blobs=blobs, keep_losses=options.keep_losses)
    wide = lower(net, blobs, tolerant=True)  # (the pooling and what follows need not fit)
    name = next((name for name, x in plain.graph.blobs.items() if x is head.features), "")
    features = wide.graph.blobs.get(name)
    windows = _Windows.between(head.features, features, where)
    graph = wide.graph.pruned({name: features}) if features is not None else wide.graph
    graph = fusion.fold(graph, [*graph.outputs.values()])
    graph.outputs = {}
    prob = next(name for name, x in plain.graph.outputs.items() if x is head.prob)
    writer = OnnxWriter(graph, reserved=(prob, *CAM_NAMES), winograd=options.in_winograds_form(cam=True))
    source = _mirrored(writer, graph.inputs[0])
    translate(writer)
    assert features is not None
    _outputs(writer, head, _bias(plain.graph.nodes, head), writer.name(features), windows, prob, options.top_k)
    used = {name for node in writer.nodes for name in node.input}
    tensors = [(name, array) for name, array in writer.tensors if name in used]
    entry = _description(plain.net.name, image.name, prob, head, [*fixed(image.shape[2:])], graph.fused, metadata or {})
    infos = _infos(source, shape, prob, head, windows)
    body = helper.make_graph(writer.nodes, plain.net.name or "caffe", *infos)
    model = helper.make_model(body, producer_name="camcompat", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    return OnnxModel(model, tensors, lambda: entry).save(path)


@dataclass(frozen=True)
class _Windows:
    """Where the crops lie in the features: `size` of a crop's, `grid` of the whole picture's."""

    size: tuple[int, int]
    grid: tuple[int, int]

    @staticmethod
    def between(crop: Value, whole: Value | None, where: str) -> _Windows:
        remedy = "give a canvas that is larger than the net's input, or use ten crops"
        if whole is None:
            raise ConversionError("its features cannot be computed of a larger picture", where=where, remedy=remedy)
        h, w = fixed(crop.shape[2:])
        rows, columns = fixed(whole.shape[2:])
        if rows < h or columns < w:
            raise ConversionError(f"features of {rows}x{columns} are less than {h}x{w}", where=where, remedy=remedy)
        return _Windows((h, w), (rows, columns))

    @property
    def places(self) -> list[tuple[int, int]]:
        """(top, left) of the five crops, and of their mirror images in the mirrored picture."""
        down, across = self.grid[0] - self.size[0], self.grid[1] - self.size[1]
        five = [(0, 0), (down, 0), (0, across), (down, across), (down // 2, across // 2)]
        return five + [(top, across - left) for top, left in five]


def _mirrored(w: OnnxWriter, image: Value) -> str:
    """The input and its mirror image one behind the other, in the place of the net's input; the input's name."""
    w.layer = "mirror"
    source = w.name(image)
    turned = w.op("Slice", [source, *map(w.integers, ([-1], [-(1 << 62)], [3], [-1]))])
    w.names[id(image)] = w.op("Concat", [source, turned], axis=0)
    return source


def _bias(nodes: Sequence[Any], head: CamHead) -> np.ndarray | None:
    """The classifier's bias, if its head has a classifier behind the average."""
    if head.weight is None:
        return None
    node = next(node for node in nodes if node.layer == head.classifier and node.op in ("linear", "conv"))
    return None if node.inputs[2] is None else np.asarray(node.inputs[2].data)


def _outputs(
    w: OnnxWriter, head: CamHead, bias: np.ndarray | None, features: str, windows: _Windows, prob: str, top_k: int
) -> None:
    """Scores of each window, their mean, the best classes, and these classes' maps in each window."""
    w.layer = "cam"
    down, across = (whole - part + 1 for whole, part in zip(windows.grid, windows.size))
    means = w.op("AveragePool", [features], kernel_shape=list(windows.size), strides=[1, 1])
    channels = fixed(head.features.shape[1:2])[0]
    grid = w.op("Reshape", [means, w.integers([2, -1, channels, down * across])])
    places = [top * across + left for top, left in windows.places]
    halves = []
    for side in (0, 1):  # the picture, its mirror image
        half = w.op("Gather", [grid, w.integers([side], scalar=True)], axis=0)
        halves.append(w.op("Gather", [half, w.integers(places[5 * side : 5 * side + 5])], axis=2))
    rows_of = w.op("Transpose", [w.op("Concat", halves, axis=2)], perm=[0, 2, 1])  # (N, 10, channels)
    weight = None
    if head.weight is not None:
        assert head.weight.data is not None
        weight = w.initializer(head.weight.data, w.unique(f"{head.classifier}.weight"))
        rows_of = _classified(w, rows_of, (head.classes, channels), weight, bias)
    if head.prob.producer is not None and "softmax" in (head.prob.producer.op, *_above(head.prob)):
        rows_of = w.op("Softmax", [rows_of], axis=2)
    w.add("ReduceMean", [rows_of], [prob], axes=[1], keepdims=0)
    k = w.initializer(np.asarray([min(top_k, head.classes)], np.int64), "k")
    w.add("TopK", [prob, k], ["scores", "classes"], axis=1)
    _maps(w, features, weight, windows, channels)


def _above(x: Value) -> list[str]:
    """The primitive before a reshape that ends the net."""
    node = x.producer
    above = node.inputs[0].producer if node and node.op == "reshape" and node.inputs[0] else None
    return [above.op] if above else []


def _classified(w: OnnxWriter, rows: str, shape: tuple[int, int], weight: str, bias: np.ndarray | None) -> str:
    """In float64, as classifiers before a softmax are everywhere here (`lowering.mark_logits`); shape of the weight.

    Gemm: onnxruntime up to 1.19 has no float64 form of what it makes of a MatMul and a Transpose.
    """
    double, single = w.element_type("float64"), w.element_type("float32")
    flat = w.op("Reshape", [rows, w.integers([-1, shape[1]])])
    operands = [flat, weight] if bias is None else [flat, weight, w.tensor(bias, "bias")]
    scores = w.op("Gemm", [w.op("Cast", [name], to=double) for name in operands], transB=1)
    return w.op("Reshape", [w.op("Cast", [scores], to=single), w.integers([-1, 10, shape[0]])])


def _maps(w: OnnxWriter, features: str, weight: str | None, windows: _Windows, channels: int) -> None:
    """`cams`: the chosen classes' maps of the whole picture and of its mirror image, cut to the windows."""
    (rows, columns), (height, width) = windows.grid, windows.size
    pair = w.op("Reshape", [features, w.integers([2, -1, channels, rows * columns])])
    cut = []
    for side in (0, 1):
        half = w.op("Gather", [pair, w.integers([side], scalar=True)], axis=0)  # (N, channels, cells)
        if weight is None:
            maps = w.op("GatherND", [half, w.op("Unsqueeze", ["classes", w.integers([2])])], batch_dims=1)
        else:
            maps = w.op("MatMul", [w.op("Gather", [weight, "classes"], axis=0), half])
        whole = w.op("Reshape", [maps, w.integers([0, 0, 1, rows, columns])])
        for top, left in windows.places[5 * side : 5 * side + 5]:
            limits = ([top, left], [top + height, left + width], [3, 4])
            cut.append(w.op("Slice", [whole, *map(w.integers, limits)]))
    w.add("Concat", cut, ["cams"], axis=2)


def _infos(
    source: str, shape: Sequence[int], prob: str, head: CamHead, windows: _Windows
) -> tuple[list[Any], list[Any]]:
    make, single, whole = helper.make_tensor_value_info, TensorProto.FLOAT, TensorProto.INT64
    inputs = [make(source, single, ["N", *shape[1:]]), make("k", whole, [1])]
    results = [
        make(prob, single, ["N", head.classes]),
        make("scores", single, ["N", "k"]),
        make("classes", whole, ["N", "k"]),
        make("cams", single, ["N", "k", CROPS, *windows.size]),
    ]
    return inputs, results


def _description(
    name: str,
    image: str,
    prob: str,
    head: CamHead,
    crop: list[int],
    fused: Mapping[str, Sequence[str]],
    more: Mapping[str, Any],
) -> dict[str, Any]:
    cam = {"features": head.source, "classifier": head.classifier, "form": "dense", "crop": crop, "crops": CROPS}
    entry: dict[str, Any] = {"format": 1, "net": name, "inputs": [image], "input": image, "prob": prob, "cam": cam}
    if fused:
        entry["fused"] = {key: list(layers) for key, layers in fused.items()}
    return {**entry, **more}
