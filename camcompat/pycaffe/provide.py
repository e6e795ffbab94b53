"""Runs a script in which `import caffe` finds the stand-in."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from camcompat.pycaffe import SUBMODULES

__all__ = ["provided", "run_script"]


@contextmanager
def provided(name: str = "caffe") -> Iterator[None]:
    """Have ``import caffe``, ``import caffe.io`` and ``from caffe.proto import caffe_pb2`` find the stand-in.

    >>> with provided():
    ...     import caffe
    ...     from caffe.proto import caffe_pb2
    >>> caffe.TEST == caffe_pb2.TEST
    True
    """
    package = import_module(__package__ or "camcompat.pycaffe")
    modules = {name: package, **{f"{name}.{each}": import_module(f"{__package__}.{each}") for each in SUBMODULES}}
    before = {key: module for key, module in sys.modules.items() if key == name or key.startswith(f"{name}.")}
    for key in before:
        del sys.modules[key]
    sys.modules.update(modules)
    try:
        yield
    finally:
        for key in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            del sys.modules[key]
        sys.modules.update(before)


def run_script(path: str, arguments: Sequence[str] = ()) -> None:
    """Run a Python file as ``python path arguments…`` would; inside of `provided`, with the stand-in as `caffe`."""
    argv, first = sys.argv, list(sys.path)
    sys.argv = [path, *arguments]
    sys.path[:1] = [str(Path(path).resolve().parent)]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        sys.argv = argv
        sys.path[:] = first
