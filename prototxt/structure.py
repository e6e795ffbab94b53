"""What a loaded net is: :class:`Layer` and :class:`Net`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from prototxt.errors import PrototxtError, nearest_names
from prototxt.text_format.parser import Unknown
from prototxt.wiring import place

__all__ = ["Layer", "Net"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of a net.

    Attributes:
        name: as written; "" is legal, and two layers may share one.
        type: in today's spelling: ``Convolution``.
        bottoms: versioned blob names (see :class:`Net`).
        tops: versioned blob names.
        message: the LayerParameter in today's format; not to be changed.
        line: of the layer in the text; None where the net did not come from a text.
        source: the file.
        unknown: fields of this layer that the schema lacks or that Caffe drops.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    message: Any = field(repr=False)
    line: int | None
    source: str
    unknown: tuple[Unknown, ...] = ()

    @property
    def where(self) -> str:
        """The layer's place for messages: ``deploy.prototxt:12: layer "conv1" (Convolution)``."""
        return place(self.source, self.line, self.name, self.type)

    @property
    def param_names(self) -> tuple[str, ...]:
        """The names of shared parameters, "" for one that is not shared; as many as ``param`` entries."""
        return tuple(spec.name for spec in self.message.param)


@dataclass(frozen=True, eq=False)
class Net:
    """A network.

    A blob that is written several times (in-place layers) keeps its plain name for its last value; an earlier value is
    called ``<blob>@<layer>`` after the layer that wrote it. An input keeps its plain name even if it is overwritten;
    then every later value is called ``<blob>@<layer>``.

    Attributes:
        name: as written.
        source: the file.
        layers: in order, Input layers included, after the phase rules.
        inputs: shape of each input blob, in net order.
        outputs: the blobs that no layer reads, unused inputs aside, in the order in which they are produced.
        unknown: every field of the file that the schema lacks or that Caffe drops.
        message: the NetParameter in today's format, filtered; its ``state`` is the one that the filter used.
        notes: what :func:`prototxt.deploy` changed and assumed, one sentence each.
        deployed: whether it went through :func:`prototxt.deploy`.
    """

    name: str
    source: str
    layers: tuple[Layer, ...]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    unknown: tuple[Unknown, ...]
    message: Any = field(repr=False)
    notes: tuple[str, ...] = ()
    deployed: bool = False
    _last: Mapping[str, str] = field(repr=False, default_factory=dict)

    def resolve(self, blob: str) -> str:
        """The versioned name of a blob's last value, from the name that the file uses.

        Raises:
            PrototxtError: the net has no such blob.

        >>> from prototxt import loads
        >>> text = 'layer { name: "i" type: "Input" top: "x" input_param { shape { dim: 1 } } }'
        >>> loads(text + 'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }').resolve("x")
        'x@r'
        """
        if blob in self._last:
            return self._last[blob]
        names = {name: None for layer in self.layers for name in layer.tops}
        if blob in names:
            return blob
        near = nearest_names(blob, [*self._last, *names])
        remedy = f'did you mean "{near[0]}"?' if near else f"the outputs are {', '.join(self.outputs[:20])}"
        raise PrototxtError(f'the net has no blob "{blob}"', where=self.source, remedy=remedy)
