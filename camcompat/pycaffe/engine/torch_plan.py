"""A lowered layer as a tape of PyTorch calls: played with the net's own memory, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import nn

from camcompat.pycaffe.engine.blob import Blob
from camcompat.pycaffe.errors import CaffeError
from converters.graph.dims import Dim, Sym
from converters.graph.graph import Graph, Node, Value
from converters.torch_backend.emitter import Emitter
from converters.torch_backend.ops import TRANSLATIONS

__all__ = ["TorchPlan"]


@dataclass(frozen=True)
class _Ref:
    """The result of a call on the tape, an input, or a constant."""

    slot: int


class TorchPlan(Emitter):
    """The calls that `converters.torch_backend.ops` makes, noted down and played as often as wanted.

    A converted net owns its weights; here they stay the arrays of `net.params`, so that an edit is seen at once.
    """

    def __init__(self, graph: Graph, tops: Sequence[Value]) -> None:
        self.primitives = graph
        self._slots: dict[int, _Ref] = {}
        self._count = count()
        self._constants: dict[int, Value] = {}
        self._tape: list[tuple[int, Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self._inputs = [self._slots.setdefault(id(x), self._new()) for x in graph.inputs]
        for node in graph.nodes:
            self._translate(node)
        self._results = [self.tensor(x) for x in tops]
        self._fixed = {slot: _from_numpy(np.asarray(x.data)) for slot, x in self._constants.items()}

    # Playing.

    def run(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The tops, from the bottoms."""
        with torch.inference_mode():
            results = self._play([_from_numpy(x) for x in inputs], self._fixed)
        return [np.asarray(x.numpy()) for x in results]

    def gradients(
        self, inputs: Sequence[np.ndarray], diffs: Sequence[np.ndarray], blobs: Sequence[Blob]
    ) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
        """The gradients of the bottoms and of the blobs (None where the layer computed with the numbers)."""
        leaves = [_from_numpy(x).requires_grad_() for x in inputs]
        memory = [_from_numpy(blob.memory).detach().requires_grad_() for blob in blobs]
        constants = {slot: self._live(x, blobs, memory) for slot, x in self._constants.items()}
        with torch.enable_grad():
            results = self._play(leaves, {**self._fixed, **{k: x for k, x in constants.items() if x is not None}})
            pairs = [(x, _from_numpy(diff)) for x, diff in zip(results, diffs) if x.requires_grad]
            if not pairs:
                return self._none(inputs, diffs), [None] * len(blobs)
            tops, wanted = zip(*pairs)
            found = torch.autograd.grad(tops, [*leaves, *memory], wanted, allow_unused=True)
        bottoms = [_numpy(g, x.shape) for g, x in zip(found, inputs)]
        parts: list[np.ndarray | None] = [
            None if g is None else g[: blob.count].reshape(blob.shape).numpy()
            for g, blob in zip(found[len(leaves) :], blobs)
        ]
        return bottoms, parts

    @staticmethod
    def _none(inputs: Sequence[np.ndarray], diffs: Sequence[np.ndarray]) -> list[np.ndarray]:
        if any(diff.any() for diff in diffs):  # a gradient of exactly zero asks for nothing
            remedy = "start the backward pass at an earlier layer: net.backward(start=...)"
            raise CaffeError("this layer has no gradient", remedy=remedy)
        return [np.zeros_like(x) for x in inputs]

    @staticmethod
    def _live(x: Value, blobs: Sequence[Blob], memory: Sequence[torch.Tensor]) -> torch.Tensor | None:
        """A constant as a view of the blob that it lies in."""
        data = np.asarray(x.data)
        for blob, leaf in zip(blobs, memory):
            if data.size and np.may_share_memory(data, blob.memory):
                start = (data.__array_interface__["data"][0] - blob.memory.__array_interface__["data"][0]) // 4
                return leaf.as_strided(data.shape, [stride // 4 for stride in data.strides], start)
        return None

    def _play(self, inputs: Sequence[torch.Tensor], constants: dict[int, torch.Tensor]) -> list[torch.Tensor]:
        values: dict[int, Any] = dict(constants)
        values.update((ref.slot, x) for ref, x in zip(self._inputs, inputs))
        for slot, function, args, kwargs in self._tape:
            values[slot] = function(*_resolved(args, values), **_resolved(kwargs, values))
        return [values[ref.slot] for ref in self._results]

    # Recording: what translations call.

    def _new(self) -> _Ref:
        return _Ref(next(self._count))

    def _translate(self, node: Node) -> None:
        result = TRANSLATIONS[node.op](self, node, self.operands(node))
        for x, ref in zip(node.outputs, result if isinstance(result, tuple) else (result,)):
            self._slots[id(x)] = ref

    def tensor(self, x: Value | None) -> _Ref:
        """Where a value's tensor will be."""
        assert x is not None
        if id(x) not in self._slots:
            assert x.data is not None
            self._slots[id(x)] = ref = self._new()
            self._constants[ref.slot] = x
        return self._slots[id(x)]

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> _Ref:
        """A function of tensors and numbers."""
        ref = self._new()
        self._tape.append((ref.slot, function, args, kwargs))
        return ref

    def method(self, name: str, x: Any, *args: Any) -> _Ref:
        """A tensor's method."""
        return self.call(lambda tensor, *rest: getattr(tensor, name)(*rest), x, *args)

    def module(
        self, node: Node, module: nn.Module, x: Any, shape: Sequence[int] | None = None, **constants: Value | None
    ) -> _Ref:
        """A module's forward, with these constants in place of its own parameters."""
        names = [name for name, value in constants.items() if value is not None]
        for name in names:
            module._parameters.pop(name, None)
            module._buffers.pop(name, None)
        module.eval()

        def forward(tensor: torch.Tensor, *tensors: torch.Tensor) -> Any:
            held = tensors if shape is None else [each.reshape(shape) for each in tensors]
            module.__dict__.update(zip(names, held))
            return module(tensor)

        return self.call(forward, x, *(self.tensor(constants[name]) for name in names))

    def shape(self, shape: Sequence[Dim], *, infer: bool = False) -> tuple[Any, ...]:
        """A shape, with each size that only the data decide read off its tensor."""
        return tuple(self._size(dim) if isinstance(dim, Sym) else dim for dim in shape)

    def _size(self, dim: Sym) -> _Ref:
        sizes = [
            (self.tensor(symbol.source), symbol.axis)
            for symbol in map(self.primitives.symbols.__getitem__, dim.symbols)
        ]
        axes = [axis for _, axis in sizes]

        def size(*tensors: torch.Tensor) -> int:
            return dim.factor * int(np.prod([x.size(axis) for x, axis in zip(tensors, axes)], dtype=np.int64))

        return self.call(size, *(ref for ref, _ in sizes))

    def any_input(self) -> Any:
        """What tells the device and the precision."""
        return torch.zeros(0)

    def input_device(self) -> Any:
        """The CPU."""
        return torch.device("cpu")

    def input_dtype(self) -> Any:
        """float32."""
        return torch.float32


def _from_numpy(array: np.ndarray) -> torch.Tensor:
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    return torch.from_numpy(array)


def _numpy(gradient: torch.Tensor | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.float32) if gradient is None else np.asarray(gradient.numpy())


def _resolved(item: Any, values: dict[int, Any]) -> Any:
    if isinstance(item, _Ref):
        return values[item.slot]
    if isinstance(item, (list, tuple)) and not isinstance(item, torch.Size):
        return type(item)(_resolved(each, values) for each in item)
    if isinstance(item, dict):
        return {key: _resolved(each, values) for key, each in item.items()}
    return item
