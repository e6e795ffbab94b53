"""What a layer's function sees of its layer: parameters, blobs, and a way to refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.graph.dims import Dim, static
from converters.graph.graph import Value
from converters.layers.params import Params
from prototxt.errors import ConversionError
from prototxt.limits import check_size, get_limits, raise_hint

if TYPE_CHECKING:
    from converters.ops import Ops
    from prototxt import Layer

__all__ = ["Fetch", "LayerView"]

Fetch = Callable[[int, tuple[int, ...]], "np.ndarray | Value"]
"""Blob index and shape → the array, or the constant that all layers which share it use."""


class LayerView:
    """One layer during lowering.

    Attributes:
        name, type, where: the layer's, `where` as errors print it.
        bottoms, tops: its blobs' names.
        blob_count: how many blobs the caffemodel holds for it; None where weights are invented.
        reads: the parameter fields read so far.
        notes: sentences for the user, each told with the layer's place.
    """

    def __init__(
        self,
        layer: Layer,
        ops: Ops,
        fetch: Fetch,
        blob_count: int | None,
    ) -> None:
        self.layer, self.ops, self._fetch = layer, ops, fetch
        self.name, self.type, self.where = layer.name, layer.type, layer.where
        self.bottoms, self.tops = layer.bottoms, layer.tops
        self.blob_count = blob_count
        self.reads: set[str] = set()
        self.notes: list[str] = []  # what the user should know about how this layer was read
        self.variant = ""  # which of several layers of this type name it is, for `inspect`
        self.blobs: dict[int, Value] = {}

    def params(self, field: str) -> Params:
        """The message of that name, e.g. ``layer.params("pooling_param")``; all defaults where the file has none."""
        self.reads.add(field)
        return Params(getattr(self.layer.message, field), field, self.reads)

    def has_params(self, field: str) -> bool:
        """Whether the file gives that message."""
        return bool(self.layer.message.HasField(field))

    def blob(self, index: int, shape: Sequence[Dim], name: str) -> Value:
        """Blob `index` of the caffemodel as a constant of this shape; `name` is its role (``weight``).

        Raises WeightsError where the file's blob has another shape, or there is none.
        """
        if index not in self.blobs:
            exact = tuple(static(dim, f"the shape of blob {index} ({name}) is needed") for dim in shape)
            if problem := check_size(exact):
                raise self.error(f"blob {index} ({name}): {problem}", raise_hint("elements"))
            found = self._fetch(index, exact)
            if not isinstance(found, Value):
                found = self.ops.const(found, name, dtype="float32", learned=True)
            self.blobs[index] = found
        return self.blobs[index]

    def array(self, index: int, shape: Sequence[Dim], name: str) -> np.ndarray:
        """Like `blob`, for a layer that computes with the numbers."""
        data = self.blob(index, shape, name).data
        assert data is not None
        return data

    def axis(self, axis: int, rank: int) -> int:
        """An axis that may count from the end, checked."""
        if not -rank <= axis < rank:
            raise self.error(f"axis {axis} is outside of a blob with {rank} axes")
        return axis % rank

    def constant(self, count: int) -> None:
        """Refuse to make a constant of so many elements, before it is made."""
        most = get_limits().constant_elements
        if count > most:
            problem = f"it asks for a constant of {count:,} elements, the limit is {most:,}"
            raise self.error(problem, raise_hint("constant_elements"))

    def error(self, message: str, remedy: str = "") -> ConversionError:
        """A `ConversionError` that names this layer; raise it."""
        return ConversionError(message, where=self.where, remedy=remedy)
