"""Does a weight file belong to a net? Caffe's shape rule for one blob, and the names of the layers.

Source: ``Blob::ShapeEquals``, ``Net::CopyTrainedLayersFrom`` of BVLC Caffe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Protocol

import numpy as np

from prototxt.errors import WeightsError

__all__ = ["Match", "fit", "match", "to_float32"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class _Net(Protocol):
    """All that is needed of a ``prototxt.Net``."""

    @property
    def layers(self) -> Sequence[_Named]: ...


class _Weights(Protocol):
    """All that is needed of ``weights.Weights``."""

    @property
    def source(self) -> str: ...

    def keys(self) -> Iterable[str]: ...


def _spell(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if shape else "one number"


def to_float32(array: np.ndarray, *, where: str) -> np.ndarray:
    """The array as little-endian float32, itself if it is that already; WeightsError if it cannot hold the values."""
    if array.dtype.kind != "f" or array.dtype.itemsize not in (2, 4, 8):
        remedy = "give float16, float32 or float64"
        raise WeightsError(f"weights of dtype {array.dtype} are not supported", where=where, remedy=remedy)
    if array.dtype.itemsize < 8:
        return array.astype("<f4", copy=False)
    with np.errstate(over="raise"):
        try:
            return array.astype("<f4")
        except FloatingPointError:
            message = "a float64 weight is too large for float32"
            raise WeightsError(message, where=where, remedy="check the file, or scale the layer") from None


def fit(array: np.ndarray, shape: Sequence[int], *, where: str) -> np.ndarray:
    """A stored blob in the shape that a layer wants: float32, a view wherever the file holds float32.

    The stored shape must equal ``shape``, or be four dims (as old files have them) that equal ``shape`` with ones in
    front. Caffe allows the latter only for blobs stored with the legacy fields; equal values are no risk otherwise.

    Args:
        array: the blob as :func:`weights.read` gives it.
        shape: the shape of the layer's parameter.
        where: the layer and blob, for the error.
    Raises: WeightsError if neither holds.
    Source: ``Blob::ShapeEquals``.

    >>> fit(np.zeros((1, 1, 10, 5), np.float16), (10, 5), where='layer "fc" blob 0').shape
    (10, 5)
    """
    wanted = tuple(shape)
    legacy = (1,) * (4 - len(wanted)) + wanted
    if array.shape != wanted and array.shape != legacy:
        message = f"the file stores {_spell(array.shape)}, the net wants {_spell(wanted)}"
        remedy = "are these weights for another net, or is the net edited (num_output, kernel_size, input)?"
        raise WeightsError(message, where=where, remedy=remedy)
    return to_float32(array, where=where).reshape(wanted)


@dataclass(frozen=True)
class Match:
    """How the layers of a net and of a weight file correspond.

    Attributes:
        missing: layers that need blobs and find none in the file, in net order.
        unused: layers with blobs in the file that the net does not have, in file order (Caffe ignores them).
        hints: missing name → the most similar unused name, where one is similar.
        source: the weight file.
    """

    missing: tuple[str, ...]
    unused: tuple[str, ...]
    hints: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def require(self) -> None:
        """Raise a WeightsError naming the missing layers, if there are any."""
        if not self.missing:
            return
        shown = ", ".join(
            f'"{name}" (the file has "{self.hints[name]}")' if name in self.hints else f'"{name}"'
            for name in self.missing[:5]
        )
        more = f" and {len(self.missing) - 5} more" if len(self.missing) > 5 else ""
        count = f"{len(self.missing)} layer{'s' if len(self.missing) > 1 else ''} of the net"
        remedy = "is the file cut short, or are these weights for another net?"
        raise WeightsError(f"it holds no weights for {count}: {shown}{more}", where=self.source, remedy=remedy)


def match(net: _Net, weights: _Weights, *, wanted: Iterable[str]) -> Match:
    """Compare the names of a net's layers with those of a weight file.

    Args:
        net: a ``prototxt.Net``.
        weights: what :func:`weights.read` returned.
        wanted: names of the layers that need blobs (which types do is known to the converters).

    >>> from types import SimpleNamespace
    >>> from weights import Weights
    >>> from weights.caffemodel import Stored
    >>> net = SimpleNamespace(layers=[SimpleNamespace(name="fc8_new")])
    >>> stored = Weights("net.caffemodel", [Stored("fc8", "InnerProduct", [np.zeros(1)])], version="V2")
    >>> report = match(net, stored, wanted=["fc8_new"])
    >>> report.missing, report.unused, dict(report.hints)
    (('fc8_new',), ('fc8',), {'fc8_new': 'fc8'})
    """
    stored = list(weights.keys())
    known, present = {layer.name for layer in net.layers}, set(stored)
    missing = tuple(dict.fromkeys(name for name in wanted if name not in present))
    unused = tuple(name for name in stored if name not in known)
    near = {name: get_close_matches(name, unused, n=1) for name in missing}
    hints = {name: found[0] for name, found in near.items() if found}
    return Match(missing, unused, hints, weights.source)
