"""A stand-in for pycaffe's inference side: scripts written for Caffe's Python interface run without Caffe.

>>> import camcompat.pycaffe as caffe
>>> caffe.TEST, caffe.io.Transformer({"data": (1, 3, 8, 8)}).inputs
(1, {'data': (1, 3, 8, 8)})

``camcompat run script.py`` provides it as `caffe` to a script that is not to be changed. docs/pycaffe.md lists all of
pycaffe's interface: what is offered, what differs, and what is not offered and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

SUBMODULES = (
    "classifier", "detector", "draw", "io", "net_spec", "proto", "proto.caffe_pb2", "pycaffe",
)  # fmt: skip
"""What pycaffe's users import: ``import caffe.io``, ``from caffe.proto import caffe_pb2``."""

__version__ = "1.0.0"  # the Caffe whose interface this is

_HOMES = {
    "camcompat.pycaffe.arguments": "TEST TRAIN",
    "camcompat.pycaffe.classifier": "Classifier",
    "camcompat.pycaffe.detector": "Detector",
    "camcompat.pycaffe.engine.blob": "Blob BlobVec",
    "camcompat.pycaffe.errors": "CaffeError",
    "camcompat.pycaffe.modes": (
        "Timer backend has_nccl init_log layer_type_list log set_backend set_device set_mode_cpu set_mode_gpu "
        "set_multiprocess set_random_seed set_solver_count set_solver_rank solver_count solver_rank"
    ),
    "camcompat.pycaffe.net_spec": "NetSpec layers params to_proto",
    "camcompat.pycaffe.pycaffe": "Net",
    "camcompat.pycaffe.solvers": (
        "AdaDeltaSolver AdaGradSolver AdamSolver Layer NCCL NesterovSolver RMSPropSolver SGDSolver get_solver"
    ),
}

if TYPE_CHECKING:
    from camcompat.pycaffe import (
        classifier as classifier,
        detector as detector,
        draw as draw,
        io as io,
        net_spec as net_spec,
        proto as proto,
        pycaffe as pycaffe,
    )
    from camcompat.pycaffe.arguments import TEST as TEST, TRAIN as TRAIN
    from camcompat.pycaffe.classifier import Classifier as Classifier
    from camcompat.pycaffe.detector import Detector as Detector
    from camcompat.pycaffe.engine.blob import Blob as Blob, BlobVec as BlobVec
    from camcompat.pycaffe.errors import CaffeError as CaffeError
    from camcompat.pycaffe.modes import (
        Timer as Timer,
        backend as backend,
        has_nccl as has_nccl,
        init_log as init_log,
        layer_type_list as layer_type_list,
        log as log,
        set_backend as set_backend,
        set_device as set_device,
        set_mode_cpu as set_mode_cpu,
        set_mode_gpu as set_mode_gpu,
        set_multiprocess as set_multiprocess,
        set_random_seed as set_random_seed,
        set_solver_count as set_solver_count,
        set_solver_rank as set_solver_rank,
        solver_count as solver_count,
        solver_rank as solver_rank,
    )
    from camcompat.pycaffe.net_spec import NetSpec as NetSpec, layers as layers, params as params, to_proto as to_proto
    from camcompat.pycaffe.pycaffe import Net as Net
    from camcompat.pycaffe.solvers import (
        NCCL as NCCL,
        AdaDeltaSolver as AdaDeltaSolver,
        AdaGradSolver as AdaGradSolver,
        AdamSolver as AdamSolver,
        Layer as Layer,
        NesterovSolver as NesterovSolver,
        RMSPropSolver as RMSPropSolver,
        SGDSolver as SGDSolver,
        get_solver as get_solver,
    )
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES, SUBMODULES)
