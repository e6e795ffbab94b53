"""Caffe files in; ONNX, PyTorch and their proof out: what `camcompat convert` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from camcompat.conversion.dense_file import write_dense
from camcompat.conversion.metadata import check_metadata, completed, description, merged
from camcompat.conversion.proof import Proof
from camcompat.conversion.reduction import check_reduction, reduce_file
from converters.options import OF_THE_NET, Options, Shapes
from prototxt.errors import CamcompatError, ConversionError
from weights.atomic import publish, staged, staging

if TYPE_CHECKING:
    from converters.cam.head import CamHead
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike
    from weights.models import Model

__all__ = ["FORMATS", "Artefact", "as_files", "check_structure", "convert", "convert_model"]

FORMATS = ("onnx", "torch")
Origin: TypeAlias = Callable[[], dict[str, Any]]


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
    fold: bool = True,
    winograd: bool | None = None,
    portable: bool = False,
    dtype: str = "float32",
    calibrate: str | os.PathLike[str] | None = None,
    dense: bool = False,
) -> list[Artefact]:
    """Convert a Caffe net and check the results against each other before they reach their names.

    Args:
        prototxt, caffemodel: the net's definition and weights; None as the definition takes the one inside the weights.
        folder: where the files go; it is created.
        name: the files' common name; by default the caffemodel's.
        formats: "onnx" (one .onnx) and "torch" (.py and .safetensors).
        outputs, input_shapes, cam, top_k, metadata, keep_losses, fold, winograd, portable: as for
            `converters.to_onnx`.
        dtype: of the ONNX file: "float32", "fp16" or "int8" (without winograd); see `camcompat.conversion.reduction`.
        calibrate: a folder of pictures, which int8 needs.
        dense: also write `name-dense.onnx`; see `converters.onnx_backend.dense`.

    Returns:
        The files written: `name.onnx`, `name.py`, `name.safetensors`.

    Raises:
        CamcompatError: the net cannot be converted, or the results disagree; then nothing is left behind.

    >>> convert("deploy.prototxt", "net.caffemodel", "models")       # doctest: +SKIP
    """
    options = Options(
        outputs=outputs,
        input_shapes=input_shapes,
        keep_losses=keep_losses,
        cam=cam,
        top_k=top_k,
        fold=fold,
        winograd=winograd,
        portable=portable,
        dtype=dtype,
    )
    check_reduction(options, calibrate, dense=dense)
    unknown = [entry for entry in formats if entry not in FORMATS]
    if unknown:
        raise ConversionError(f'there is no format "{unknown[0]}"', remedy=f"choose from {', '.join(FORMATS)}")
    if name is not None and Path(name).name != name:
        raise ConversionError(f'"{name}" is no name for files', remedy="give the folder apart, as --out")
    made = _Conversion(prototxt, caffemodel, options, metadata, maps="onnx" in formats)
    stem = name or _stem(made.lowered.net.source, caffemodel) + suffix(options)
    target = Path(folder)
    with _staging(target) as stage:
        artefacts = made.onnx(stage / f"{stem}.onnx", calibrate, dense=dense) if "onnx" in formats else []
        if "torch" in formats:
            artefacts += made.torch(stage / f"{stem}.py")
        return _publish(stage, target, artefacts)


class _Conversion:
    """A net on its way from its sources to its files, each proved before it is one."""

    def __init__(
        self,
        prototxt: NetLike | None,
        caffemodel: WeightsLike,
        options: Options,
        metadata: Mapping[str, Any] | None,
        *,
        maps: bool,
    ) -> None:
        from converters.lowering.blobs import blob_source
        from converters.lowering.build import build
        from converters.provenance import digest_ahead

        self.prototxt, self.options = prototxt, options
        self.blobs = blob_source(caffemodel)
        digest_ahead(self.blobs)
        self.lowered = build(prototxt, self.blobs, options)
        self.head = self._head() if maps else None
        self.metadata = completed(self.lowered, metadata)
        self.lowered.warn()
        check_metadata(self.lowered, self.head, self.metadata)
        self.proof = Proof(self.lowered, self.head)

    def _head(self) -> CamHead | None:
        from converters.onnx_backend.cam_outputs import cam_head

        return cam_head(self.lowered, self.options)

    def _origin(self, package: str, options: Mapping[str, Any]) -> Origin:
        from converters.provenance import provenance

        return cache(partial(provenance, self.lowered, self.blobs, options=options, packages=(package,)))

    def onnx(self, path: Path, calibrate: str | os.PathLike[str] | None, *, dense: bool) -> list[Artefact]:
        """The ONNX file, proved, with what was measured noted in it; smaller or dense forms of it."""
        from converters.onnx_backend.file import onnx_model

        origin = self._origin("onnx", self.options.recorded())
        model = onnx_model(self.lowered, self.head, self.options, metadata=self.metadata, origin=origin)
        words = self.proof.of_onnx(model.save(path))
        model.add_metadata(path, {"provenance": {**origin(), "verification": self.proof.figures}})
        if self.options.dtype != "float32":
            words = f"{words}; {reduce_file(path, self.options.dtype, calibrate)}"
        made = [Artefact(path, "ONNX", words)]
        if dense:
            about = {**(self.metadata or {}), "provenance": origin()}
            beside, words = write_dense(self.prototxt, self.blobs, path, self.options, about, pictures=calibrate)
            made.append(Artefact(beside, "dense ONNX", words))
        return made

    def torch(self, path: Path) -> list[Artefact]:
        """The source and the weights, proved."""
        try:
            from converters.torch_backend.module import torch_module
            from converters.torch_backend.source.file import write_python
        except ImportError as error:
            remedy = 'pip install "camcompat[torch]", or --format onnx'
            raise ConversionError(f"the PyTorch format needs {error.name or error}", remedy=remedy) from error
        module = torch_module(self.lowered)
        words = self.proof.of_torch(module)
        origin = self._origin("torch", self.options.recorded(OF_THE_NET))
        about = {**(self.metadata or {}), "provenance": {**origin(), "verification": self.proof.figures}}
        write_python(module, path, source=self.lowered.net.source, metadata=about)
        return [Artefact(path, "PyTorch source", words), Artefact(path.with_suffix(".safetensors"), "weights", words)]


def suffix(options: Options) -> str:
    """What a file of smaller numbers, or for other runtimes, is called: it does not take the place of the usual one."""
    return ("-portable" if options.portable else "") + ("" if options.dtype == "float32" else f"-{options.dtype}")


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
        with staging(target) as stage:
            yield stage
    except OSError as error:
        where = str(error.filename or target)
        raise ConversionError(error.strerror or str(error), where=where, remedy="choose another folder") from error


def _publish(stage: Path, target: Path, made: Sequence[Artefact]) -> list[Artefact]:
    files = staged(stage)
    for kinds in ((".onnx.data", ".onnx"), (".safetensors", ".py")):  # the second of each reads the first
        publish([path for kind in kinds for path in files if path.name.endswith(kind)], target)
    return [Artefact(target / artefact.path.name, artefact.what, artefact.proof) for artefact in made]


def convert_model(model: Model, folder: Path | None = None, **options: Any) -> list[Artefact]:
    """Convert a model of the catalogue that is present, into its folder (`home()/NAME`).

    Without its prototxt, the net inside the caffemodel serves.

    Raises:
        CamcompatError: it is not downloaded, or cannot be converted.
    """
    from weights.models import home

    if not model.present("caffemodel"):
        place = f"{model.path('caffemodel')} ({model.file('caffemodel').expected_size})"
        remedy = f"`camcompat download {model.name}`, or put it there"
        raise CamcompatError(f"not downloaded: {place}", where=model.name, remedy=remedy)
    target = folder or (model.root or home()) / model.name
    kind = Options(**{key: options[key] for key in ("dtype", "portable") if key in options})
    options = {"name": model.name + suffix(kind), **options}
    options["metadata"] = merged(description(model), options.get("metadata") or {})
    prototxt = model.path("prototxt") if model.present("prototxt") else None
    return convert(prototxt, model.path("caffemodel"), target, **options)


def check_structure(path: Path, model: Model) -> None:
    """Every layer and shape of a caffemodel against the model's prototxt; raises WeightsError at the first misfit."""
    import weights
    from converters.lowering.blobs import FileBlobs
    from converters.lowering.build import load_net
    from converters.lowering.lower_net import lower

    with weights.read(path) as stored:
        blobs = FileBlobs(stored)
        lower(load_net(model.path("prototxt"), blobs=blobs), blobs)


WEIGHTS = {".caffemodel", ".h5", ".hdf5"}
DEFINITIONS = {".prototxt", ".pbtxt", ".txt"}


def as_files(words: Sequence[str]) -> tuple[str | None, str | None] | None:
    """Definition and weights, each None where not given; or None where the words are catalogue names.

    Raises:
        CamcompatError: files that do not make one net.

    >>> as_files(["net.caffemodel", "deploy.prototxt"])
    ('deploy.prototxt', 'net.caffemodel')
    >>> as_files(["net.caffemodel"])
    (None, 'net.caffemodel')
    >>> as_files(["googlenet-cam-imagenet"]) is None
    True
    """
    if not any(Path(word).suffix in WEIGHTS | DEFINITIONS or Path(word).is_file() for word in words):
        for word in words:
            if Path(word).name != word:  # no model's name holds a slash
                raise CamcompatError("no such file", where=word, remedy="check the path")
        return None
    weights = [word for word in words if Path(word).suffix in WEIGHTS]
    rest = [word for word in words if word not in weights]
    if not weights and len(rest) == 2:  # unusual names: the order tells
        return rest[0], rest[1]
    if len(weights) > 1 or len(rest) > 1:
        remedy = "give one prototxt and one caffemodel, a caffemodel alone, or names of the catalogue"
        raise CamcompatError(f"{len(words)} files are not one net: {', '.join(words)}", remedy=remedy)
    return (rest[0] if rest else None), (weights[0] if weights else None)
