"""Speed and memory beside peers in the same run: what `camcompat bench` and `make bench` do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "camcompat.benchmark.page": "as_markdown print_report",
    "camcompat.benchmark.suite": "bench",
}

if TYPE_CHECKING:
    from camcompat.benchmark.page import as_markdown as as_markdown, print_report as print_report
    from camcompat.benchmark.suite import bench as bench
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
