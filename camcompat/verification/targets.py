"""What there is to verify: words of the command line, or everything that is present."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camcompat.conversion.converter import as_files
from camcompat.verification.evidence import caffe_runs, has_content_of, reference_prototxt
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.verification.report.findings import Report
    from weights.models import Model

__all__ = ["Target", "everything", "targets_of"]

PICTURES = 4


@dataclass(frozen=True)
class Target:
    """One net to verify.

    Attributes:
        name: what it is called.
        prototxt: its definition; None: the one inside the caffemodel.
        caffemodel: its weights; None: the synthetic ones of the tests.
        onnx: the ONNX file, if there is one.
        pictures: to feed it.
    """

    name: str
    prototxt: Path | None
    caffemodel: Path | None
    onnx: Path | None = None
    pictures: Sequence[Path] = field(default=())

    def verify(self, **options: Any) -> Report:
        """See `camcompat.verification.verify`."""
        from camcompat.verification.verifier import verify
        from converters import Synthetic

        caffemodel = Synthetic() if self.caffemodel is None else self.caffemodel
        options = {"pictures": self.pictures, **options}
        return verify(self.prototxt, caffemodel, self.onnx, name=self.name, **options)


def targets_of(words: Sequence[str], *, synthetic: bool = False) -> list[Target]:
    """The nets that the words of a command line name.

    Args:
        words: names of the catalogue; or a prototxt and a caffemodel; and an .onnx file that was made from them.
        synthetic: use synthetic weights, where no caffemodel is given.

    Raises:
        CamcompatError: files or weights that are missing.
    """
    onnx = [Path(word) for word in words if word.endswith(".onnx")]
    rest = [word for word in words if not word.endswith(".onnx")]
    if len(onnx) > 1:
        raise CamcompatError(f"{len(onnx)} ONNX files were given", remedy="verify them one by one")
    for path in onnx:
        if not path.is_file():
            raise CamcompatError("no such file", where=str(path), remedy="check the path")
    if not rest:
        return [_source_of(path) for path in onnx]
    files = as_files(rest)
    if files is None:
        if onnx and len(rest) > 1:
            raise CamcompatError("one ONNX file has one source", remedy="name the model that it was made from")
        return [_named(name, onnx[0] if onnx else None, synthetic) for name in rest]
    prototxt, caffemodel = (None if word is None else Path(word) for word in files)
    if caffemodel is None and not synthetic:
        remedy = "give the caffemodel as well, or --synthetic"
        raise CamcompatError("the weights are missing", where=str(prototxt), remedy=remedy)
    for given in (prototxt, caffemodel):
        if given is not None and not given.is_file():
            raise CamcompatError("no such file", where=str(given), remedy="check the path")
    named = onnx[0] if onnx else caffemodel or prototxt
    assert named is not None
    name = named.parent.name if prototxt is not None and prototxt.name == "net.prototxt" else named.stem
    return [Target(name, prototxt, caffemodel, onnx[0] if onnx else None)]


def _source_of(onnx: Path) -> Target:
    """The model of the catalogue that an ONNX file says that it was made from."""
    from camcompat.cam.session import open_session, read_metadata

    said = read_metadata(open_session(onnx), str(onnx)).get("source")
    name = said.get("name") if isinstance(said, dict) else None
    if not isinstance(name, str):
        remedy = "give its prototxt and caffemodel as well"
        raise CamcompatError("it does not say which net it was made from", where=str(onnx), remedy=remedy)
    return _named(name, onnx, False)


def _named(name: str, onnx: Path | None, synthetic: bool) -> Target:
    from weights.models import find

    model = find(name)
    if synthetic:
        definition = model.path("prototxt") if model.present("prototxt") else reference_prototxt(model)
        if definition is None:
            raise CamcompatError(
                "its prototxt is not here", where=model.name, remedy=f"`camcompat download {model.name}`"
            )
        return Target(model.name, definition, None, onnx)
    if not model.present("caffemodel"):
        remedy = f"`camcompat download {model.name}`, or --synthetic for its net with synthetic weights"
        raise CamcompatError("its weights are not here", where=model.name, remedy=remedy)
    return _present(model, onnx)


def _present(model: Model, onnx: Path | None = None) -> Target:
    from weights.models import home

    definition = model.path("prototxt") if model.present("prototxt") else None
    converted = home() / model.name / f"{model.name}.onnx"
    pictures = sorted((model.folder / "pictures").glob("*.jpg"))[:PICTURES] if model.embedded else []
    onnx = onnx or (converted if converted.is_file() else None)
    return Target(model.name, definition, model.path("caffemodel"), onnx, pictures)


def everything() -> Iterator[Target]:
    """What is present: embedded and downloaded models; the catalogue's nets whose prototxt the folder of references
    has, with synthetic weights; the nets there that Caffe fed pictures; and models that Python packages carry.
    """
    from weights.models import catalog

    models = catalog().values()
    present = [model for model in models if model.present("caffemodel")]
    absent = [model for model in models if model not in present]
    yield from map(_present, present)
    for model in absent:
        definition = reference_prototxt(model)
        if definition is not None:
            yield Target(f"{model.name}-synthetic", definition, None)
    for run in caffe_runs():
        weights = run.caffemodel
        if run.pictures and weights and not any(has_content_of(m.path("caffemodel"), weights) for m in present):
            yield Target(run.prototxt.stem, run.prototxt, weights)
    for model in absent:
        files = model.carried()
        if {"prototxt", "caffemodel"} <= files.keys():
            yield Target(model.name, files["prototxt"], files["caffemodel"])
