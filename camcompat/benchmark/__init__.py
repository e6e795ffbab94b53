"""Speed and memory beside peers in the same run: what `camcompat bench` and `make bench` do."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from camcompat.benchmark.page import as_markdown, print_report
    from camcompat.benchmark.suite import bench

__all__ = ["as_markdown", "bench", "print_report"]

_HOMES = {"as_markdown": "page", "bench": "suite", "print_report": "page"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
