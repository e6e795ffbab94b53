"""Layers without a bottom: DummyData and Parameter. (Input is no layer here: it makes the graph's inputs.)"""

from __future__ import annotations

import math

import numpy as np

from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops


@layer("Parameter", bottoms=0)
def parameter(ops: Ops, view: LayerView) -> Value:
    """a learned blob as a top (Caffe: parameter_layer.hpp)"""
    return view.blob(0, tuple(int(dim) for dim in view.params("parameter_param").shape.dim), "parameter")


@layer("DummyData", bottoms=0, tops=(1, None))
def dummy_data(ops: Ops, view: LayerView) -> list[Value]:
    """constant blobs; a random filler is refused, for no two runs would agree (Caffe: dummy_data_layer.cpp)"""
    p, count = view.params("dummy_data_param"), len(view.tops)
    fillers = _each(view, "data_filler", p.data_filler, count) if p.data_filler else [None] * count
    tops = []
    for shape, filler in zip(_shapes(view, p, count), fillers):
        if filler is not None and filler.type != "constant":
            raise view.error(f'data_filler type "{filler.type}" draws numbers', 'use "constant", or an Input layer')
        value = 0.0 if filler is None else filler.value
        view.constant(math.prod(shape))
        # A constant of the graph where nothing else says on which device and in which precision it runs.
        tops.append(ops.zeros(shape, value) if ops.graph.inputs else ops.const(np.full(shape, value, np.float32)))
    return tops


def _each(view: LayerView, name: str, values: tuple[Params, ...], count: int) -> list[Params]:
    """One for each top, given once for all or once for each."""
    if len(values) not in (1, count):
        raise view.error(f"{name} is given {len(values)} times for {count} top(s)", "give it once, or once for each")
    return list(values) * count if len(values) == 1 else list(values)


def _shapes(view: LayerView, p: Params, count: int) -> list[tuple[int, ...]]:
    legacy = {name: getattr(p, name) for name in ("num", "channels", "height", "width")}
    if not any(legacy.values()):
        return [tuple(int(dim) for dim in shape.dim) for shape in _each(view, "shape", p.shape, count)]
    if p.shape:
        raise view.error("shape and num, channels, height, width are both given", "remove one of them")
    return list(zip(*(_each(view, name, sizes, count) for name, sizes in legacy.items())))
