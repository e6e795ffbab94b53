"""Looks inside an ONNX file: any tensor that it computes as an output, and the tensors that it stores."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from prototxt.errors import ConversionError
from prototxt.limits import check_beside

__all__ = ["computed_names", "stored_tensors", "with_outputs"]


def with_outputs(path: Path, names: Iterable[str], target: Path) -> tuple[str, ...]:
    """Write a copy of a file that also returns the named tensors, as far as its own graph computes them.

    Args:
        path: the ONNX file.
        names: of tensors; those that it does not compute (because they were fused into others) are left out.
        target: the copy; tensors beside the file stay there, so it must lie in a folder that can hold links.

    Returns:
        The names that the copy returns, in the order asked for.

    Raises:
        ConversionError: it is no ONNX file.

    >>> with_outputs(Path("net.onnx"), ["conv1"], Path("probe.onnx"))       # doctest: +SKIP
    ('conv1',)
    """
    model = _load(path)
    computed = set(computed_names(model))
    own = {x.name for x in model.graph.output}
    found = tuple(dict.fromkeys(name for name in names if name in computed))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in found if name not in own)
    target.write_bytes(model.SerializeToString())
    for location in dict.fromkeys(_external(model, path)):
        beside = target.parent / location
        if not beside.exists():
            os.symlink((path.parent / location).resolve(), beside)
    return found


def computed_names(model: onnx.ModelProto | Path) -> list[str]:
    """The names of every tensor that the nodes of a model's main graph compute, in order."""
    graph = (_load(model) if isinstance(model, Path) else model).graph
    return [name for node in graph.node for name in node.output if name]


def stored_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors that a file stores, by name."""
    model = _load(path)
    list(_external(model, path))
    folder = str(path.resolve().parent)
    return {each.name: numpy_helper.to_array(each, folder) for each in model.graph.initializer}


def _load(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf's own errors share no public base class
        raise ConversionError(f"it is no ONNX file ({error})", where=str(path), remedy="convert it again") from error


def _external(model: onnx.ModelProto, path: Path) -> Iterator[str]:
    """The files beside the model that hold its tensors; a name that leads elsewhere is refused."""
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            for location in (entry.value for entry in tensor.external_data if entry.key == "location"):
                problem = check_beside(location, path)
                if problem:
                    raise ConversionError(problem, where=str(path), remedy="convert it again")
                yield location
