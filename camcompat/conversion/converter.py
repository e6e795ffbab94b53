"""Caffe files in; ONNX, PyTorch and their proof out: what `camcompat convert` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from camcompat.conversion.catalogue import description
from camcompat.conversion.metadata import check_metadata, merged
from camcompat.conversion.proof import Proof
from camcompat.conversion.reduction import check_dtype, reduce_file
from camcompat.conversion.training_recipe import completed
from prototxt.errors import CamcompatError, ConversionError
from weights.atomic import publish, staged, staging

if TYPE_CHECKING:
    from converters import Lowered
    from converters.cam.head import CamHead
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.build import NetLike, Shapes
    from weights.models import Model

__all__ = ["FORMATS", "Artefact", "check_structure", "convert", "convert_model"]

FORMATS = ("onnx", "torch")
Origin: TypeAlias = "Callable[[], dict[str, Any]]"


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
    from converters.lowering.blobs import blob_source
    from converters.lowering.build import build
    from converters.provenance import digest_ahead, provenance

    check_dtype(dtype, calibrate, dense=dense)
    if dense and portable:
        raise ConversionError("a dense file is made for onnxruntime, not portable", remedy="choose dense or portable")
    unknown = [entry for entry in formats if entry not in FORMATS]
    if unknown:
        raise ConversionError(f'there is no format "{unknown[0]}"', remedy=f"choose from {', '.join(FORMATS)}")
    if name is not None and Path(name).name != name:
        raise ConversionError(f'"{name}" is no name for files', remedy="give the folder apart, as --out")
    options = {"outputs": outputs, "input_shapes": input_shapes, "keep_losses": keep_losses}
    blobs = blob_source(caffemodel)
    digest_ahead(blobs)
    lowered = build(prototxt, blobs, outputs=outputs, input_shapes=input_shapes, keep_losses=keep_losses)
    origin = partial(provenance, lowered, blobs)
    stem = name or _stem(lowered.net.source, caffemodel) + suffix(dtype, portable)
    target = Path(folder)
    head = None
    if "onnx" in formats:
        from converters.onnx_backend.file import cam_head

        head = cam_head(lowered, cam, outputs=outputs, portable=portable)
    metadata = completed(lowered, metadata)
    check_metadata(lowered, head, metadata)
    with _staging(target) as stage:
        made = []
        proof = Proof(lowered, head)
        if "onnx" in formats:
            forms = {"fold": fold, "winograd": False if dtype == "int8" else winograd, "portable": portable}
            chosen = {**options, "cam": cam, "fold": None if fold else False}
            chosen |= {"winograd": winograd, "portable": portable or None}
            of_onnx = cache(partial(origin, options=chosen, packages=("onnx",)))
            made.append(_onnx(lowered, head, proof, stage / f"{stem}.onnx", top_k, metadata, of_onnx, forms))
            if dtype != "float32":
                words = reduce_file(made[-1].path, dtype, calibrate)
                made[-1] = replace(made[-1], proof=f"{made[-1].proof}; {words}")
            if dense:
                made.append(
                    _dense(prototxt, caffemodel, made[-1], top_k, metadata, of_onnx, calibrate, winograd is not False)
                )
        if "torch" in formats:
            of_torch = cache(partial(origin, options=options, packages=("torch",)))
            made += _torch(lowered, proof, stage / f"{stem}.py", metadata, of_torch)
        return _publish(stage, target, made)


def _onnx(
    lowered: Lowered,
    head: CamHead | None,
    proof: Proof,
    path: Path,
    top_k: int,
    metadata: Mapping[str, Any] | None,
    origin: Origin,
    forms: Mapping[str, Any],
) -> Artefact:
    """The ONNX file, proved; what was measured is then noted in it."""
    from converters.onnx_backend.file import onnx_model

    model = onnx_model(lowered, head, top_k=top_k, metadata=metadata, origin=origin, **forms)
    words = proof.of_onnx(model.save(path))
    model.add_metadata(path, {"provenance": {**origin(), "verification": proof.figures}})
    return Artefact(path, "ONNX", words)


def _dense(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    plain: Artefact,
    top_k: int,
    metadata: Mapping[str, Any] | None,
    origin: Origin,
    pictures: str | os.PathLike[str] | None,
    winograd: bool,
) -> Artefact:
    from camcompat.conversion.dense_file import write_dense

    about = {**(metadata or {}), "provenance": origin()}
    options: dict[str, Any] = {"top_k": top_k, "metadata": about, "pictures": pictures, "winograd": winograd}
    path, words = write_dense(prototxt, caffemodel, plain.path, **options)
    return Artefact(path, "dense ONNX", words)


def _torch(
    lowered: Lowered, proof: Proof, path: Path, metadata: Mapping[str, Any] | None, origin: Origin
) -> list[Artefact]:
    try:
        from converters.torch_backend.module import torch_module
        from converters.torch_backend.source.file import write_python
    except ImportError as error:
        raise ConversionError(
            f"the PyTorch format needs {error.name or error}", remedy='pip install "camcompat[torch]", or --format onnx'
        ) from error
    module = torch_module(lowered)
    words = proof.of_torch(module)
    about = {**(metadata or {}), "provenance": {**origin(), "verification": proof.figures}}
    write_python(module, path, source=lowered.net.source, metadata=about)
    return [Artefact(path, "PyTorch source", words), Artefact(path.with_suffix(".safetensors"), "weights", words)]


def suffix(dtype: str = "float32", portable: bool = False) -> str:
    """What a file of smaller numbers, or for other runtimes, is called: it does not take the place of the usual one."""
    return ("-portable" if portable else "") + ("" if dtype == "float32" else f"-{dtype}")


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
    kind = {key: options[key] for key in ("dtype", "portable") if key in options}
    options = {"name": model.name + suffix(**kind), **options}
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
