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
    from camcompat.cam import Result, cam_maps
    from camcompat.conversion import convert
    from camcompat.images import read_image
    from camcompat.inspection import inspect
    from camcompat.jobs.run import Summary, map_pictures
    from camcompat.labels import read_labels
    from camcompat.model import Model, load
    from camcompat.pipelines.matlab import demo_image, merge_ten_crop, prepare_image, result_picture
    from camcompat.preprocess import Preprocess
    from camcompat.render import colourise, ember, jet, overlay
    from camcompat.verification.run import verify
    from prototxt.errors import CamcompatError
    from weights.download import download

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
    "Model": "camcompat.model",
    "Preprocess": "camcompat.preprocess",
    "Result": "camcompat.cam",
    "Summary": "camcompat.jobs.run",
    "cam_maps": "camcompat.cam",
    "colourise": "camcompat.render",
    "convert": "camcompat.conversion",
    "demo_image": "camcompat.pipelines.matlab",
    "download": "weights.download",
    "ember": "camcompat.render",
    "find_boxes": "camcompat.boxes",
    "inspect": "camcompat.inspection",
    "jet": "camcompat.render",
    "load": "camcompat.model",
    "map_pictures": "camcompat.jobs.run",
    "merge_ten_crop": "camcompat.pipelines.matlab",
    "overlay": "camcompat.render",
    "prepare_image": "camcompat.pipelines.matlab",
    "read_image": "camcompat.images",
    "read_labels": "camcompat.labels",
    "result_picture": "camcompat.pipelines.matlab",
    "verify": "camcompat.verification.run",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
