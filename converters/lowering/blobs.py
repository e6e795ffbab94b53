"""Where a layer's blobs come from: a file, Caffe's synthetic test weights, or nowhere (shapes only)."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import Protocol, Union, runtime_checkable

import numpy as np

import weights as weight_files
from prototxt import Layer
from prototxt.errors import WeightsError, nearest_names
from prototxt.limits import get_limits, raise_hint

__all__ = ["BlobSource", "FileBlobs", "ShapesOnly", "Synthetic", "WeightsLike", "blob_source"]


@runtime_checkable
class BlobSource(Protocol):
    """Answers a layer's request for a blob of a known shape."""

    def count(self, layer: Layer) -> int | None:
        """How many blobs there are for the layer; None where they are made up on request."""

    def get(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        """Blob `index` with exactly this shape, or WeightsError."""


WeightsLike = Union[str, "os.PathLike[str]", Mapping[str, Sequence[np.ndarray]], BlobSource]


class FileBlobs:
    """The blobs of a caffemodel, matched by layer name, shapes by Caffe's rule."""

    def __init__(self, blobs: Mapping[str, Sequence[np.ndarray]], source: str = "") -> None:
        self.blobs, self.source = blobs, source or str(getattr(blobs, "source", "the weights"))

    def count(self, layer: Layer) -> int | None:
        return len(self.blobs.get(layer.name, ()))

    def get(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        stored = self.blobs.get(layer.name)
        where = f"{self.source}: blob {index} of {layer.where}"
        if stored is None:
            raise WeightsError(
                f"no weights for {layer.where}",
                where=self.source,
                remedy=self._hint(layer, "is it another net's file?"),
            )
        if index >= len(stored):
            raise WeightsError(
                f"missing; the file holds {len(stored)} blob(s) for this layer",
                where=where,
                remedy=f"expected one of shape {shape}; compare the prototxt with the one it was trained with",
            )
        return weight_files.fit(np.asarray(stored[index]), shape, where=where)

    def _hint(self, layer: Layer, otherwise: str) -> str:
        close = nearest_names(layer.name, self.blobs)
        return f'the nearest layer in it is "{close[0]}"; {otherwise}' if close else otherwise


class Synthetic:
    """Reproducible random weights for testing without the real ones; see `weights.synthetic`."""

    def __init__(self) -> None:
        self._shapes: dict[str, list[tuple[int, ...]]] = {}
        self._made: dict[tuple[str, str, tuple[tuple[int, ...], ...]], list[np.ndarray]] = {}

    def count(self, layer: Layer) -> int | None:
        return None

    def get(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        if math.prod(shape) > (most := get_limits().invented_elements):
            problem = f"blob {index} would hold {math.prod(shape):,} invented weights, the limit is {most:,}"
            raise WeightsError(problem, where=layer.where, remedy=raise_hint("invented_elements"))
        shapes = self._shapes.setdefault(layer.name, [])
        if index == len(shapes):
            shapes.append(shape)
        shapes[index] = shape
        key = (layer.name, layer.type, tuple(shapes))
        if key not in self._made:
            # A layer asks for its blobs in order and each draws from one stream, so earlier ones do not change.
            self._made[key] = weight_files.synthetic(layer.name, layer.type, shapes)
        return self._made[key][index]


class ShapesOnly:
    """Zeros of the right shape that take no memory: enough to derive shapes and count operations."""

    def count(self, layer: Layer) -> int | None:
        return None

    def get(self, layer: Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        return np.broadcast_to(np.float32(0), shape)


def blob_source(weights: WeightsLike) -> BlobSource:
    """A path, a mapping of layer names to arrays, or a `BlobSource`, as a `BlobSource`."""
    if isinstance(weights, (str, os.PathLike)):
        return FileBlobs(weight_files.read(weights))
    if isinstance(weights, Mapping):
        return FileBlobs(weights)
    if not isinstance(weights, BlobSource):
        remedy = "give the path of a caffemodel, a mapping of layer names to arrays, or converters.Synthetic()"
        raise WeightsError(f"{type(weights).__name__} does not hold weights", remedy=remedy)
    return weights
