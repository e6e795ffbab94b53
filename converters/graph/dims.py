"""Dimensions of a tensor: plain integers, or symbols such as the batch size ``N``.

A symbolic dimension is a monomial: a whole factor times symbols (``N``, ``3*N``, ``N*R``). Only exact arithmetic is
allowed on it; whatever needs its value raises `SymbolicError`, and the net is then lowered at its declared batch size.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import TypeAlias

__all__ = [
    "Dim",
    "Shape",
    "Sym",
    "SymbolicError",
    "at_one",
    "divide",
    "fixed",
    "numel",
    "numel_at_one",
    "same",
    "static",
]


class SymbolicError(Exception):
    """An exact integer was needed where the net only knows a symbol."""


@dataclass(frozen=True)
class Sym:
    """``factor * symbols[0] * symbols[1] …``

    >>> Sym.of("N") * 3
    3*N
    >>> divide(Sym.of("N") * 6, 2)
    3*N
    """

    factor: int
    symbols: tuple[str, ...]

    @staticmethod
    def of(name: str) -> Sym:
        return Sym(1, (name,))

    def __mul__(self, other: Dim) -> Dim:
        if isinstance(other, Sym):
            return Sym(self.factor * other.factor, tuple(sorted(self.symbols + other.symbols)))
        return Sym(self.factor * other, self.symbols) if other else 0

    __rmul__ = __mul__

    def __add__(self, other: Dim) -> Dim:
        if isinstance(other, Sym) and other.symbols == self.symbols:
            return Sym(self.factor + other.factor, self.symbols)
        if other == 0:
            return self
        raise SymbolicError(f"the sum {self} + {other} has no closed form")

    __radd__ = __add__

    def __str__(self) -> str:
        text = "*".join(self.symbols)
        return text if self.factor == 1 else f"{self.factor}*{text}"

    __repr__ = __str__


Dim: TypeAlias = "int | Sym"
Shape: TypeAlias = "tuple[Dim, ...]"


def numel(shape: Iterable[Dim]) -> Dim:
    """The number of elements of a shape.

    >>> numel((Sym.of("N"), 2, 3))
    6*N
    """
    total: Dim = 1
    for dim in shape:
        total = total * dim
    return total


def at_one(shape: Iterable[Dim]) -> tuple[int, ...]:
    """A shape where every symbol is 1: that of a single image.

    >>> at_one((Sym.of("N") * 6, 2))
    (6, 2)
    """
    return tuple(dim.factor if isinstance(dim, Sym) else dim for dim in shape)


def numel_at_one(shape: Iterable[Dim]) -> int:
    """The number of elements where every symbol is 1."""
    return prod(at_one(shape))


def divide(a: Dim, b: Dim) -> Dim:
    """``a / b`` if that is exact; `SymbolicError` where a symbol prevents it, `ValueError` where numbers do."""
    if not isinstance(a, Sym) and not isinstance(b, Sym):
        if b == 0 or a % b:
            raise ValueError(f"{a} is not a multiple of {b}")
        return a // b
    top, bottom = _parts(a), _parts(b)
    left = list(top[1])
    for symbol in bottom[1]:
        if symbol not in left:
            raise SymbolicError(f"{a} cannot be divided by {b}")
        left.remove(symbol)
    if bottom[0] == 0 or top[0] % bottom[0]:
        raise SymbolicError(f"{a} cannot be divided by {b}")
    factor = top[0] // bottom[0]
    return Sym(factor, tuple(left)) if left else factor


def _parts(dim: Dim) -> tuple[int, tuple[str, ...]]:
    return (dim.factor, dim.symbols) if isinstance(dim, Sym) else (dim, ())


def static(dim: Dim, why: str = "its value is needed") -> int:
    """The dimension as an integer; `SymbolicError` for a symbol."""
    if isinstance(dim, Sym):
        raise SymbolicError(f"{why}, but it is {dim}")
    return dim


def fixed(shape: Iterable[Dim]) -> tuple[int, ...]:
    """A shape without symbols; `SymbolicError` where there is one."""
    return tuple(static(dim) for dim in shape)


def same(a: Dim, b: Dim) -> bool:
    """Whether two dimensions are surely equal; `SymbolicError` where that depends on a symbol."""
    if a == b:
        return True
    if isinstance(a, Sym) or isinstance(b, Sym):
        raise SymbolicError(f"{a} has to equal {b}")
    return False
