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

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "camcompat.boxes": "find_boxes",
    "camcompat.cam.labels": "read_labels",
    "camcompat.cam.model": "Model",
    "camcompat.cam.pipelines.matlab": "demo_image merge_ten_crop prepare_image result_picture",
    "camcompat.cam.result": "Result cam_maps",
    "camcompat.conversion.converter": "convert",
    "camcompat.conversion.inspection": "inspect",
    "camcompat.jobs.mapping": "Summary map_pictures",
    "camcompat.loading": "load",
    "camcompat.pictures.images": "read_image",
    "camcompat.pictures.preprocess": "Preprocess",
    "camcompat.pictures.render": "colourise ember jet overlay",
    "camcompat.verification.verifier": "verify",
    "prototxt.errors": "CamcompatError",
    "weights.downloads.fetch": "download",
}

if TYPE_CHECKING:
    from camcompat.boxes import find_boxes as find_boxes
    from camcompat.cam.labels import read_labels as read_labels
    from camcompat.cam.model import Model as Model
    from camcompat.cam.pipelines.matlab import (
        demo_image as demo_image,
        merge_ten_crop as merge_ten_crop,
        prepare_image as prepare_image,
        result_picture as result_picture,
    )
    from camcompat.cam.result import Result as Result, cam_maps as cam_maps
    from camcompat.conversion.converter import convert as convert
    from camcompat.conversion.inspection import inspect as inspect
    from camcompat.jobs.mapping import Summary as Summary, map_pictures as map_pictures
    from camcompat.loading import load as load
    from camcompat.pictures.images import read_image as read_image
    from camcompat.pictures.preprocess import Preprocess as Preprocess
    from camcompat.pictures.render import colourise as colourise, ember as ember, jet as jet, overlay as overlay
    from camcompat.verification.verifier import verify as verify
    from prototxt.errors import CamcompatError as CamcompatError
    from weights.downloads.fetch import download as download
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
