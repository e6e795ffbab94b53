"""What the figures were measured on."""

from __future__ import annotations

import datetime
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from camcompat.cam.session import allowed_cores

__all__ = ["machine"]

PACKAGES = {
    "camcompat": "camcompat",
    "onnxruntime": "onnxruntime",
    "opencv-python-headless": "OpenCV",
    "opencv-python": "OpenCV",
    "torch": "torch",
    "numpy": "numpy",
}


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, versions of what is compared, and the date.

    >>> sorted(machine())
    ['cores', 'date', 'load', 'processor', 'python', 'system', 'versions']
    """
    versions: dict[str, str] = {}
    for package, name in PACKAGES.items():
        try:
            versions.setdefault(name, metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": allowed_cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    """Its name, and on Linux the widest vector instructions: they decide more than the name."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown"
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    flags = named.get("flags", "").split()
    vectors = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    return f"{named.get('model name', platform.processor())} {vectors}".strip()
