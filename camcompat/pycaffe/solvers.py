"""What trains, and what a Python layer is: named, and refused with the reason."""

from __future__ import annotations

from typing import Any

from camcompat.pycaffe.errors import not_offered

__all__ = [
    "NCCL", "AdaDeltaSolver", "AdaGradSolver", "AdamSolver", "Layer", "NesterovSolver", "RMSPropSolver", "SGDSolver",
    "get_solver",
]  # fmt: skip


class SGDSolver:
    """Not offered: the stand-in runs nets and does not train them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        why = "the stand-in runs nets and does not train them"
        remedy = "converters.to_torch(prototxt, caffemodel).train() with a torch.optim optimizer"
        not_offered(f"caffe.{type(self).__name__}", why, remedy)


class NesterovSolver(SGDSolver):
    """Not offered."""


class AdaGradSolver(SGDSolver):
    """Not offered."""


class RMSPropSolver(SGDSolver):
    """Not offered."""


class AdaDeltaSolver(SGDSolver):
    """Not offered."""


class AdamSolver(SGDSolver):
    """Not offered."""


class NCCL:
    """Not offered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        not_offered("caffe.NCCL", "it is for training on several GPUs", "converters.to_torch, and torch.distributed")


class Layer:
    """The base of Python layers: a class may derive from it, but a net does not run it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        why = "a net here runs layers that are written with converters.layer"
        remedy = 'register it as @layer("Python:module.Class") and give the file with --plugin (CONTRIBUTING.md)'
        not_offered(f"the Python layer {type(self).__name__}", why, remedy)


def get_solver(path: str) -> None:
    """Not offered: raises CaffeError."""
    SGDSolver(path)
