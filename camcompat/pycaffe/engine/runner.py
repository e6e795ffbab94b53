"""Runs one layer: lowered for the shapes that its bottoms have now, as Caffe reshapes each layer before it runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from camcompat.pycaffe.engine.blob import Blob, BlobVec
from camcompat.pycaffe.engine.store import Store
from camcompat.pycaffe.engine.structure import Step, feeds_softmax
from camcompat.pycaffe.errors import CaffeError
from converters.graph.dims import at_one
from converters.graph.graph import Value
from converters.lowering.lower_net import Lowered, accumulate_in_double, lower
from prototxt import Layer, Net

__all__ = ["Plan", "Runner"]

Arrays = list[np.ndarray]


class Plan(Protocol):
    """A lowered layer in one backend."""

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        """The tops, from the bottoms."""

    def gradients(
        self, inputs: Sequence[np.ndarray], diffs: Sequence[np.ndarray], blobs: Sequence[Blob]
    ) -> tuple[Arrays, list[np.ndarray | None]]:
        """The gradients of the bottoms and of the blobs, from those of the tops."""


@dataclass
class _Prepared:
    """A layer lowered for certain shapes, with the memory of its parameters as it was then."""

    shapes: tuple[tuple[int, ...], ...]
    lowered: Lowered
    tops: list[Value]
    memory: list[tuple[np.ndarray, tuple[int, ...]]]
    copies: list[tuple[Blob, np.ndarray]] = field(default_factory=list)
    plan: Plan | None = None


class Runner:
    """One layer of a net, ready to run at any input shape, with its parameters as they are at the time."""

    def __init__(self, step: Step, net: Net, store: Store, backend: str) -> None:
        assert step.layer is not None
        self.step, self.net, self.store, self.backend = step, net, store, backend
        names = [f"{name}#{i}" if name in step.inputs[:i] else name for i, name in enumerate(step.inputs)]
        self.layer: Layer = replace(step.layer, bottoms=tuple(names))  # a blob read twice has two gradients
        self.blobs: BlobVec = store.blobs[id(step.layer)]
        store.blobs[id(self.layer)] = self.blobs
        self.accumulates = feeds_softmax(net, step.layer)
        self.notes: list[str] = []
        self._prepared: _Prepared | None = None

    def top_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The shapes of the tops for these of the bottoms; a size that only the data decide counts as 1."""
        return [at_one(value.shape) for value in self._prepare(shapes).tops]

    def run(self, inputs: Sequence[np.ndarray]) -> Arrays:
        """The tops, from the bottoms."""
        return self._plan(inputs).run(inputs) if self.step.tops else []

    def gradients(self, inputs: Sequence[np.ndarray], diffs: Sequence[np.ndarray]) -> Arrays:
        """The gradients of the bottoms; those of the parameters are added to their `diff`, as Caffe adds them."""
        if not self.step.tops:
            return [np.zeros_like(x) for x in inputs]
        plan = self._plan(inputs)
        try:
            bottoms, blobs = plan.gradients(inputs, diffs, self.blobs)
        except (RuntimeError, ValueError) as error:
            if isinstance(error, CaffeError):
                raise CaffeError(error.message, where=error.where or self.layer.where, remedy=error.remedy) from None
            raise CaffeError(f"its gradient cannot be computed ({error})", where=self.layer.where) from error
        for blob, gradient in zip(self.blobs, blobs):
            if gradient is not None:
                blob.diff[...] += gradient
        return bottoms

    def _plan(self, inputs: Sequence[np.ndarray]) -> Plan:
        prepared = self._prepare([x.shape for x in inputs])
        if prepared.plan is None:
            prepared.plan = self._make_plan(prepared.lowered, prepared.tops)
        return prepared.plan

    def _make_plan(self, lowered: Lowered, tops: list[Value]) -> Plan:
        if self.backend == "torch":
            from camcompat.pycaffe.engine.torch_plan import TorchPlan

            return TorchPlan(lowered.graph, tops)
        from camcompat.pycaffe.engine.onnx_plan import OnnxPlan

        return OnnxPlan(lowered, tops)

    def _prepare(self, shapes: Sequence[tuple[int, ...]]) -> _Prepared:
        ready = self._prepared
        if ready is None or ready.shapes != tuple(shapes) or not self._unchanged(ready):
            ready = self._prepared = self._lower(tuple(tuple(shape) for shape in shapes))
        return ready

    def _unchanged(self, ready: _Prepared) -> bool:
        """Whether the parameters are still where they were, and what was computed from them still holds."""
        now = [(blob.memory, blob.shape) for blob in self.blobs]
        if len(now) != len(ready.memory) or any(
            a is not b or shape != old for (a, shape), (b, old) in zip(now, ready.memory)
        ):
            return False
        return all(np.array_equal(blob.data, copy, equal_nan=True) for blob, copy in ready.copies)

    def _lower(self, shapes: tuple[tuple[int, ...], ...]) -> _Prepared:
        layer = self.layer
        inputs = dict(zip(layer.bottoms, shapes))
        net = Net(self.net.name, self.net.source, (layer,), inputs, (), (), self.net.message)
        lowered = lower(net, self.store, symbolic_batch=False)
        self.notes = lowered.notes
        tops = [lowered.graph.blobs[name] for name in layer.tops]
        lowered.graph = graph = lowered.graph.pruned(dict(zip(layer.tops, tops)))
        if self.accumulates:
            for node in graph.nodes:  # (a graph of one layer shows no softmax)
                accumulate_in_double(node)
        prepared = _Prepared(shapes, lowered, tops, [(blob.memory, blob.shape) for blob in self.blobs])
        live = [] if self.backend == "onnx" else list(graph.constants())
        learned = any(_derived(value, self.blobs) for value in live)
        for blob in self.blobs:
            # A layer that computed with the numbers, or a backend that holds its own: compare before each run.
            if learned or not any(_within(value, blob) for value in live):
                prepared.copies.append((blob, blob.data.copy()))
        return prepared


def _within(value: Value, blob: Blob) -> bool:
    """Whether a constant is the blob's own memory, so that an edit of the blob is an edit of it."""
    if value.data is None or any(stride < 0 for stride in value.data.strides):  # (torch has no negative strides)
        return False
    return np.may_share_memory(value.data, blob.memory)


def _derived(value: Value, blobs: Sequence[Blob]) -> bool:
    return value.learned and not any(_within(value, blob) for blob in blobs)
