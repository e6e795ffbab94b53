"""Forward and backward passes over more inputs than one batch holds (pycaffe's pycaffe.py)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.pycaffe.errors import CaffeError

if TYPE_CHECKING:
    from camcompat.pycaffe.engine.blob import Blob

__all__ = ["Batches"]

Arrays = dict[str, np.ndarray]


class Batches:
    """`forward_all` and `forward_backward_all`, for a class that has `forward` and `backward`."""

    if TYPE_CHECKING:
        inputs: list[str]
        outputs: list[str]
        blobs: Mapping[str, Blob]

        def forward(
            self, blobs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
        ) -> Arrays: ...

        def backward(
            self, diffs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
        ) -> Arrays: ...

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: Any) -> Arrays:
        """Run any number of inputs, a batch at a time.

        Args:
            blobs: further blobs to return.
            kwargs: input name → array; the first axes are equally long. The last batch is filled up with zeros, and
                what comes of them is left out again.

        Returns: blob name → array, as long as the inputs.
        """
        total = _length(kwargs)
        found: dict[str, list[np.ndarray]] = {name: [] for name in {*self.outputs, *(blobs or ())}}
        for batch in self._batch(kwargs):
            for name, values in self.forward(blobs=blobs, **batch).items():
                found[name].extend(values.copy())
        return {name: np.asarray(rows)[:total] for name, rows in found.items()}

    def forward_backward_all(
        self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **kwargs: Any
    ) -> tuple[Arrays, Arrays]:
        """Like `forward_all`, with a backward pass after each batch.

        Args:
            blobs, diffs: further blobs whose values, and whose gradients, to return.
            kwargs: input name → array, and output name → gradient.

        Returns: the values by blob name, the gradients by blob name.
        """
        total = _length(kwargs)
        values: dict[str, list[np.ndarray]] = {name: [] for name in {*self.outputs, *(blobs or ())}}
        slopes: dict[str, list[np.ndarray]] = {name: [] for name in {*self.inputs, *(diffs or ())}}
        forwards = self._batch({name: kwargs[name] for name in self.inputs if name in kwargs})
        backwards = self._batch({name: kwargs[name] for name in self.outputs if name in kwargs})
        ahead: dict[str, Any]
        back: dict[str, Any]
        for ahead, back in zip_longest(forwards, backwards, fillvalue={}):
            for name, array in self.forward(blobs=blobs, **ahead).items():
                values[name].extend(array.copy())
            for name, array in self.backward(diffs=diffs, **back).items():
                slopes[name].extend(array.copy())
        return (
            {name: np.asarray(rows)[:total] for name, rows in values.items()},
            {name: np.asarray(rows)[:total] for name, rows in slopes.items()},
        )

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The arrays cut into batches of the net's size, the last one filled up with zeros."""
        if not blobs:
            return
        arrays = {name: np.asarray(values) for name, values in blobs.items()}
        size = next(iter(self.blobs.values())).shape[0]
        for start in range(0, _length(arrays), size):
            batch: dict[str, Any] = {name: values[start : start + size] for name, values in arrays.items()}
            missing = size - _length(batch)
            if missing:
                batch = {name: _padded(values, missing) for name, values in batch.items()}
            yield batch


def _length(arrays: Mapping[str, Any]) -> int:
    lengths = {len(values) for values in arrays.values()}
    if len(lengths) != 1:
        raise CaffeError(f"the arrays have {sorted(lengths) or 'no'} rows", remedy="give each input, of equal length")
    return lengths.pop()


def _padded(values: np.ndarray, missing: int) -> np.ndarray:
    return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])
