"""The net that is verified: its definition and weights, and its blobs as each of our own forms computes them."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.cam.session import CAM_OUTPUTS, ORT_ERRORS, open_session, read_metadata
from converters.options import Options
from prototxt.errors import CamcompatError, ConversionError

if TYPE_CHECKING:
    from converters import Lowered
    from converters.cam.head import CamHead
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike
    from prototxt import Net

__all__ = ["Arrays", "Place", "Subject", "noted_options", "write_caffemodel"]

Arrays = Mapping[str, np.ndarray]
DEFAULT = Options()
BUDGET = 1 << 28  # numbers that are kept at once: 1 GiB in float32


@dataclass(frozen=True)
class Place:
    """Where in the net a blob is written.

    Attributes:
        depth: the layer's index.
        layer: its name, or its type and index where it has none.
        type: its type.
    """

    depth: int
    layer: str
    type: str


@dataclass
class Subject:
    """A net under verification.

    Attributes:
        prototxt, caffemodel, options: what it was made from.
        lowered: the net of primitives.
        onnx: the ONNX file, as it is shipped.
        given: whether that file was given (and not converted for the occasion).
        metadata: what the file says about itself.
        head: the CAM head, if the file has CAM outputs.
    """

    prototxt: NetLike | None
    caffemodel: WeightsLike
    options: Options
    lowered: Lowered
    onnx: Path
    given: bool
    metadata: dict[str, Any] = field(default_factory=dict)
    head: CamHead | None = None

    @classmethod
    def build(
        cls,
        prototxt: NetLike | None,
        caffemodel: WeightsLike,
        onnx: Path | None,
        folder: Path,
        options: Options = DEFAULT,
    ) -> Subject:
        """Lower the net, and convert it into ``folder`` unless the ONNX file is given."""
        from converters.lowering.build import build

        lowered = build(prototxt, caffemodel, options)
        lowered.warn()
        made = cls(prototxt, caffemodel, options, lowered, onnx or folder / "net.onnx", given=onnx is not None)
        if onnx is None:
            made.convert(made.onnx)
        session = open_session(made.onnx)
        made.metadata = read_metadata(session, str(made.onnx))
        if set(CAM_OUTPUTS) <= {x.name for x in session.get_outputs()}:
            from converters.cam.head import find_cam_head

            made.head = find_cam_head(lowered.graph)
        return made

    @property
    def net(self) -> Net:
        return self.lowered.net

    @property
    def dtype(self) -> str:
        """What the file says that its numbers were reduced to, "fp16" or "int8"; else "float32"."""
        return str(self.metadata.get("dtype", "float32"))

    @property
    def cheap(self) -> bool:
        """Whether the float64 evaluation takes seconds at most, and its windows fit into memory."""
        return _widest(self.lowered) < 1 << 27

    def places(self) -> dict[str, Place]:
        """Every blob that a layer computes, in net order: blobs that are another one's value under a new name once."""
        graph, places = self.lowered.graph, dict[str, Place]()
        seen = {id(x) for x in graph.inputs}
        for depth, layer in enumerate(self.net.layers):
            for top in layer.tops:
                value = graph.blobs.get(top)
                if value is not None and id(value) not in seen and not value.is_constant:
                    seen.add(id(value))
                    places[top] = Place(depth, layer.name or f"{layer.type}{depth}", layer.type)
        return places

    def canonical(self, name: str) -> str:
        """The name in `places` of a blob by any of its names: a layer that does nothing gives a value another name."""
        blobs = self.lowered.graph.blobs
        value = blobs.get(name if name in blobs else self.net.resolve(name))
        return next((other for other in self.places() if blobs[other] is value), name)

    def chosen(self, feeds: Arrays) -> list[str]:
        """The blobs to compare: all, or (where they would not fit into memory) those nearest to the output."""
        places, batch = self.places(), max((len(x) for x in feeds.values() if x.ndim), default=1)
        room, kept = BUDGET, []
        for name in reversed(places):
            size = int(np.prod([d if isinstance(d, int) else d.factor * batch for d in self._shape(name)]))
            room -= size
            if room > 0 or name in self.lowered.graph.outputs:
                kept.append(name)
        return kept[::-1]

    def _shape(self, name: str) -> Sequence[Any]:
        return self.lowered.graph.blobs[name].shape

    def sentence(self) -> str:
        """What is compared with what."""
        file = f"{self.onnx.name}, as given," if self.given else "the ONNX file that converting makes now"
        weights = getattr(self.caffemodel, "source", self.caffemodel)
        if isinstance(weights, (str, os.PathLike)):
            named = Path(weights).name
        else:
            named = f"{type(weights).__name__.lower()} weights"
        definition = Path(self.net.source).name
        return f"{file} against {named if definition == named else f'{definition} and {named}'}"

    def origin(self) -> dict[str, Any]:
        """Hashes and versions, and whether a given file says that it was made from these very sources."""
        import onnxruntime

        from converters.provenance import provenance, version_of

        entry = provenance(self.lowered, self.caffemodel, packages=("onnx",))
        entry["versions"] = {**entry["versions"], "onnxruntime": onnxruntime.__version__}
        entry["onnx"] = {"file": self.onnx.name, "given": self.given, "bytes": self.onnx.stat().st_size}
        noted = self.metadata.get("provenance") or {}
        for kind in ("prototxt", "caffemodel"):
            theirs, ours = (source.get(kind, {}).get("sha256") for source in (noted, entry))
            if self.given and theirs:
                entry["onnx"][f"made from this {kind}"] = theirs == ours
        if version_of("torch") != "not installed":
            entry["versions"]["torch"] = version_of("torch")
        return entry

    # The forms.

    def convert(self, path: Path) -> Path:
        """The ONNX file that converting makes now, in the form (folded, Winograd's, portable) that a given file has."""
        from converters import to_onnx

        noted = (self.metadata.get("provenance") or {}).get("options") or {}
        form: dict[str, Any] = {
            "fold": bool(noted.get("fold", True)),
            "winograd": bool(self.metadata.get("winograd")),
            "portable": bool(noted.get("portable")),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were given when it was lowered
            return to_onnx(
                self.prototxt, self.caffemodel, path, **self.options.recorded(), **(form if self.given else {})
            )

    def run_file(self, feeds: Arrays, top: int | None = None) -> dict[str, np.ndarray]:
        """The outputs of the ONNX file as it is; with all classes ranked where `top` says so and the file allows it."""
        session = open_session(self.onnx)
        extra = {}
        if top is not None and "k" in {x.name for x in session.get_overridable_initializers()}:
            extra["k"] = np.array([top], np.int64)
        names = [x.name for x in session.get_outputs()]
        return dict(zip(names, _run(session, names, {**feeds, **extra}, self.onnx)))

    def run_onnx(self, feeds: Arrays, blobs: Iterable[str]) -> dict[str, np.ndarray]:
        """The blobs that the ONNX file computes under their names."""
        from converters.onnx_backend.probe import with_outputs

        taken = {"k", *CAM_OUTPUTS} if self.head is not None else set()
        known, wanted = self.lowered.graph.blobs, list(blobs)
        aliases: dict[int, list[str]] = {id(known[name]): [] for name in wanted}
        for name, value in known.items():
            if id(value) in aliases and name not in taken:
                aliases[id(value)].append(name)
        with tempfile.TemporaryDirectory(prefix="camcompat-verify-") as folder:
            probe = Path(folder) / "probe.onnx"
            names = with_outputs(self.onnx, [name for names in aliases.values() for name in names], probe)
            values = dict(zip(names, _run(open_session(probe), list(names), feeds, self.onnx)))
        alias = {name: next((other for other in aliases[id(known[name])] if other in values), "") for name in wanted}
        return {name: values[other] for name, other in alias.items() if other}

    def run_torch(self, feeds: Arrays, blobs: Sequence[str]) -> dict[str, np.ndarray]:
        """The blobs as the PyTorch module computes them."""
        import torch

        from converters import to_torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = to_torch(self.prototxt, self.caffemodel, outputs=list(blobs), **self.options.recorded())
        order = [x.name for x in self.lowered.graph.inputs]
        with torch.no_grad():
            result = module(*(torch.from_numpy(np.ascontiguousarray(feeds[name])) for name in order))
        result = result if isinstance(result, dict) else {blobs[0]: result}
        return {name: x.detach().numpy() for name, x in result.items()}

    def run_numpy(self, feeds: Arrays, blobs: Iterable[str]) -> dict[str, np.ndarray]:
        """The blobs in float64."""
        from converters.numpy_backend.net import NumpyNet

        graph = self.lowered.graph
        return NumpyNet(graph.pruned({name: graph.blobs[name] for name in blobs})).run(feeds)


def noted_options(path: Path) -> Mapping[str, Any]:
    """The options that the ONNX file was converted with, as it says."""
    said = read_metadata(open_session(path), str(path)).get("provenance")
    options = said.get("options") if isinstance(said, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def _run(session: Any, names: list[str], feeds: Arrays, path: Path) -> list[np.ndarray]:
    inputs = {x.name for x in session.get_inputs()} | {x.name for x in session.get_overridable_initializers()}
    strange = [name for name in feeds if name not in inputs]
    if strange:
        raise CamcompatError(
            f"it has no input {strange[0]} (it has {', '.join(sorted(inputs))})",
            where=str(path),
            remedy="is it another net's file?",
        )
    try:
        values: list[np.ndarray] = session.run(names, dict(feeds))
        return values
    except ORT_ERRORS as error:
        raise ConversionError(f"onnxruntime cannot run it: {error}", where=str(path)) from error


def _widest(lowered: Lowered) -> int:
    """The largest number of elements that the windows of a convolution or pooling hold at once, for one image."""
    widest = 0
    for node in lowered.graph.nodes:
        size = 1
        for dim in node.outputs[0].shape[1:] if node.op in ("conv", "max_pool", "avg_pool") else ():
            size *= dim if isinstance(dim, int) else dim.factor
        weight = node.inputs[1] if node.op == "conv" else None
        if weight is not None:
            kernel = int(np.prod([int(str(dim)) for dim in weight.shape[1:]]))
            size = size // int(str(weight.shape[0])) * kernel
        elif node.op in ("max_pool", "avg_pool"):
            size *= int(np.prod(node.attrs["kernel"]))
        widest = max(widest, size)
    return widest


def write_caffemodel(net: Net, weights: WeightsLike, path: Path) -> Path:
    """Whatever weights a net is given, as a caffemodel that Caffe reads."""
    from converters.lowering.blobs import blob_source
    from converters.lowering.lower_net import lower
    from weights.files.writer import write

    source = _Recording(blob_source(weights))
    lower(net, source)
    write(path, net.message, {name: [blobs[i] for i in sorted(blobs)] for name, blobs in source.asked.items()})
    return path


class _Recording:
    """A source of blobs that remembers what was asked of it."""

    def __init__(self, source: Any) -> None:
        self.source, self.asked = source, dict[str, dict[int, np.ndarray]]()

    def count(self, layer: Any) -> int | None:
        number: int | None = self.source.count(layer)
        return number

    def get(self, layer: Any, index: int, shape: tuple[int, ...]) -> np.ndarray:
        array: np.ndarray = self.source.get(layer, index, shape)
        self.asked.setdefault(layer.name, {})[index] = array
        return array
