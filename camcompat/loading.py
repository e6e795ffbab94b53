"""From a name or a path to a network that is ready to run; one of the catalogue is converted if it still has to be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from camcompat.cam.model import Model
from camcompat.cam.session import Provider, open_session
from prototxt.errors import CamcompatError

__all__ = ["load", "onnx_path"]

_FOREIGN = {".caffemodel", ".prototxt", ".pbtxt", ".h5", ".pt", ".pth"}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    providers: Sequence[Provider] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    labels: str | os.PathLike[str] | Sequence[str] | None = None,
) -> Model:
    """Open a CAM network: an ``.onnx`` file, or a name of the catalogue (``camcompat list``).

    A catalogue network that is downloaded but not yet converted is converted first, where the converters are installed.

    Args:
        name_or_path: the file or the name.
        threads: threads within one operator; None: every core that this process may use.
        providers: onnxruntime's execution providers, as "cuda"; None: the CPU. CUDA runs without TF32, unless you ask
            for it.
        preprocess: values that replace those of the file: "resize", "crop", "mean", "scale", "channels"
            (see ``Preprocess.from_mapping``).
        labels: class names, or a file of them, that replace those of the file.

    Raises:
        CamcompatError: no such file or name, not an ONNX file, a network converted without CAM.

    >>> load("net.caffemodel")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: net.caffemodel: is no ONNX file; convert it first: `camcompat convert`
    """
    path = onnx_path(name_or_path)
    session = open_session(path, threads=threads, providers=providers)
    return Model(session, source=str(path), preprocess=preprocess, labels=labels)


def onnx_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the ``.onnx`` file that a path or a catalogue name means, made now where the converters are installed.

    Raises:
        CamcompatError: no such file or name, a file that is no ONNX, a network that is not downloaded.
    """
    text = os.fspath(name_or_path)
    path = Path(text)
    if path.suffix.lower() in _FOREIGN:
        raise CamcompatError("is no ONNX file", where=text, remedy="convert it first: `camcompat convert`")
    if path.is_file():
        return path
    if path.is_dir() and (os.sep in text or not isinstance(name_or_path, str)):
        raise CamcompatError("is a folder", where=text, remedy="name the .onnx file in it")
    if path.suffix.lower() == ".onnx" or os.sep in text or not isinstance(name_or_path, str):
        raise CamcompatError("no such file", where=text, remedy="check the path, or name a network of `camcompat list`")
    return _converted_path(text)


def _converted_path(name: str) -> Path:
    """The .onnx file of a catalogue network: as `camcompat convert NAME` leaves it, made now where it is missing."""
    from weights.models import find, home

    model = find(name)
    path = home() / model.name / f"{model.name}.onnx"
    if path.is_file():
        return path
    if not model.present():
        raise CamcompatError("is not downloaded", where=model.name, remedy=f"run `camcompat download {model.name}`")
    try:
        from camcompat.conversion.converter import convert_model

        convert_model(model, path.parent, formats=("onnx",), cam=True)
    except ImportError as error:  # the converters' own dependencies, which a machine that only runs CAMs need not have
        raise CamcompatError(
            f"is not converted, and the converters cannot run here: {error}",
            where=model.name,
            remedy=f"run `camcompat convert {model.name}` where they are installed, and copy the file to {path}",
        ) from None
    return path
