"""`caffe.draw`: a net as a graph, in Graphviz's language (after pycaffe's draw.py; no pydot)."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from camcompat.pycaffe.errors import CaffeError
from prototxt.wiring import included
from weights.atomic import replacing

__all__ = ["Graph", "draw_net", "draw_net_to_file", "get_pydot_graph"]

_BLOB = 'shape=octagon, style=filled, fillcolor="#E0E0E0"'
_COLOURS = {"Convolution": "#FF5050", "Deconvolution": "#FF5050", "Pooling": "#FF9900", "InnerProduct": "#CC33FF"}


class Graph:
    """A graph in Graphviz's language: `to_string`, `create` (needs the program `dot`), `write`."""

    def __init__(self, name: str, rankdir: str) -> None:
        self._lines = [f"digraph {_quoted(name)} {{", f"rankdir={_quoted(rankdir)};", "node [shape=box];"]

    def add(self, line: str) -> None:
        """Append a statement."""
        self._lines.append(f"{line};")

    def to_string(self) -> str:
        """The text."""
        return "\n".join([*self._lines, "}", ""])

    def create(self, format: str = "svg") -> bytes:
        """The picture, as Graphviz draws it.

        Raises:
            CaffeError: the program `dot` is not installed, or it refuses.
        """
        if format in ("dot", "raw", "gv"):
            return self.to_string().encode()
        program = shutil.which("dot")
        if program is None:
            remedy = "install Graphviz, or write a .dot file"
            raise CaffeError(f"a picture ({format}) needs the program dot, which is not installed", remedy=remedy)
        done = subprocess.run(
            [program, f"-T{format}"], input=self.to_string().encode(), capture_output=True, check=False
        )
        if done.returncode:
            raise CaffeError(f"dot: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout

    def write(self, path: str | os.PathLike[str], format: str = "") -> None:
        """Write the picture; the format is the ending's."""
        data = self.create(format or Path(path).suffix[1:] or "dot")
        with replacing(path) as temporary:
            temporary.write_bytes(data)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _label(layer: Any) -> str:
    label = f"{layer.name}\n({layer.type})"
    for field in ("convolution_param", "pooling_param"):
        if layer.HasField(field):
            p = getattr(layer, field)
            values = {"kernel": p.kernel_size, "stride": p.stride, "pad": p.pad}
            for name, value in values.items():
                numbers = list(value) if hasattr(value, "__iter__") else [value]
                label += f"\n{name}: {' '.join(map(str, numbers))}" if any(numbers) else ""
    return label


def _edge_label(layer: Any) -> str:
    for field in ("convolution_param", "inner_product_param"):
        if layer.HasField(field):
            return str(getattr(layer, field).num_output)
    return ""


def get_pydot_graph(caffe_net: Any, rankdir: str = "LR", label_edges: bool = True, phase: int | None = None) -> Graph:
    """A NetParameter as a `Graph`: layers are boxes, blobs octagons; in-place layers hang on their blob.

    Args:
        caffe_net: the message; in today's format.
        rankdir: "LR", "TB", "RL" or "BT".
        label_edges: write the number of outputs at convolutions and inner products.
        phase: only the layers of `caffe.TRAIN` or `caffe.TEST`.
    """
    if len(caffe_net.layers) and not len(caffe_net.layer):
        raise CaffeError("the net is in Caffe's old format", remedy="prototxt.load(path).message is the upgraded one")
    graph = Graph(caffe_net.name or "Net", rankdir)
    state = type(caffe_net)().state
    state.CopyFrom(caffe_net.state)
    if phase is not None:
        state.phase = phase
    for name in caffe_net.input:
        graph.add(f"{_quoted(name + '_blob')} [label={_quoted(name)}, {_BLOB}]")
    for index, layer in enumerate(caffe_net.layer):
        if phase is not None and not included(layer, state, layer.name):
            continue
        node = _quoted(f"{layer.name}_{layer.type}_{index}")
        colour = _COLOURS.get(layer.type, "#6495ED")
        graph.add(f'{node} [label={_quoted(_label(layer))}, style=filled, fillcolor="{colour}"]')
        for bottom in layer.bottom:
            graph.add(f"{_quoted(bottom + '_blob')} -> {node}")
        for top in layer.top:
            blob = _quoted(top + "_blob")
            graph.add(f"{blob} [label={_quoted(top)}, {_BLOB}]")
            text = _edge_label(layer) if label_edges else ""
            graph.add(f"{node} -> {blob}" + (f" [label={_quoted(text)}]" if text else ""))
    return graph


def draw_net(caffe_net: Any, rankdir: str, ext: str = "png", phase: int | None = None) -> bytes:
    """A NetParameter as a picture (`ext`: "svg", "png", …, or "dot" for the text)."""
    return get_pydot_graph(caffe_net, rankdir, phase=phase).create(ext)


def draw_net_to_file(
    caffe_net: Any, filename: str | os.PathLike[str], rankdir: str = "LR", phase: int | None = None
) -> None:
    """Write a NetParameter as a picture; the file's ending says in which format."""
    get_pydot_graph(caffe_net, rankdir, phase=phase).write(filename)
