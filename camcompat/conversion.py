"""Caffe files in; ONNX, PyTorch and their proof out: what `camcompat convert` does."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.catalogue import description
from prototxt.errors import CamcompatError, ConversionError

if TYPE_CHECKING:
    from converters import Lowered
    from converters.blobs import WeightsLike
    from converters.build import NetLike, Shapes
    from weights.catalog import Model

__all__ = ["FORMATS", "Artefact", "check_structure", "convert", "convert_model"]

FORMATS = ("onnx", "torch")
TOLERANCE = 1e-5  # of a blob's maximum: three implementations, each with its own float32 noise (CAFFE.md)
SCALES = (
    50.0,
    5.0,
    0.5,
)  # of the random input: a picture's, then smaller ones if the first drives a softmax to 0 and 1
DISCRETE = {
    "nms",
    "nonzero",
    "top_k",
    "greater",
    "greater_equal",
    "equal",
    "floor",
    "ceil",
    "sign",
    "max_pool_with_mask",
}


@dataclass(frozen=True)
class Artefact:
    """A file that was written.

    Attributes:
        path: the file.
        what: "ONNX", "PyTorch source" or "weights".
        proof: how it was checked against the NumPy evaluation, in words.
    """

    path: Path
    what: str
    proof: str

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def convert(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    folder: str | os.PathLike[str] = ".",
    *,
    name: str | None = None,
    formats: Sequence[str] = FORMATS,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    cam: bool | None = None,
    top_k: int = 5,
    metadata: Mapping[str, Any] | None = None,
    keep_losses: bool | None = None,
) -> list[Artefact]:
    """Convert a Caffe net and check the results against each other before they reach their names.

    Args:
        prototxt, caffemodel: the net's definition and weights; None as the definition takes the one inside the weights.
        folder: where the files go; it is created.
        name: the files' common name; by default the caffemodel's.
        formats: "onnx" (one .onnx) and "torch" (.py and .safetensors).
        outputs, input_shapes, cam, top_k, metadata, keep_losses: as for `converters.to_onnx`.

    Returns:
        The files written: `name.onnx`, `name.py`, `name.safetensors`.

    Raises:
        CamcompatError: the net cannot be converted, or the results disagree; then nothing is left behind.

    >>> convert("deploy.prototxt", "net.caffemodel", "models")       # doctest: +SKIP
    """
    from converters.build import build

    unknown = [entry for entry in formats if entry not in FORMATS]
    if unknown:
        raise ConversionError(f'there is no format "{unknown[0]}"', remedy=f"choose from {', '.join(FORMATS)}")
    if name is not None and Path(name).name != name:
        raise ConversionError(f'"{name}" is no name for files', remedy="give the folder apart, as --out")
    lowered = build(prototxt, caffemodel, outputs=outputs, input_shapes=input_shapes, keep_losses=keep_losses)
    stem = name or _stem(lowered.net.source, caffemodel)
    target = Path(folder)
    with _staging(target) as stage:
        made = []
        reference = _Reference(lowered)
        if "onnx" in formats:
            from converters.onnx_file import cam_head, onnx_model

            wants_cam = outputs is None if cam is None else cam
            head = cam_head(lowered, required=bool(cam)) if wants_cam else None

            path = onnx_model(lowered, head, top_k=top_k, metadata=metadata).save(stage / f"{stem}.onnx")
            made.append(Artefact(path, "ONNX", reference.check_onnx(path)))
        if "torch" in formats:
            made += _torch(lowered, reference, stage / f"{stem}.py")
        return _publish(stage, target, made)


def _torch(lowered: Lowered, reference: _Reference, path: Path) -> list[Artefact]:
    try:
        from converters.python_source import write_python
        from converters.torch_module import torch_module
    except ImportError as error:
        raise ConversionError(
            f"the PyTorch format needs {error.name or error}", remedy='pip install "camcompat[torch]", or --format onnx'
        ) from error
    module = torch_module(lowered)
    proof = reference.check_torch(module)
    write_python(module, path, source=lowered.net.source)
    return [Artefact(path, "PyTorch source", proof), Artefact(path.with_suffix(".safetensors"), "weights", proof)]


def _stem(source: str, caffemodel: object) -> str:
    named = caffemodel if isinstance(caffemodel, (str, os.PathLike)) else source
    stem = Path(named).name
    for suffix in (".h5", ".caffemodel", ".prototxt"):
        stem = stem.removesuffix(suffix)
    return stem or "net"


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder beside the results: they are renamed into place when all of them are right."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target, prefix=".converting-") as stage:
            yield Path(stage)
    except OSError as error:
        where = str(error.filename or target)
        raise ConversionError(error.strerror or str(error), where=where, remedy="choose another folder") from error


def _publish(stage: Path, target: Path, made: Sequence[Artefact]) -> list[Artefact]:
    for path in stage.iterdir():
        os.replace(path, target / path.name)
    return [Artefact(target / artefact.path.name, artefact.what, artefact.proof) for artefact in made]


class _Reference:
    """The NumPy evaluation of a net on one random input, which the other forms must reproduce."""

    def __init__(self, lowered: Lowered) -> None:
        self.graph = lowered.graph
        self.exact = not any(node.op in DISCRETE for node in self.graph.nodes)
        self.feeds: dict[str, np.ndarray] = {}
        self.expected: dict[str, np.ndarray] = {}
        self.skipped = ""
        try:
            for scale in SCALES:
                self._evaluate(scale)
                if not self._saturated():
                    break
        except IndexError:  # regions or labels that a random input does not hold
            self.skipped = "not checked: its inputs are indices, which a random input cannot be"

    def _evaluate(self, scale: float) -> None:
        from converters.numpy_net import NumpyNet

        rng = np.random.default_rng(0)
        for x in self.graph.inputs:
            shape = [dim if isinstance(dim, int) else 1 for dim in x.shape]
            self.feeds[x.name] = (rng.standard_normal(shape) * scale).astype(np.float32)
        self.expected = NumpyNet(self.graph).run(self.feeds)

    def _saturated(self) -> bool:
        """Whether every softmax output is a plain 0 or 1, which would hide any difference before it."""
        ends = [name for name, x in self.graph.outputs.items() if x.producer is not None and x.producer.op == "softmax"]
        sharp = [name for name in ends if np.abs(self.expected[name] - 0.5).min(initial=0.5) > 0.5 - 1e-6]
        return bool(ends) and len(sharp) == len(self.graph.outputs)

    def check_onnx(self, path: Path) -> str:
        import onnxruntime

        from camcompat.session import open_session

        session = open_session(path)
        if self.skipped:
            return self.skipped
        names = [name for name in self.expected if name in {x.name for x in session.get_outputs()}]
        try:
            results = session.run(names, self.feeds)
        except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
            raise ConversionError(f"onnxruntime cannot run the result: {error}", where=path.name) from error
        return self._compare("onnxruntime", dict(zip(names, results)))

    def check_torch(self, module: Any) -> str:
        import torch

        if self.skipped:
            return self.skipped
        with torch.no_grad():
            results = module(*(torch.from_numpy(x) for x in self.feeds.values()))
        if not isinstance(results, dict):
            results = {next(iter(self.expected)): results}
        return self._compare("torch", {name: x.detach().numpy() for name, x in results.items()})

    def _compare(self, backend: str, results: Mapping[str, np.ndarray]) -> str:
        worst = 0.0
        for name, ours in results.items():
            exact = self.expected[name]
            if ours.shape != exact.shape:
                if not self.exact:
                    continue  # another number of detections: a threshold was met within rounding
                raise self._disagreement(backend, name, f"shape {ours.shape} instead of {exact.shape}")
            finite = np.isfinite(exact)
            scale = np.abs(exact[finite]).max(initial=0.0) or 1.0
            difference = float(np.abs(ours[finite] - exact[finite]).max(initial=0.0) / scale)
            if difference > TOLERANCE and self.exact:
                raise self._disagreement(backend, name, f"a difference of {difference:.1e} of its maximum")
            worst = max(worst, difference)
        if not self.exact and worst > TOLERANCE:
            return f"{backend} ran; selections differ from numpy's within rounding"
        return f"{backend} = numpy within {worst:.0e}"

    def _disagreement(self, backend: str, blob: str, what: str) -> ConversionError:
        message = f"{backend} and numpy disagree on blob {blob}: {what}; nothing was written"
        return ConversionError(
            message, where=self.graph.name, remedy="this is a bug: please report it with the prototxt"
        )


def convert_model(model: Model, folder: Path | None = None, **options: Any) -> list[Artefact]:
    """Convert a model of the catalogue that is present, into its folder (`home()/NAME`).

    Without its prototxt, the net inside the caffemodel serves.

    Raises:
        CamcompatError: it is not downloaded, or cannot be converted.
    """
    from weights.catalog import home

    if not model.present("caffemodel"):
        place = f"{model.path('caffemodel')} ({model.file('caffemodel').expected_size})"
        remedy = f"`camcompat download {model.name}`, or put it there"
        raise CamcompatError(f"not downloaded: {place}", where=model.name, remedy=remedy)
    target = folder or (model.root or home()) / model.name
    options = {"name": model.name, "metadata": description(model), **options}
    prototxt = model.path("prototxt") if model.present("prototxt") else None
    return convert(prototxt, model.path("caffemodel"), target, **options)


def check_structure(path: Path, model: Model) -> None:
    """Every layer and shape of a caffemodel against the model's prototxt; raises WeightsError at the first misfit."""
    import weights
    from converters.blobs import FileBlobs
    from converters.build import load_net
    from converters.lowering import lower

    with weights.read(path) as stored:
        blobs = FileBlobs(stored)
        lower(load_net(model.path("prototxt"), blobs=blobs), blobs)
