"""What an ONNX file says about itself, read with onnxruntime alone."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from camcompat.cam.session import CAM_OUTPUTS, open_session, read_metadata
from prototxt.errors import CamcompatError

__all__ = ["OnnxInspection", "inspect_onnx"]


@dataclass(frozen=True)
class OnnxInspection:
    """An ONNX file from the outside.

    Attributes:
        file: its name; ``bytes``: its size, tensors beside it not counted.
        producer: the program that wrote it.
        net: the Caffe net's name, "" where the file does not say.
        inputs, outputs: shape by name, with the type where it is not float32; ``optional``: inputs with a default.
        cam: features, classifier and form of the class activation maps; empty without them.
        labels: how many class names it holds.
        dtype: "float32", "fp16" or "int8".
        folded: nodes that are several layers; ``winograd``: layers in that form.
        preprocess, source, provenance: what the converter noted, as it stands in the file (`provenance` holds hashes,
            versions, options and, where the file was checked, `verification`).
    """

    file: str
    bytes: int
    producer: str
    net: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    optional: Mapping[str, str]
    cam: Mapping[str, Any]
    labels: int
    dtype: str
    folded: Sequence[str]
    winograd: Sequence[str]
    preprocess: Mapping[str, Any]
    source: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The same as text, a fact per line."""
        by = self.producer or "an unnamed program"
        yield f"file          {self.file}  {self.bytes / 1e6:.1f} MB, written by {by}"
        yield f"net           {self.net or 'not named'}"
        for word, entries in (("input", self.inputs), ("optional", self.optional), ("output", self.outputs)):
            for name, shape in entries.items():
                yield f"{word:<14}{name} {shape}"
        if self.cam:
            features, classifier = (self.cam.get(key, "?") for key in ("features", "classifier"))
            yield f"CAM           features of {features}, classes by {classifier}"
        else:
            yield "CAM           none"
        yield f"labels        {self.labels or 'none'}"
        yield f"numbers       {self.dtype}"
        for word, layers in (("folded", self.folded), ("winograd", self.winograd)):
            if layers:
                yield f"{word:<14}{', '.join(layers[:4])}{f' and {len(layers) - 4} more' if len(layers) > 4 else ''}"
        for word in ("preprocess", "source", "provenance"):
            entry = getattr(self, word)
            for path, value in _leaves(entry):
                yield f"{word:<14}{' '.join(path)}: {value}"
            if not entry:
                yield f"{word:<14}not noted"


def inspect_onnx(path: str | os.PathLike[str]) -> OnnxInspection:
    """Describe an ONNX file, whoever wrote it; the packages onnx and protobuf are not needed.

    Raises:
        CamcompatError: there is no such file, or onnxruntime cannot open it.

    >>> inspect_onnx("net.onnx").provenance["caffemodel"]["sha256"]         # doctest: +SKIP
    'b6f6172d28babd8a29adb5d7b9393158356dbbf1fd9c10675c4429fb78b33133'
    """
    file = Path(path)
    if not file.is_file():
        raise CamcompatError("no such file", where=str(file), remedy="check the path")
    session = open_session(file)
    said = read_metadata(session, str(file))
    outputs = {node.name: _shape(node) for node in session.get_outputs()}
    cam = _mapping(said, "cam") if set(CAM_OUTPUTS) <= outputs.keys() else {}
    return OnnxInspection(
        file=file.name,
        bytes=file.stat().st_size,
        producer=str(session.get_modelmeta().producer_name),
        net=str(said.get("net", "")),
        inputs={node.name: _shape(node) for node in session.get_inputs()},
        outputs=outputs,
        optional={node.name: _shape(node) for node in session.get_overridable_initializers() if node.name == "k"},
        cam=cam or ({"form": "unknown"} if set(CAM_OUTPUTS) <= outputs.keys() else {}),
        labels=len(said.get("labels") or ()),
        dtype=str(said.get("dtype", "float32")),
        folded=list(_mapping(said, "fused")),
        winograd=[str(name) for name in said.get("winograd") or ()],
        preprocess=_mapping(said, "preprocess"),
        source=_mapping(said, "source"),
        provenance=_mapping(said, "provenance"),
    )


def _mapping(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = said.get(key)
    return value if isinstance(value, Mapping) else {}


def _shape(node: Any) -> str:
    kind = {"tensor(float)": ""}.get(node.type, f" {node.type.removeprefix('tensor(').removesuffix(')')}")
    return ("x".join(str(dim or "?") for dim in node.shape) or "scalar") + kind


def _leaves(entry: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in entry.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, str(key)))
        elif value not in ({}, None, ""):
            yield (*path, str(key)), value
