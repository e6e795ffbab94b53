"""One CAM file opened with onnxruntime: its session, its metadata, the names and sizes of its inputs and outputs."""

from __future__ import annotations

import json
import math
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from prototxt.errors import CamcompatError
from prototxt.limits import check_beside, get_limits, raise_hint
from weights.files.wire import LEN, fields

__all__ = [
    "CAM_OUTPUTS", "ORT_ERRORS", "Interface", "Provider", "allowed_cores", "check_onnx", "open_session",
    "read_interface", "read_metadata",
]  # fmt: skip

_PROVIDER = "executionprovider"

Provider: TypeAlias = str | tuple[str, Mapping[str, Any]]
"""A name, as "cuda" or "CUDAExecutionProvider"; or with its options."""

CAM_OUTPUTS = ("scores", "classes", "cams")
FORMAT = 1

# onnxruntime's own exceptions share no base class below Exception.
ORT_ERRORS: tuple[type[Exception], ...] = (
    *(error for error in vars(state).values() if isinstance(error, type) and issubclass(error, Exception)),
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class Interface:
    """What a CAM file takes and gives.

    Attributes:
        input: name of the image input; ``shape``: its (N, C, H, W), names where not fixed.
        prob: name of the output with the scores of all classes; ``count``: how many classes.
        outputs: all output names, in the file's order.
        choosable: whether the number of top classes can be chosen (the optional input ``k``).
    """

    input: str
    shape: tuple[Any, ...]
    prob: str
    count: int
    outputs: tuple[str, ...]
    choosable: bool


def open_session(
    path: str | os.PathLike[str], *, threads: int | None = None, providers: Sequence[Provider] | None = None
) -> onnxruntime.InferenceSession:
    """Open an ONNX file with onnxruntime, for equal numbers on every run.

    Args:
        path: of the file.
        threads, providers: as for ``camcompat.load``.

    Raises:
        CamcompatError: the file is no ONNX that this onnxruntime runs, or a provider is missing.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised; printing it as well would be noise
    options.use_deterministic_compute = True
    options.intra_op_num_threads = _threads(threads)
    wanted = _providers(providers)
    path = Path(path)
    check_onnx(path)
    try:
        # Its fallback would print, and try the same again on the CPU.
        session = onnxruntime.InferenceSession(str(path), options, wanted, enable_fallback=0)
        _ = session.get_modelmeta().custom_metadata_map  # its names are decoded when they are asked for
        for nodes in (session.get_inputs(), session.get_outputs(), session.get_overridable_initializers()):
            _ = [(node.name, node.shape) for node in nodes]
    except ORT_ERRORS as error:
        raise CamcompatError(
            f"onnxruntime {onnxruntime.__version__} cannot open it: {error}",
            where=str(path),
            remedy="convert it again with `camcompat convert`, or update onnxruntime",
        ) from None
    if wanted[0][0] not in session.get_providers():  # onnxruntime would go on without it, on the CPU
        raise CamcompatError(
            f"{wanted[0][0]} did not start", where=str(path), remedy="check its driver, or leave providers= out"
        )
    return session


def allowed_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(threads: int | None) -> int:
    if threads is None:
        # 0 makes onnxruntime pin a thread to each core of the machine, which fails where only some are allowed.
        return 0 if allowed_cores() == (os.cpu_count() or 1) else allowed_cores()
    if threads < 1:
        raise CamcompatError(f"threads is {threads}", where="load", remedy="use 1 or more, or None for all cores")
    return int(threads)


def _providers(providers: Sequence[Provider] | None) -> list[tuple[str, dict[str, Any]]]:
    if isinstance(providers, str):
        providers = [providers]
    available = onnxruntime.get_available_providers()
    wanted: list[tuple[str, dict[str, Any]]] = []
    for provider in providers or ["CPUExecutionProvider"]:
        name, options = (provider, {}) if isinstance(provider, str) else (provider[0], dict(provider[1]))
        name = next((x for x in available if name.lower() in (x.lower(), x.lower().removesuffix(_PROVIDER))), name)
        if name not in available:
            raise CamcompatError(
                f"this onnxruntime has no {name!r}", where="providers", remedy=f"it has {', '.join(available)}"
            )
        if name == "CUDAExecutionProvider":
            options.setdefault("use_tf32", "0")  # TF32 keeps 10 bits of each factor: not Caffe's numbers
        wanted.append((name, options))
    return wanted


def read_metadata(session: onnxruntime.InferenceSession, where: str) -> dict[str, Any]:
    """Return the object under the metadata key "camcompat", empty where the file has none.

    Raises:
        CamcompatError: it is no JSON object, or of a newer format.
    """
    text = session.get_modelmeta().custom_metadata_map.get("camcompat")
    if text is None:
        return {}
    if len(text) > (most := get_limits().metadata_bytes):
        raise CamcompatError(
            f"metadata 'camcompat' has {len(text):,} bytes", where=where, remedy=f"the limit is {most:,}; {_AGAIN}"
        )
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # no JSON, a number of thousands of digits, brackets without end
        raise CamcompatError(f"metadata 'camcompat' is no JSON: {error}", where=where, remedy=_AGAIN) from None
    if not isinstance(values, dict):
        raise CamcompatError("metadata 'camcompat' is no JSON object", where=where, remedy=_AGAIN)
    if values.get("format", FORMAT) != FORMAT:
        raise CamcompatError(
            f"metadata format {values['format']!r}, expected {FORMAT}",
            where=where,
            remedy="update camcompat, or convert the file again with this one",
        )
    for key, kind in (("preprocess", dict), ("labels", list)):
        if not isinstance(values.get(key) or kind(), kind):
            raise CamcompatError(f"metadata {key!r} is {values[key]!r}", where=where, remedy=_AGAIN)
    return values


_AGAIN = "convert it again with `camcompat convert`"


def read_interface(session: onnxruntime.InferenceSession, metadata: Mapping[str, Any], where: str) -> Interface:
    """Find the image input, the scores and the CAM outputs of an opened file.

    Raises:
        CamcompatError: no CAM outputs, several inputs, or scores whose number of classes is not fixed.
    """
    outputs = {node.name: node for node in session.get_outputs()}
    if len(outputs) != len(session.get_outputs()):
        raise CamcompatError("two of its outputs have the same name", where=where, remedy=_AGAIN)
    missing = [name for name in CAM_OUTPUTS if name not in outputs]
    if missing:
        raise CamcompatError(
            f"no output {', '.join(missing)} (it has {', '.join(outputs)}): not converted with CAM",
            where=where,
            remedy="convert the network with its CAM head: `camcompat convert`",
        )
    inputs = session.get_inputs()
    image = [node for node in inputs if node.name != "k"]
    if len(image) != 1 or len(image[0].shape) != 4 or image[0].type != "tensor(float)":
        shown = ", ".join(f"{node.name} {node.type}{node.shape}" for node in inputs)
        raise CamcompatError(
            f"inputs {shown}", where=where, remedy="expected one image input, float32 (N, C, H, W): convert it again"
        )
    pixels = math.prod(dim for dim in image[0].shape[2:] if isinstance(dim, int))
    if pixels > (most := get_limits().picture_pixels):
        raise CamcompatError(
            f"its input of {pixels:,} pixels is larger than the limit, {most:,}",
            where=where,
            remedy=raise_hint("picture_pixels"),
        )
    others = [name for name in outputs if name not in CAM_OUTPUTS]
    prob = str(metadata.get("prob") or ("prob" if "prob" in others else (others or ["prob"])[0]))
    sizes: list[Any] = list(outputs[prob].shape[1:]) if prob in outputs else []
    if not sizes or not all(isinstance(size, int) for size in sizes):
        raise CamcompatError(
            f"output {prob!r} with a fixed number of classes is missing (outputs: {', '.join(outputs)})",
            where=where,
            remedy=_AGAIN,
        )
    optional = [node.name for node in (*inputs, *session.get_overridable_initializers())]
    return Interface(image[0].name, tuple(image[0].shape), prob, math.prod(sizes), tuple(outputs), "k" in optional)


_SMALL = 1 << 24
_DEPTH = 32  # of graphs within nodes
# Message → field number → the message in it: the ways from a model to its tensors.
_WAYS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL = 13  # TensorProto.external_data


def check_onnx(path: Path) -> None:
    """Refuse an ONNX file whose numbers lie in a file elsewhere; what else is wrong with it, onnxruntime says.

    Raises:
        CamcompatError: it names a path that is no plain file name, or it is larger than the limit.
    """
    most = get_limits().onnx_bytes
    try:
        if path.stat().st_size > most:
            raise CamcompatError(f"it has more than {most:,} bytes", where=str(path), remedy=raise_hint("onnx_bytes"))
        with (
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
            memoryview(data) as view,
        ):
            if len(data) < _SMALL and data.find(b"location") < 0:  # faster than to walk, and so no tensor is elsewhere
                return
            _walk(view, 0, len(view), "model", path, 0)
    except (OSError, ValueError):  # missing, empty, or no protobuf message (WireError): for onnxruntime to refuse
        return


def _walk(data: memoryview, start: int, end: int, kind: str, path: Path, depth: int) -> None:
    if depth > _DEPTH * 3:  # node, attribute, graph
        raise CamcompatError(f"graphs are nested more than {_DEPTH} deep", where=str(path), remedy=_AGAIN)
    ways = _WAYS.get(kind, {})
    for found in fields(data, start, end):
        if found.wire != LEN:
            continue
        if kind == "tensor" and found.number == _EXTERNAL:
            _check_entry(data, found.start, found.end, path)
        elif found.number in ways:
            _walk(data, found.start, found.end, ways[found.number], path, depth + 1)


def _check_entry(data: memoryview, start: int, end: int, path: Path) -> None:
    entry = {found.number: bytes(data[found.start : found.end]) for found in fields(data, start, end)}
    if entry.get(1) != b"location":
        return
    problem = check_beside(entry.get(2, b"").decode("utf-8", errors="backslashreplace"), path)
    if problem:
        raise CamcompatError(problem, where=str(path), remedy=_AGAIN)


_AGAIN = "convert it again with `camcompat convert`"
