"""A stand-in for pycaffe's inference side: scripts written for Caffe's Python interface run without Caffe.

>>> import camcompat.pycaffe as caffe
>>> caffe.TEST, caffe.io.Transformer({"data": (1, 3, 8, 8)}).inputs
(1, {'data': (1, 3, 8, 8)})

``camcompat run script.py`` provides it as `caffe` to a script that is not to be changed. docs/pycaffe.md lists all of
pycaffe's interface: what is offered, what differs, and what is not offered and why.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "NCCL",
    "TEST",
    "TRAIN",
    "AdaDeltaSolver",
    "AdaGradSolver",
    "AdamSolver",
    "Blob",
    "BlobVec",
    "CaffeError",
    "Classifier",
    "Detector",
    "Layer",
    "NesterovSolver",
    "Net",
    "NetSpec",
    "RMSPropSolver",
    "SGDSolver",
    "Timer",
    "backend",
    "get_solver",
    "has_nccl",
    "init_log",
    "layer_type_list",
    "layers",
    "log",
    "params",
    "set_backend",
    "set_device",
    "set_mode_cpu",
    "set_mode_gpu",
    "set_multiprocess",
    "set_random_seed",
    "set_solver_count",
    "set_solver_rank",
    "solver_count",
    "solver_rank",
    "to_proto",
]

SUBMODULES = (
    "classifier", "detector", "draw", "io", "net_spec", "proto", "proto.caffe_pb2", "pycaffe",
)  # fmt: skip
"""What pycaffe's users import: ``import caffe.io``, ``from caffe.proto import caffe_pb2``."""

_MODULES = {
    "arguments": ("TEST", "TRAIN"),
    "engine.blob": ("Blob", "BlobVec"),
    "classifier": ("Classifier",),
    "detector": ("Detector",),
    "errors": ("CaffeError",),
    "modes": (
        "Timer", "backend", "has_nccl", "init_log", "layer_type_list", "log", "set_backend", "set_device",
        "set_mode_cpu", "set_mode_gpu", "set_multiprocess", "set_random_seed", "set_solver_count", "set_solver_rank",
        "solver_count", "solver_rank",
    ),
    "net_spec": ("NetSpec", "layers", "params", "to_proto"),
    "pycaffe": ("Net",),
    "solvers": (
        "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "Layer", "NCCL", "NesterovSolver", "RMSPropSolver",
        "SGDSolver", "get_solver",
    ),
}  # fmt: skip
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__version__ = "1.0.0"  # the Caffe whose interface this is


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    if name in SUBMODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(name for name in SUBMODULES if "." not in name)})
