"""Reports as files: JSON for machines, one HTML page for people."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from camcompat.verification.report.findings import Report
from camcompat.verification.report.page import page
from weights.atomic import make_folder, replacing

__all__ = ["write_report"]


def write_report(report: Report, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``<name>.json`` and ``<name>.html`` into a folder, which is created.

    Args:
        report: from `verify`.
        folder: what was there under these names is replaced.

    Returns:
        The two files.

    >>> from tempfile import mkdtemp
    >>> empty = Report("net/1", "nothing", [], {}, [])
    >>> [path.name for path in write_report(empty, mkdtemp())]
    ['net_1.json', 'net_1.html']
    """
    target = Path(folder)
    make_folder(target)
    stem = re.sub(r"[^\w.-]+", "_", report.name).strip("._") or "net"
    texts = {".json": json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n", ".html": page(report)}
    paths = []
    for suffix, text in texts.items():
        path = target / f"{stem}{suffix}"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")
        paths.append(path)
    return paths[0], paths[1]
