"""What is timed: each function loads its files and returns one call. Run in processes of their own (`race`)."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

__all__ = ["crops", "dense_crops", "onnxruntime_forward", "opencv_forward", "picture", "torch_forward"]

Call = Callable[[], object]


def _input(shape: Sequence[int]) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(tuple(shape)).astype(np.float32) * 50


def opencv_forward(definition: Path, caffemodel: Path, shape: Sequence[int], winograd: bool = True) -> Call:
    """A forward pass of OpenCV's Caffe importer (OpenCV 4; version 5 has none).

    By default it multiplies less, by Winograd's convolutions along both axes; our files do along one
    (`converters.onnx_backend.winograd`). Without them it does the work that a file of ``--no-winograd`` asks for.
    """
    cv2 = import_module("cv2")
    net, x = cv2.dnn.readNetFromCaffe(str(definition), str(caffemodel)), _input(shape)
    net.enableWinograd(winograd)
    return lambda: (net.setInput(x), net.forward())


def torch_forward(definition: Path, caffemodel: Path, shape: Sequence[int]) -> Call:
    """A forward pass of `to_torch(…, fold=True)`."""
    import torch

    import converters

    warnings.simplefilter("ignore", converters.CamcompatWarning)
    module = converters.to_torch(definition, caffemodel, fold=True).eval().requires_grad_(False)
    x = torch.from_numpy(_input(shape))
    return lambda: module(x)


def onnxruntime_forward(path: Path, shape: Sequence[int]) -> Call:
    """A forward pass of an ONNX file, as camcompat opens it."""
    from camcompat.cam.session import open_session

    session, x = open_session(path), _input(shape)
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: x})


def picture(path: Path, image: Path, count: int = 1) -> Call:
    """The CAMs of pictures: decoding, resizing, the net, and the maps stretched over the picture."""
    import camcompat

    model = camcompat.load(path)
    pictures = [image] * count
    return lambda: [[result.heatmap(i) for i in range(len(result))] for result in model.stream(pictures)]


def crops(path: Path, image: Path, count: int) -> Call:
    """The CAM of a picture by one or ten crops."""
    import camcompat

    model = camcompat.load(path)
    return lambda: model(image, crops=count).heatmap()


def dense_crops(definition: Path, caffemodel: Path, plain: Path, image: Path) -> Call:
    """The CAM of a picture by ten crops from two passes."""
    import camcompat
    from converters.onnx_backend.dense import to_dense_onnx

    about, path = camcompat.load(plain), plain.with_name("dense.onnx")
    recipe = {"preprocess": about.metadata.get("preprocess", {})}
    to_dense_onnx(definition, caffemodel, path, canvas=about.preprocess.canvas, metadata=recipe)
    model = camcompat.load(path)
    return lambda: model(image, crops="dense").heatmap()
