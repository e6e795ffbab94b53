"""What an ONNX file may not ask of the machine that opens it, told before onnxruntime sees it.

An initializer may name a file that holds its numbers. Releases of onnxruntime differ in which paths they follow, so
none but a plain name beside the model is let through. Source: ``onnx.proto`` (field numbers), onnx's ExternalData.md.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from prototxt.errors import CamcompatError
from prototxt.limits import check_beside, get_limits, raise_hint
from weights.files.wire import LEN, fields

__all__ = ["check_onnx"]

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
