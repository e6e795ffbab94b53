"""A layer on its way from a file into a net: its message, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Entry", "place"]


def place(source: str, line: int | None, name: str, type_: str) -> str:
    """A layer's place for messages.

    >>> place("deploy.prototxt", 12, "conv1", "Convolution")
    'deploy.prototxt:12: layer "conv1" (Convolution)'
    """
    file = f"{source}:{line}" if source and line is not None else source
    return f'{file}: layer "{name}" ({type_})' if file else f'layer "{name}" ({type_})'


@dataclass(frozen=True, eq=False)
class Entry:
    """A layer before the net is wired.

    Attributes:
        message: the LayerParameter in today's format.
        line: of the layer in the text, or None.
        origin: its index among the layers of the file, None for one that was made here.
        where: its place, for errors.
    """

    message: Any
    line: int | None
    origin: int | None
    where: str
