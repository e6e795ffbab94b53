"""A Caffe net as a float64 NumPy evaluation: the independent check where no Caffe is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converters.graph.dims import Dim, Sym
from converters.graph.graph import Graph, Node
from converters.lowering.blobs import WeightsLike
from converters.lowering.build import NetLike, build
from converters.numpy_backend.ops import DTYPES, TRANSLATIONS
from converters.options import Options, Shapes
from prototxt.errors import ConversionError

__all__ = ["NumpyNet", "to_numpy"]


class NumpyNet:
    """Call it with the inputs in net order; it returns an array, or a dict by blob name where there are several."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.overflowed = False  # whether the last run met a number that float32 cannot hold
        self._last_use = {id(value): i for i, node in enumerate(graph.nodes) for value in node.inputs if value}
        # Constants are widened once: a second call costs no conversion.
        self._constants: dict[int, np.ndarray] = {
            id(c): np.asarray(c.data).astype(DTYPES[c.dtype]) for c in graph.constants()
        }

    def __call__(self, *inputs: np.ndarray) -> np.ndarray | dict[str, np.ndarray]:
        if len(inputs) != len(self.graph.inputs):
            wanted = ", ".join(f"{x.name} {_shape_text(x.shape)}" for x in self.graph.inputs)
            raise ConversionError(
                f"the net takes {len(self.graph.inputs)} input(s), {wanted}; {len(inputs)} were given"
            )
        results = self.run({x.name: array for x, array in zip(self.graph.inputs, inputs)})
        return next(iter(results.values())) if len(results) == 1 else results

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Inputs by name → outputs by name, all float64."""
        values = dict(self._constants)
        self.overflowed = False
        sizes: dict[str, tuple[str, int]] = {}
        for x in self.graph.inputs:
            values[id(x)] = array = np.asarray(feeds[x.name], np.float64)
            if len(array.shape) != len(x.shape) or any(
                isinstance(d, int) and d != n for d, n in zip(x.shape, array.shape)
            ):
                raise ConversionError(f"input {x.name} has shape {array.shape}; the net takes {_shape_text(x.shape)}")
            for dim, n in zip(x.shape, array.shape):
                other, size = sizes.setdefault(str(dim), (x.name, n))
                if isinstance(dim, Sym) and size != n:
                    raise ConversionError(f"input {x.name} has {dim} = {n}, and {other} {size}; they must be equal")
        keep = {id(value) for value in self.graph.outputs.values()}
        keep |= {id(symbol.source) for symbol in self.graph.symbols.values()} | set(self._constants)
        for i, node in enumerate(self.graph.nodes):
            self._step(node, values)
            for operand in node.inputs:
                if operand is not None and id(operand) not in keep and self._last_use[id(operand)] == i:
                    values.pop(id(operand), None)  # frees memory early
        return {name: values[id(value)] for name, value in self.graph.outputs.items()}

    def _step(self, node: Node, values: dict[int, np.ndarray]) -> None:
        operands = [None if x is None else values[id(x)] for x in node.inputs]
        attrs = {key: self._resolved(value, values) for key, value in node.attrs.items()}
        with np.errstate(all="ignore"):  # inf and NaN are results here, as in Caffe
            result = TRANSLATIONS[node.op](*operands, **attrs)
        results = result if isinstance(result, tuple) else (result,)
        for value, array in zip(node.outputs, results):
            values[id(value)] = array
            self.overflowed = self.overflowed or _beyond_float32(array)

    def _resolved(self, attribute: object, values: Mapping[int, np.ndarray]) -> object:
        """An attribute with its symbols replaced by the sizes of this call."""
        if isinstance(attribute, tuple):
            return tuple(self._resolved(item, values) for item in attribute)
        if not isinstance(attribute, Sym):
            return attribute
        total = attribute.factor
        for name in attribute.symbols:
            symbol = self.graph.symbols[name]
            total *= values[id(symbol.source)].shape[symbol.axis]
        return total


def _beyond_float32(array: np.ndarray) -> bool:
    if array.dtype.kind != "f" or not array.size or np.abs(array).max() <= np.finfo(np.float32).max:
        return False
    return bool(np.abs(array[np.isfinite(array)]).max(initial=0.0) > np.finfo(np.float32).max)


def _shape_text(shape: Sequence[Dim]) -> str:
    return "x".join(map(str, shape))


def to_numpy(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
) -> NumpyNet:
    """Rebuild a Caffe net as a NumPy evaluation in float64.

    Args:
        prototxt: path of the net's definition, or a `prototxt.Net`; None takes the net inside the caffemodel.
        caffemodel: path of its weights, a mapping of layer names to arrays, or `converters.Synthetic()`.
        outputs: the blobs to return (any blob of the net); by default the net's own outputs.
        input_shapes: input name → another shape than the prototxt declares.
        keep_losses: of a training definition: True keeps losses and labels; see `prototxt.deploy`.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.

    >>> net = to_numpy("deploy.prototxt", "net.caffemodel")          # doctest: +SKIP
    >>> net(np.zeros((1, 3, 224, 224))).shape                        # doctest: +SKIP
    (1, 1000)
    """
    options = Options(outputs=outputs, input_shapes=input_shapes, keep_losses=keep_losses)
    lowered = build(prototxt, caffemodel, options)
    lowered.warn()
    return NumpyNet(lowered.graph)
