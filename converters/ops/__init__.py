"""The primitives in terms of which every Caffe layer is written.

Each method states its shape rule and records one node; `to_onnx`, `to_torch` and `to_numpy` each hold one translation
per primitive. A layer that can be said with these needs no code in any backend.

>>> from converters.graph.graph import Graph
>>> ops = Ops(Graph("example"))
>>> x = ops.input("data", (2, 3, 8, 8))
>>> ops.max_pool(x, kernel=(2, 2), strides=(2, 2), pads=((0, 0), (0, 0))).shape
(2, 3, 4, 4)
"""

from __future__ import annotations

from converters.ops.core import ShapeMismatch
from converters.ops.elementwise import Elementwise
from converters.ops.selection import Selection
from converters.ops.shaping import Shaping
from converters.ops.windows import Windows

__all__ = ["Ops", "ShapeMismatch"]


class Ops(Elementwise, Shaping, Windows, Selection):
    """All primitives."""
