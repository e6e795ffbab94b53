"""Lines of Python in the form that `ruff format` leaves as it is, at its default width and at wider ones."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, TypeAlias

import torch

__all__ = ["WIDTH", "Part", "call", "docstring", "items", "joined", "literal", "text"]

WIDTH = 88


Part: TypeAlias = "str | list[str]"
"""One argument: an expression, or the expressions in a list."""


def items(head: str, parts: Sequence[Part], tail: str, indent: int) -> list[str]:
    """`head`, the parts joined by commas and `tail` on one line, or one part a line where they do not fit.

    >>> items("torch.cat(", [["a", "b"], "dim=1"], ")", 4)
    ['    torch.cat([a, b], dim=1)']
    """
    pad = " " * indent
    line = f"{pad}{head}{', '.join(map(joined, parts))}{tail}"
    if len(line) <= WIDTH or not parts:
        return [line]
    lines = [f"{pad}{head}"]
    for part in parts:
        if isinstance(part, list):
            lines += items("[", list(part), "],", indent + 4)
        else:
            lines.append(f"{pad}    {part},")
    return [*lines, f"{pad}{tail}"]


def joined(part: Part) -> str:
    """A part on one line."""
    return part if isinstance(part, str) else f"[{', '.join(part)}]"


def call(head: str, arguments: Sequence[str], indent: int) -> list[str]:
    """A call, `head` being all before its parenthesis."""
    return items(f"{head}(", arguments, ")", indent)


def literal(value: Any) -> str:
    """A constant as Python source; infinities and torch's dtypes included.

    >>> literal((1, float("-inf"))), literal(torch.int64), literal("a")
    ('(1, float("-inf"))', 'torch.int64', '"a"')
    """
    if isinstance(value, tuple):
        return f"({', '.join(map(literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return f'float("{value}")'
    if isinstance(value, str):
        return text(value)
    return f'torch.device("{value}")' if isinstance(value, torch.device) else repr(value)


def text(value: str) -> str:
    """A string in the quotes that ruff prefers, whatever is in it.

    >>> text("plain")
    '"plain"'
    """
    if '"' not in value and value.isprintable() and "\\" not in value:
        return f'"{value}"'
    # (Not JSON's spelling, which writes what lies beyond 16 bits as two halves: Python would read two characters.)
    return repr(value) if '"' in value else f'{repr(value + chr(39))[:-2]}"'


def docstring(paragraphs: Sequence[str], indent: int = 0) -> list[str]:
    """A docstring of these paragraphs, wrapped; nothing in them can end it early."""
    pad = " " * indent
    safe = ["".join(c if c.isprintable() else " " for c in each) for each in paragraphs]
    safe = [each.replace("\\", "/").replace('"', "'") for each in safe]
    room = WIDTH - indent - (3 if len(safe) == 1 else 0)
    first, *rest = textwrap.wrap(f'"""{safe[0]}', room, break_long_words=False, break_on_hyphens=False)
    if not rest and len(safe) == 1:
        return [f'{pad}{first}"""']
    lines = [pad + first, *(pad + line for line in rest)]
    for each in safe[1:]:
        wrapped = textwrap.wrap(each, WIDTH - indent, break_long_words=False, break_on_hyphens=False)
        lines += ["", *(pad + line for line in wrapped)]
    return [*lines, f'{pad}"""']
