"""What is verified, in words and for the report: files, hashes, versions, and the options of the conversion."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from camcompat.cam.session import open_session, read_metadata
from camcompat.verification.subject import Subject

__all__ = ["noted_options", "origin", "sentence"]


def noted_options(path: Path) -> Mapping[str, Any]:
    """The options that the ONNX file was converted with, as it says."""
    said = read_metadata(open_session(path), str(path)).get("provenance")
    options = said.get("options") if isinstance(said, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def sentence(subject: Subject) -> str:
    """What is compared with what."""
    file = f"{subject.onnx.name}, as given," if subject.given else "the ONNX file that converting makes now"
    weights = getattr(subject.caffemodel, "source", subject.caffemodel)
    named = (
        Path(weights).name if isinstance(weights, (str, os.PathLike)) else f"{type(weights).__name__.lower()} weights"
    )
    definition = Path(subject.net.source).name
    return f"{file} against {named if definition == named else f'{definition} and {named}'}"


def origin(subject: Subject) -> dict[str, Any]:
    """Hashes and versions, and whether a given file says that it was made from these very sources."""
    import onnxruntime

    from converters.provenance import provenance, version_of

    entry = provenance(subject.lowered, subject.caffemodel, packages=("onnx",))
    entry["versions"] = {**entry["versions"], "onnxruntime": onnxruntime.__version__}
    entry["onnx"] = {"file": subject.onnx.name, "given": subject.given, "bytes": subject.onnx.stat().st_size}
    noted = subject.metadata.get("provenance") or {}
    for kind in ("prototxt", "caffemodel"):
        theirs, ours = (each.get(kind, {}).get("sha256") for each in (noted, entry))
        if subject.given and theirs:
            entry["onnx"][f"made from this {kind}"] = theirs == ours
    if version_of("torch") != "not installed":
        entry["versions"]["torch"] = version_of("torch")
    return entry
