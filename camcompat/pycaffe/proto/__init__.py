"""`caffe.proto`: holds `caffe_pb2`."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    if name == "caffe_pb2":  # without an import of its own, as in pycaffe
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
