"""`camcompat convert --dense`: the file that gives ten crops' maps from two passes, and how well these agree."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.cam.model import Model
from camcompat.cam.session import open_session
from camcompat.conversion.reduction import Arrays, agreement, in_words, picture_files
from converters.options import Options

if TYPE_CHECKING:
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike

__all__ = ["write_dense"]

MOST = 20  # pictures to compare on: ten crops of each take their time


def write_dense(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    plain: Path,
    options: Options,
    metadata: Mapping[str, Any],
    *,
    pictures: str | os.PathLike[str] | None = None,
) -> tuple[Path, str]:
    """Write ``NAME-dense.onnx`` beside ``NAME.onnx``, compare the two on pictures, and note the agreement in it.

    Args:
        prototxt, caffemodel: the sources.
        plain: the file of single crops, which was made of them.
        options, metadata: of the conversion.
        pictures: a folder of them; None: the embedded ones.

    Raises:
        CamcompatError: the net has no CAM head, or takes no larger pictures.
    """
    from converters.onnx_backend.dense import to_dense_onnx
    from converters.onnx_backend.quantization import annotate
    from weights.models import find

    by_crops = _opened(plain)
    canvas, path = by_crops.preprocess.canvas, plain.with_name(f"{plain.stem}-dense.onnx")
    to_dense_onnx(prototxt, caffemodel, path, options, canvas=canvas, metadata=metadata)
    folder = find("shapes-cam").path("prototxt").parent / "pictures" if pictures is None else Path(pictures)
    files = picture_files(folder, MOST)
    expected = [_outputs(by_crops, file, 10) for file in files]
    at_once = _opened(path)
    figures = agreement(expected, [_outputs(at_once, file, "dense") for file in files])
    annotate(path, {"agreement": {**figures, "inputs": len(files), "compared_on": "pictures", "with": "ten crops"}})
    return path, f"two passes against ten crops, {len(files)} pictures: {in_words(figures)}"


def _opened(path: Path) -> Model:
    return Model(open_session(path), source=str(path))


def _outputs(model: Model, file: Path, crops: Any) -> Arrays:
    result = model(file, crops=crops, top=model.interface.count)
    order = np.argsort(result.classes)
    return {"prob": result.scores[order], "cams": result.stack[order]}
