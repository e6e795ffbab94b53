"""What is timed: each function loads its files and returns one call. Run in processes of their own (`race`).

Another program takes part in the forward passes by a function here and a line in `FORWARD`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from camcompat.benchmark.nets import BenchNet

__all__ = ["FORWARD", "Forms", "conversions", "crops", "dense_crops", "forward", "picture"]

Call = Callable[[], object]


@dataclass(frozen=True)
class Forms:
    """A net on disk, in every form that a contestant reads.

    Attributes:
        definition, caffemodel: Caffe's files.
        with_cam: the ONNX file as it is made by default.
        winograd, direct, int8: ONNX files without maps: with Winograd's convolutions, without, and quantised.
    """

    definition: Path
    caffemodel: Path
    with_cam: Path
    winograd: Path
    direct: Path
    int8: Path


def _input(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(tuple(shape)).astype(np.float32) * 50


def opencv_forward(net: Forms, shape: Sequence[int], *, winograd: bool = True) -> Call:
    """A forward pass of OpenCV's Caffe importer (OpenCV 4; version 5 has none).

    By default it multiplies less, by Winograd's convolutions along both axes; our files do along one
    (`converters.onnx_backend.winograd`). Without them it does the work that a file of ``--no-winograd`` asks for.
    """
    cv2 = import_module("cv2")
    model, x = cv2.dnn.readNetFromCaffe(str(net.definition), str(net.caffemodel)), _input(shape)
    model.enableWinograd(winograd)
    return lambda: (model.setInput(x), model.forward())


def torch_forward(net: Forms, shape: Sequence[int]) -> Call:
    """A forward pass of `to_torch(…, fold=True)`."""
    import torch

    import converters

    warnings.simplefilter("ignore", converters.CamcompatWarning)
    module = converters.to_torch(net.definition, net.caffemodel, fold=True).eval().requires_grad_(False)
    x = torch.from_numpy(_input(shape))
    return lambda: module(x)


def onnxruntime_forward(path: Path, shape: Sequence[int]) -> Call:
    """A forward pass of an ONNX file, as camcompat opens it."""
    from camcompat.cam.session import open_session

    session, x = open_session(path), _input(shape)
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})


FORWARD: dict[str, Callable[[Forms, Sequence[int]], Call]] = {
    "onnxruntime": lambda net, shape: onnxruntime_forward(net.winograd, shape),
    "--no-winograd": lambda net, shape: onnxruntime_forward(net.direct, shape),
    "--dtype int8": lambda net, shape: onnxruntime_forward(net.int8, shape),
    "onnxruntime with CAM": lambda net, shape: onnxruntime_forward(net.with_cam, shape),
    "OpenCV": opencv_forward,
    "OpenCV without Winograd": lambda net, shape: opencv_forward(net, shape, winograd=False),
    "torch": torch_forward,
}
"""Who takes part in the forward passes, in the order of the columns; others are set against the first."""


def forward(name: str, net: Forms, shape: Sequence[int]) -> Call:
    """A forward pass of one of `FORWARD`."""
    return FORWARD[name](net, shape)


def picture(path: Path, image: Path, count: int = 1) -> Call:
    """The CAMs of pictures: decoding, resizing, the net, and the maps stretched over the picture."""
    from camcompat.loading import load

    model = load(path)
    pictures = [image] * count
    return lambda: [[result.heatmap(i) for i in range(len(result))] for result in model.stream(pictures)]


def crops(path: Path, image: Path, count: int) -> Call:
    """The CAM of a picture by one or ten crops."""
    from camcompat.loading import load

    model = load(path)
    return lambda: model(image, crops=count).heatmap()


def dense_crops(definition: Path, caffemodel: Path, plain: Path, image: Path) -> Call:
    """The CAM of a picture by ten crops from two passes."""
    from camcompat.loading import load
    from converters.onnx_backend.dense import to_dense_onnx

    about, path = load(plain), plain.with_name("dense.onnx")
    recipe = {"preprocess": about.metadata.get("preprocess", {})}
    to_dense_onnx(definition, caffemodel, path, canvas=about.preprocess.canvas, metadata=recipe)
    model = load(path)
    return lambda: model(image, crops="dense").heatmap()


def conversions(net: BenchNet, made: Mapping[str, Path]) -> dict[str, tuple[str, str]]:
    """Name → (imports, work) of everything that reads a caffemodel, and of opening the ONNX files `made` of it."""
    files = f"{str(net.definition)!r}, {str(net.caffemodel)!r}"
    target = net.caffemodel.with_suffix(".converted.onnx")
    copy = f"shutil.copyfile({str(net.caffemodel)!r}, {str(target)!r})"
    return {
        "copy the caffemodel": ("import shutil", copy),
        "to_onnx": (
            "import converters, converters.onnx_backend.file",
            f"converters.to_onnx({files}, {str(target)!r})",
        ),
        "OpenCV: readNetFromCaffe": ("import cv2", f"cv2.dnn.readNetFromCaffe({files})"),
        "pycaffe: Net": ("import caffe", f"caffe.Net({files}, caffe.TEST)"),
        **{
            name: (
                "from pathlib import Path; from camcompat.cam.session import open_session",
                f"open_session(Path({str(path)!r}))",
            )
            for name, path in made.items()
        },
    }
