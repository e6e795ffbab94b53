"""What pycaffe keeps for the whole process: mode, device, seed, logging; and which backend computes."""

from __future__ import annotations

import os
import warnings
from importlib.util import find_spec

import numpy as np

from camcompat.pycaffe.errors import CaffeError

__all__ = [
    "Timer", "backend", "has_nccl", "init_log", "layer_type_list", "log", "random", "set_backend", "set_device",
    "set_mode_cpu", "set_mode_gpu", "set_multiprocess", "set_random_seed", "set_solver_count", "set_solver_rank",
    "solver_count", "solver_rank",
]  # fmt: skip

_BACKENDS = ("torch", "onnx")
_chosen = ""
_random = np.random.RandomState()


def backend() -> str:
    """What computes: "torch" where PyTorch is installed, else "onnx" (onnxruntime).

    `set_backend`, or the environment variable CAMCOMPAT_PYCAFFE, overrides it.
    """
    name = _chosen or os.environ.get("CAMCOMPAT_PYCAFFE", "") or ("torch" if find_spec("torch") else "onnx")
    if name not in _BACKENDS:
        raise CaffeError(f'there is no backend "{name}"', remedy=f"choose from {', '.join(_BACKENDS)}")
    return name


def set_backend(name: str) -> None:
    """Choose what nets made from now on compute with: "torch", "onnx", or "" for the default."""
    global _chosen
    if name and name not in _BACKENDS:
        raise CaffeError(f'there is no backend "{name}"', remedy=f"choose from {', '.join(_BACKENDS)}")
    _chosen = name


def set_mode_cpu() -> None:
    """The only mode there is."""


def set_mode_gpu() -> None:
    """Accepted, with a warning: everything runs on the CPU."""
    warnings.warn("caffe.set_mode_gpu(): the stand-in computes on the CPU; results are the same", stacklevel=2)


def set_device(device: int) -> None:
    """Accepted; there is no device to choose."""


def set_random_seed(seed: int) -> None:
    """Seed what is random here: the fillers of layers without weights, and Dropout in phase TRAIN."""
    _random.seed(seed)


def random() -> np.random.RandomState:
    """The generator that `set_random_seed` seeds."""
    return _random


def set_multiprocess(value: bool) -> None:
    """Accepted; there is no parallel training."""


def solver_count() -> int:
    """1: there is no parallel training."""
    return 1


def set_solver_count(count: int) -> None:
    """Accepted; there is no parallel training."""


def solver_rank() -> int:
    """0: there is no parallel training."""
    return 0


def set_solver_rank(rank: int) -> None:
    """Accepted; there is no parallel training."""


def has_nccl() -> bool:
    """False."""
    return False


def init_log(*arguments: object) -> None:
    """Accepted; nothing is logged as Caffe logs it."""


def log(message: str) -> None:
    """Print a line to standard error."""
    import sys

    print(message, file=sys.stderr)


def layer_type_list() -> list[str]:
    """The names of every layer type that can be run, sorted; layers of your own and aliases included."""
    from converters.layers.registry import layer_types

    return sorted({*layer_types(), "Input"})


class Timer:
    """A stopwatch as pycaffe's: `start`, `stop`, then `ms`."""

    def __init__(self) -> None:
        self.ms = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Begin."""
        from time import perf_counter

        self._started = perf_counter()

    def stop(self) -> None:
        """End; `ms` holds the milliseconds since `start`."""
        from time import perf_counter

        self.ms = (perf_counter() - self._started) * 1000
