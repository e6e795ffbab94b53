"""The proof of a conversion: onnxruntime and torch against the NumPy evaluation, on a random input."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from camcompat.cam.session import CAM_OUTPUTS, ORT_ERRORS, open_session
from prototxt.errors import ConversionError

if TYPE_CHECKING:
    from converters import Lowered
    from converters.cam.head import CamHead
    from converters.graph.graph import Graph, Value

__all__ = ["Proof"]

TOLERANCE = 1e-5  # of a blob's maximum: three implementations, each with its own float32 noise (CAFFE.md)
SCALES = (50.0, 5.0, 0.5)  # of the input: a picture's, then smaller ones if the first drives a softmax to 0 and 1
FEATURES = "the features of the CAM"

Arrays = Mapping[str, np.ndarray]


class Proof:
    """The NumPy evaluation of a lowered net, which the other forms must reproduce.

    Args:
        lowered: the net.
        head: its CAM head, if its outputs are in the ONNX file.

    Attributes:
        figures: what the last `of_onnx` or `of_torch` measured, as plain data for the file; empty where it could not.
    """

    def __init__(self, lowered: Lowered, head: CamHead | None = None) -> None:
        self.lowered, self.graph, self.head = lowered, lowered.graph, head
        self.feeds: dict[str, np.ndarray] = {}
        self.expected: dict[str, np.ndarray] = {}
        self.skipped = ""
        self.figures: dict[str, Any] = {}
        self.scales = list(SCALES)
        try:
            while not self._evaluate() and len(self.scales) > 1:
                self.scales.pop(0)
        except IndexError:  # labels that a random input does not hold
            self.skipped = "not checked: its inputs are indices, which a random input cannot be"

    def _evaluate(self) -> bool:
        """Whether an input of the present scale tells something: no float32 overflows, no softmax hides the rest."""
        from converters.numpy_backend.net import NumpyNet

        rng, scale = np.random.default_rng(0), self.scales[0]
        for x in self.graph.inputs:
            shape = [dim if isinstance(dim, int) else 1 for dim in x.shape]
            self.feeds[x.name] = (rng.standard_normal(shape) * scale).astype(np.float32)
            if len(shape) == 2 and shape[1] == 5:  # Caffe's form of regions: image, x1, y1, x2, y2
                corners = np.sort(rng.uniform(0, 4 * scale, (shape[0], 2, 2)), axis=1).reshape(-1, 4)
                self.feeds[x.name] = np.insert(corners, 0, 0, axis=1).astype(np.float32)
        features = {FEATURES: self.head.features} if self.head else {}
        net = NumpyNet(self.graph.pruned({**self.graph.outputs, **features}))
        self.expected = net.run(self.feeds)
        return not net.overflowed and not self._saturated()

    def _saturated(self) -> bool:
        """Whether every output is a softmax of plain 0 and 1, which would hide any difference before it."""
        ends = [name for name, x in self.graph.outputs.items() if x.producer is not None and x.producer.op == "softmax"]
        sharp = [name for name in ends if np.abs(self.expected[name] - 0.5).min(initial=0.5) > 0.5 - 1e-6]
        return bool(ends) and len(sharp) == len(self.graph.outputs)

    def of_onnx(self, path: Path) -> str:
        """How an ONNX file compares, in words; raises ConversionError where it does not."""
        self.figures = {"result": self.skipped} if self.skipped else {}

        def difference() -> float:
            results = self._onnx(path)
            own = {name: x for name, x in results.items() if name not in CAM_OUTPUTS}
            worst = self._difference("onnxruntime", own)
            return max(worst, self._cam_difference(self.head, results)) if self.head else worst

        if self.skipped:
            open_session(path)
        return self.skipped or self._words("onnxruntime", onnxruntime.__version__, self._at_some_scale(difference))

    def of_torch(self, module: Any) -> str:
        """How a PyTorch module compares, in words; raises ConversionError where it does not."""
        import torch

        self.figures = {"result": self.skipped} if self.skipped else {}

        def difference() -> float:
            return self._difference("torch", self._torch(module, self.graph))

        return self.skipped or self._words("torch", torch.__version__, self._at_some_scale(difference))

    def _at_some_scale(self, difference: Callable[[], float]) -> float:
        """The difference at the first scale where there is agreement; what is wrong is wrong at all of them.

        Noise of a picture's scale can drive a small net where float32 kernels lose digits (a sigmoid of -30, a sequence
        marker of 50).
        """
        try:
            return difference()
        except ConversionError:
            if len(self.scales) == 1:
                raise
            self.scales.pop(0)
            self._evaluate()
            return self._at_some_scale(difference)

    def _onnx(self, path: Path) -> dict[str, np.ndarray]:
        session = open_session(path)
        names = [x.name for x in session.get_outputs()]
        try:
            return dict(zip(names, session.run(names, self.feeds)))
        except ORT_ERRORS as error:
            raise ConversionError(f"onnxruntime cannot run the result: {error}", where=path.name) from error

    def _torch(self, module: Any, graph: Graph) -> dict[str, np.ndarray]:
        import torch

        with torch.no_grad():
            results = module(*(torch.from_numpy(x) for x in self.feeds.values()))
        if not isinstance(results, dict):
            results = {next(iter(graph.outputs)): results}
        return {name: x.detach().numpy() for name, x in results.items()}

    def _difference(self, backend: str, results: Arrays) -> float:
        """The largest difference; infinite where only selections differ, everything before them being equal."""
        wrong = {name: _compare(ours, self.expected[name]) for name, ours in results.items()}
        name = max(wrong, key=lambda blob: wrong[blob])
        if wrong[name] <= TOLERANCE:
            return wrong[name]
        from converters.numpy_backend.net import NumpyNet

        before = _before_selections(self.graph)
        if not before:
            raise self._disagreement(backend, name, wrong[name])
        graph = self.graph.pruned(before)
        expected = NumpyNet(graph).run(self.feeds)
        for blob, ours in self._again(backend, graph).items():
            difference = _compare(ours, expected[blob])
            if difference > TOLERANCE:
                raise self._disagreement(backend, blob, difference)
        return float("inf")

    def _again(self, backend: str, graph: Graph) -> dict[str, np.ndarray]:
        """Other blobs of the same net as a backend computes them."""
        lowered = replace(self.lowered, graph=graph)
        if backend == "torch":
            from converters.torch_backend.module import torch_module

            return self._torch(torch_module(lowered), graph)
        from converters.onnx_backend.file import onnx_model

        with tempfile.TemporaryDirectory() as folder:
            return self._onnx(onnx_model(lowered).save(Path(folder) / "before.onnx"))

    def _cam_difference(self, head: CamHead, results: Arrays) -> float:
        """The CAM outputs against features · classifier weights, for the classes that the file ranks first."""
        from converters.cam.head import class_maps

        name = next(name for name, x in self.graph.outputs.items() if x is head.prob)
        prob = self.expected[name].reshape(-1, head.classes)
        classes, features = results["classes"], self.expected[FEATURES]
        ranked = -np.sort(-prob, axis=1)[:, : classes.shape[1]]
        expected = {"scores": np.take_along_axis(prob, classes, 1), "cams": class_maps(head, features, classes)}
        wrong = {blob: _compare(results[blob], exact) for blob, exact in expected.items()}
        wrong["classes"] = _compare(results["scores"], ranked)
        blob = max(wrong, key=lambda each: wrong[each])
        if wrong[blob] > TOLERANCE:
            raise self._disagreement("onnxruntime", blob, wrong[blob])
        return wrong[blob]

    def _words(self, backend: str, version: str, worst: float) -> str:
        self.figures = {
            "against": f"float64, NumPy {np.__version__}",
            "by": f"{backend} {version}",
            "input": f"noise of scale {self.scales[0]:g}",
            "largest_difference": float(f"{worst:.1e}") if np.isfinite(worst) else "selections",
            "tolerance": TOLERANCE,
        }
        scale = f", input of scale {self.scales[0]:g}" if self.scales[0] != SCALES[0] else ""
        if np.isinf(worst):
            return f"{backend} = numpy up to its selections, of which rounding decides some differently{scale}"
        return f"{backend} = numpy within {worst:.0e}{scale}"

    def _disagreement(self, backend: str, blob: str, difference: float) -> ConversionError:
        message = f"{backend} and numpy disagree on blob {blob} by {difference:.1e} of its maximum; nothing was written"
        return ConversionError(
            message, where=self.graph.name, remedy="this is a bug: please report it with the prototxt"
        )


def _compare(ours: np.ndarray, exact: np.ndarray) -> float:
    """The largest difference as a share of the largest magnitude; infinite where shapes, NaN or infinities differ."""
    if ours.shape != exact.shape:
        return float("inf")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite there
        single = exact.astype(np.float32)
    finite = np.isfinite(single)
    if not np.array_equal(ours[~finite].astype(np.float32), single[~finite], equal_nan=True):
        return float("inf")
    if not np.isfinite(ours[finite]).all():
        return float("inf")
    scale = np.abs(exact[finite]).max(initial=0.0) or 1.0
    return float(np.abs(ours[finite] - exact[finite]).max(initial=0.0) / scale)


def _before_selections(graph: Graph) -> dict[str, Value]:
    """What goes into primitives that select, and into those behind them, without having passed a selection."""
    from converters.ops import is_discrete

    selected: set[int] = set()
    inputs = {id(x) for x in graph.inputs}
    before: dict[str, Value] = {}
    for node in graph.nodes:
        operands = [x for x in node.inputs if x is not None and not x.is_constant]
        if not is_discrete(node) and not any(id(x) in selected for x in operands):
            continue
        selected.update(id(x) for x in node.outputs)
        for x in operands:
            if id(x) not in selected | inputs and not any(x is known for known in before.values()):
                before[x.name if x.name else f"operand {len(before)} of {node.op} in {node.layer}"] = x
    return before
