"""What a primitive's translation may ask for, whether a module is written or a tape is played."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from converters.graph.dims import Dim
from converters.graph.graph import Graph, Node, Value

__all__ = ["Emitter"]


class Emitter(ABC):
    """Takes calls on operands. What stands for a tensor is the emitter's own affair; numbers stand for themselves.

    Attributes:
        primitives: the graph that is translated.
    """

    primitives: Graph

    def operands(self, node: Node) -> list[Any]:
        """A primitive's operands: tensors, plain numbers for scalars that nobody learned, None for what is left out."""
        found = [self.operand(x) for x in node.inputs]
        if all(x is None or isinstance(x, (int, float)) for x in found):  # torch's functions want a tensor
            return [None if x is None else self.tensor(x) for x in node.inputs]
        return found

    def operand(self, x: Value | None) -> Any:
        """One operand."""
        if x is None or x.data is None or x.data.ndim or x.learned:
            return None if x is None else self.tensor(x)
        number = x.data.item()
        return float(str(x.data)) if isinstance(number, float) else number

    @abstractmethod
    def tensor(self, x: Value | None) -> Any:
        """A value as a tensor."""

    @abstractmethod
    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The result of a function of tensors and numbers."""

    @abstractmethod
    def method(self, name: str, x: Any, *args: Any) -> Any:
        """The result of a tensor's method."""

    @abstractmethod
    def module(
        self, node: Node, module: nn.Module, x: Any, shape: Sequence[int] | None = None, **constants: Value | None
    ) -> Any:
        """The result of a module that holds these constants under these names, reshaped if a shape is given."""

    @abstractmethod
    def shape(self, shape: Sequence[Dim], *, infer: bool = False) -> tuple[Any, ...]:
        """A shape whose symbols are read off tensors; with `infer`, a lone one may be -1."""

    @abstractmethod
    def any_input(self) -> Any:
        """A tensor of the device and the precision that the net computes in."""

    @abstractmethod
    def input_device(self) -> Any:
        """The device."""

    @abstractmethod
    def input_dtype(self) -> Any:
        """The precision."""

    def momentum(self, node: Node) -> float:
        """By how much a batch moves BatchNorm's statistics in training; torch's own, where nothing is trained."""
        return 0.1
