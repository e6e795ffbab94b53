"""Which number of a caffemodel became which number of a PyTorch module: what the way back needs to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from converters.graph.graph import Value
from converters.lowering.lower_net import Lowered
from prototxt.errors import ConversionError

__all__ = ["Computed", "Origins", "Placed", "origins"]

State: TypeAlias = "Mapping[str, np.ndarray]"


@dataclass(frozen=True)
class Placed:
    """A blob whose numbers lie in one tensor of the state, reshaped or transposed at most.

    Attributes:
        key: of the tensor in the state.
        shape: of the blob.
        view: the shape and strides (in numbers) with which the tensor's numbers lie in the blob.
    """

    key: str
    shape: tuple[int, ...]
    view: tuple[tuple[int, ...], tuple[int, ...]]

    def restored(self, state: State, where: str) -> np.ndarray:
        """The blob, from the state of the module."""
        shape, strides = self.view
        flat = np.empty(int(np.prod(self.shape)), np.float32)
        view = np.lib.stride_tricks.as_strided(flat, shape, [4 * stride for stride in strides])
        view[...] = state[self.key].reshape(shape)
        return flat.reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Computed:
    """A blob that the module holds in another form, or not at all.

    Attributes:
        original: its numbers, as they were read.
        held: the layer's tensors that no other blob accounts for, as they were made: key of the state → numbers.
        statistic: of BatchNorm's mean and variance: the tensor that holds them, already divided by the factor.
    """

    original: np.ndarray
    held: dict[str, np.ndarray] = field(default_factory=dict)
    statistic: str = ""

    def changed(self, state: State) -> bool:
        return any(not np.array_equal(state[key], made, equal_nan=True) for key, made in self.held.items())

    def restored(self, state: State, where: str) -> np.ndarray:
        """The blob as it was read; ConversionError if what was made of it has changed and does not tell the blob."""
        if not self.statistic and self.changed(state):
            remedy = f"leave {', '.join(self.held)} as they were"
            raise ConversionError("it was changed in a form that has no way back", where=where, remedy=remedy)
        return self.original


Origins: TypeAlias = "dict[str, list[Placed | Computed]]"


def origins(lowered: Lowered, constants: Mapping[str, Value]) -> Origins:
    """For each layer with weights in a module: where each of its blobs is.

    Args:
        lowered: what the module was written from.
        constants: key of the module's state → the constant of the graph that it holds.
    """
    found: Origins = {}
    by_layer: dict[str, list[tuple[str, Value]]] = {}
    for key, value in constants.items():
        if value.learned:
            by_layer.setdefault(value.layer, []).append((key, value))
    shared = [(key, value) for key, value in constants.items() if value.name.startswith("shared.")]
    for index, blobs in lowered.blobs.items():
        layer = lowered.net.layers[index]
        own = by_layer.get(layer.name, [])
        candidates = own + [pair for pair in shared if pair not in own]
        placed = {i: _placed(blob, candidates) for i, blob in blobs.items()}
        if not blobs or not (own or any(placed.values())):
            continue
        taken = {place.key for place in placed.values() if place is not None}
        rest = {key: value for key, value in own if key not in taken}
        found[layer.name] = [
            placed[i] or _computed(layer.type, i, blob, rest) for i, blob in sorted(blobs.items())
        ]  # fmt: skip
    return found


def _placed(blob: Value, candidates: list[tuple[str, Value]]) -> Placed | None:
    """The tensor that is a view of all of a blob's memory."""
    assert blob.data is not None
    source = blob.data
    if source.dtype != np.float32 or not source.flags.c_contiguous or not source.size:
        return None
    start = _address(source)
    for key, value in candidates:
        view = value.data
        assert view is not None
        if view.size == source.size and view.dtype == source.dtype and _address(view) == start:
            steps = tuple(stride // 4 for stride in view.strides)
            if sum((n - 1) * step for n, step in zip(view.shape, steps)) == source.size - 1:
                return Placed(key, source.shape, (view.shape, steps))
    return None


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _computed(kind: str, index: int, blob: Value, rest: Mapping[str, Value]) -> Computed:
    assert blob.data is not None
    original = np.array(blob.data, np.float32, order="C")
    roles = {value.name: key for key, value in rest.items()}
    if kind == "BatchNorm":
        key = roles.get({0: "running_mean", 1: "running_var"}.get(index, ""), "")
        data = rest[key].data if key else None
        return Computed(original, {key: np.array(data)} if data is not None else {}, key)
    return Computed(original, {key: np.array(value.data) for key, value in rest.items()})
