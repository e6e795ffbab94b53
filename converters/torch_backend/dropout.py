"""Dropout in a PyTorch module: nothing in eval mode, alive in `train()`.

A lowered net knows no Dropout, because at TEST it is the identity: its top and its bottom are one `Value`. Here the
net's own wiring tells who reads which of the two.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from converters.graph.graph import Graph, Value
from converters.layers.registry import training_of
from prototxt import Layer, Net

__all__ = ["Dropouts"]


class Dropouts:
    """The fx nodes of blobs that have passed a Dropout.

    Args:
        net, graph: the net and what it was lowered to.
        plain: the fx node of a value, Dropout left aside.
        apply: adds a call of a module that belongs to a layer: (layer, module, operand) → its result.
    """

    def __init__(
        self,
        net: Net | None,
        graph: Graph,
        plain: Callable[[Value], fx.Node],
        apply: Callable[[Layer, nn.Module, fx.Node], fx.Node],
    ) -> None:
        self.net, self.graph, self._plain, self._apply = net, graph, plain, apply
        self._layers = net.layers if net is not None else ()
        self._writers = {top: layer for layer in self._layers for top in layer.tops}
        self._active = any(_share(layer) is not None for layer in self._layers)
        self._nodes: dict[str, fx.Node] = {}
        self._reader, self._unread = -1, list[str]()

    def operand(self, index: int, x: Value) -> fx.Node | None:
        """What layer `index` reads where its primitives name the value x; None if no Dropout lies before it."""
        if not self._active or not 0 <= index < len(self._layers):
            return None
        if index != self._reader:
            self._reader, self._unread = index, list(self._layers[index].bottoms)
        names = [name for name in self._layers[index].bottoms if self.graph.blobs.get(name) is x]
        if not any(map(self._dropped, names)):
            return None
        # A layer may read a blob both before and after: its primitives take their operands in the order of bottoms.
        name = next((each for each in self._unread if each in names), names[-1])
        if name in self._unread and len(names) > 1:
            self._unread.remove(name)
        return self.blob(name)

    def blob(self, name: str) -> fx.Node:
        """The fx node of a blob."""
        if not self._dropped(name):
            return self._plain(self.graph.blobs[name])
        if name not in self._nodes:
            layer, source = self._writers[name], self._source(name)
            below = self.blob(source) if source else self._plain(self.graph.blobs[name])
            share = _share(layer)
            if share is not None:
                below = self._apply(layer, nn.Dropout(share), below)
            self._nodes[name] = below
        return self._nodes[name]

    def made(self, name: str) -> fx.Node | None:
        """The fx node of a blob that has passed a Dropout, if anything reads it."""
        return self._nodes.get(name)

    def _source(self, name: str) -> str:
        """The bottom that a layer passed on unchanged as this top, or ""."""
        value, layer = self.graph.blobs.get(name), self._writers.get(name)
        if value is None or layer is None or value.is_constant:
            return ""
        return next((bottom for bottom in layer.bottoms if self.graph.blobs.get(bottom) is value), "")

    def _dropped(self, name: str) -> bool:
        while name and name in self._writers:
            if _share(self._writers[name]) is not None:
                return True
            name = self._source(name)
        return False


def _share(layer: Layer) -> float | None:
    """Of the values that a layer draws to be zero in training, if it draws."""
    rule = training_of(layer)
    return None if rule is None else rule.dropped
