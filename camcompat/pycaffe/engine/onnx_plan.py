"""A lowered layer as a small onnxruntime session, where PyTorch is not installed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnxruntime

from camcompat.pycaffe.engine.blob import Blob
from camcompat.pycaffe.errors import not_offered
from converters.graph.graph import Value
from converters.lowering.lower_net import Lowered
from converters.onnx_backend.file import onnx_model

__all__ = ["OnnxPlan"]


class OnnxPlan:
    """One layer, its weights inside: the runner makes another plan when they were edited."""

    def __init__(self, lowered: Lowered, tops: Sequence[Value]) -> None:
        graph = lowered.graph
        self.tops, self.inputs = tops, graph.inputs
        computed = {id(x): x for x in tops if not x.is_constant and all(x is not given for given in graph.inputs)}
        self._computed = list(computed)
        self._session: onnxruntime.InferenceSession | None = None
        if computed:
            outputs = {f"top{i}": x for i, x in enumerate(computed.values())}
            self._session = _session(replace(lowered, graph=graph.pruned(outputs)))

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The tops, from the bottoms."""
        values = {id(x): array for x, array in zip(self.inputs, inputs)}
        if self._session is not None:
            names = [each.name for each in self._session.get_inputs()]
            feeds = {name: np.ascontiguousarray(array) for name, array in zip(names, inputs)}
            values.update(zip(self._computed, self._session.run(None, feeds)))
        return [values[id(x)] if x.data is None else x.data for x in self.tops]

    def gradients(self, inputs: Sequence[np.ndarray], diffs: Sequence[np.ndarray], blobs: Sequence[Blob]) -> NoReturn:
        """Not offered."""
        why = "the backend is onnxruntime, which computes no gradients"
        not_offered("net.backward", why, 'pip install "camcompat[torch]"')


def _session(lowered: Lowered) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = onnx_model(lowered).save(Path(folder) / "layer.onnx")
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
