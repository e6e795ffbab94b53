"""The primitives in terms of which every Caffe layer is written.

Each method states its shape rule and records one node, and `@primitive` states what else holds of it everywhere;
`to_onnx`, `to_torch` and `to_numpy` each hold one translation per primitive. A layer that can be said with these needs
no code in any backend.

>>> from converters.graph.graph import Graph
>>> ops = Ops(Graph("example"))
>>> x = ops.input("data", (2, 3, 8, 8))
>>> ops.max_pool(x, kernel=(2, 2), strides=(2, 2), pads=((0, 0), (0, 0))).shape
(2, 3, 4, 4)
"""

from __future__ import annotations

from converters.graph.graph import Node
from converters.ops.core import PRIMITIVES, Primitive, ShapeMismatch
from converters.ops.elementwise import Elementwise
from converters.ops.selection import Selection
from converters.ops.shaping import Shaping
from converters.ops.windows import Windows

__all__ = ["PRIMITIVES", "Ops", "Primitive", "ShapeMismatch", "is_discrete", "multiply_adds"]


class Ops(Elementwise, Shaping, Windows, Selection):
    """All primitives."""


def is_discrete(node: Node) -> bool:
    """Whether a rounding of a node's operands can change its results as a whole."""
    return PRIMITIVES[node.op].kind == "discrete"


def multiply_adds(node: Node) -> int:
    """How many a node takes for one image."""
    return PRIMITIVES[node.op].multiply_adds(node)
