"""From a name or a path to an ``.onnx`` file; a catalogue network is converted where that is still to be done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from camcompat.conversion.catalogue import description
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from weights.models import Model

__all__ = ["onnx_path"]

_FOREIGN = {".caffemodel", ".prototxt", ".pbtxt", ".h5", ".pt", ".pth"}


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
    """The .onnx file of a catalogue network, converted now where it is missing and the converters are installed."""
    from weights.models import find, home

    model = find(name)
    path = home() / model.name / f"{model.name}.onnx"
    if path.is_file():
        return path
    if not model.present():
        raise CamcompatError("is not downloaded", where=model.name, remedy=f"run `camcompat download {model.name}`")
    _convert(model, path)
    return path


def _convert(model: Model, path: Path) -> None:
    try:
        from converters import to_onnx
    except ImportError as error:  # the converters' own dependencies, which a machine that only runs CAMs need not have
        raise CamcompatError(
            f"is not converted, and the converters cannot run here: {error}",
            where=model.name,
            remedy=f"run `camcompat convert {model.name}` where they are installed, and copy the file to {path}",
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    to_onnx(model.path("prototxt"), model.path("caffemodel"), path, cam=True, metadata=description(model))
