"""camcompat: class activation maps of Caffe networks, on onnxruntime alone.

``load`` opens a CAM network, calling it with a picture gives a ``Result``: labels, scores, maps and pictures of them.
``map_pictures`` maps whole folders. ``download``, ``convert``, ``inspect`` and ``verify`` are what the commands of
these names do; they need the converters' packages.
Nothing here loads torch, onnx or protobuf; even onnxruntime and Pillow are loaded at first use only.

>>> import camcompat
>>> camcompat.load("missing.onnx")
Traceback (most recent call last):
    ...
prototxt.errors.CamcompatError: missing.onnx: no such file; check the path, or name a network of `camcompat list`
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camcompat.boxes import find_boxes
    from camcompat.cam.labels import read_labels
    from camcompat.cam.model import Model
    from camcompat.cam.pipelines.matlab import demo_image, merge_ten_crop, prepare_image, result_picture
    from camcompat.cam.result import Result, cam_maps
    from camcompat.conversion.converter import convert
    from camcompat.conversion.inspection import inspect
    from camcompat.jobs.mapping import Summary, map_pictures
    from camcompat.loading import load
    from camcompat.pictures.images import read_image
    from camcompat.pictures.preprocess import Preprocess
    from camcompat.pictures.render import colourise, ember, jet, overlay
    from camcompat.verification.verifier import verify
    from prototxt.errors import CamcompatError
    from weights.downloads.fetch import download

__all__ = [
    "CamcompatError",
    "Model",
    "Preprocess",
    "Result",
    "Summary",
    "cam_maps",
    "colourise",
    "convert",
    "demo_image",
    "download",
    "ember",
    "find_boxes",
    "inspect",
    "jet",
    "load",
    "map_pictures",
    "merge_ten_crop",
    "overlay",
    "prepare_image",
    "read_image",
    "read_labels",
    "result_picture",
    "verify",
]

_HOME = {
    "CamcompatError": "prototxt.errors",
    "Model": "camcompat.cam.model",
    "Preprocess": "camcompat.pictures.preprocess",
    "Result": "camcompat.cam.result",
    "Summary": "camcompat.jobs.mapping",
    "cam_maps": "camcompat.cam.result",
    "colourise": "camcompat.pictures.render",
    "convert": "camcompat.conversion.converter",
    "demo_image": "camcompat.cam.pipelines.matlab",
    "download": "weights.downloads.fetch",
    "ember": "camcompat.pictures.render",
    "find_boxes": "camcompat.boxes",
    "inspect": "camcompat.conversion.inspection",
    "jet": "camcompat.pictures.render",
    "load": "camcompat.loading",
    "map_pictures": "camcompat.jobs.mapping",
    "merge_ten_crop": "camcompat.cam.pipelines.matlab",
    "overlay": "camcompat.pictures.render",
    "prepare_image": "camcompat.cam.pipelines.matlab",
    "read_image": "camcompat.pictures.images",
    "read_labels": "camcompat.cam.labels",
    "result_picture": "camcompat.cam.pipelines.matlab",
    "verify": "camcompat.verification.verifier",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
