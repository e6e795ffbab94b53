"""Outputs of Caffe itself, stored in `.npz` files: beside a net, given by hand, or in a folder of references.

The folder of references is named by ``$CAMCOMPAT_SHARED``; docs/verify.md shows how it is laid out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prototxt.errors import CamcompatError, DownloadError, PrototxtError
from weights.downloads.verify_file import digests_of
from weights.models import catalog, find

if TYPE_CHECKING:
    from prototxt import Net
    from weights.models import Model

__all__ = [
    "CaffeRun",
    "Evidence",
    "StoredBlob",
    "caffe_runs",
    "find_evidence",
    "has_content_of",
    "read_evidence",
    "reference_prototxt",
    "references",
]


@dataclass(frozen=True)
class StoredBlob:
    """A stored blob: whole, or (``dims`` given) flattened and thinned to every ``stride``-th value.

    One with fewer images or channels than the blob holds the first images, and evenly spaced channels.

    Attributes:
        array: what is stored.
        stride: which values of the flattened blob are kept.
        dims: the whole blob's shape, where it was flattened.
    """

    array: np.ndarray
    stride: int = 1
    dims: tuple[int, ...] | None = None

    def select(self, blob: np.ndarray) -> np.ndarray:
        """The part of a whole blob that is stored; the blob itself where it cannot be a part of it."""
        if self.dims is not None:
            return blob.reshape(-1)[:: self.stride] if blob.shape == self.dims else blob
        mine, whole = self.array.shape, blob.shape
        if mine == whole or len(mine) != len(whole) or not mine:
            return blob
        part = blob[: mine[0]]
        if len(mine) > 1 and 0 < mine[1] < whole[1]:
            part = part[:, :: whole[1] // mine[1]]
        return part

    def whole(self, blob: np.ndarray | None) -> np.ndarray | StoredBlob:
        """The stored array itself where it is a whole blob, of as many images as `blob` has or more."""
        mine = self.array
        if self.dims is not None or blob is None or not blob.ndim or mine.shape[1:] != blob.shape[1:]:
            return self
        return mine[: len(blob)] if len(mine) >= len(blob) else self

    @property
    def note(self) -> str:
        return f"every {self.stride}th value" if self.dims is not None and self.stride > 1 else ""


@dataclass(frozen=True)
class Evidence:
    """What Caffe computed of given inputs.

    Attributes:
        source: the file.
        feeds: the inputs by name.
        blobs: by the names that the file uses.
        maps: ``classes`` (N, k) and ``cams`` (N, k, h, w), where maps are stored; else empty.
    """

    source: Path
    feeds: Mapping[str, np.ndarray]
    blobs: Mapping[str, StoredBlob]
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: x.shape for name, x in self.feeds.items()}


@dataclass(frozen=True)
class CaffeRun:
    """One file of a folder of references, and what Caffe ran to make it.

    Attributes:
        outputs: the ``.npz`` file.
        prototxt: the net.
        caffemodel: its weights; None for the synthetic ones of the tests.
        pictures: whether Caffe was fed pictures (and not noise).
    """

    outputs: Path
    prototxt: Path
    caffemodel: Path | None
    pictures: bool = False


def references() -> Path | None:
    """The folder of reference outputs, ``$CAMCOMPAT_SHARED``; None where it is not named, or missing."""
    named = os.environ.get("CAMCOMPAT_SHARED", "")
    return Path(named) if named and Path(named).is_dir() else None


def reference_prototxt(model: Model) -> Path | None:
    """The prototxt of a model of the catalogue in the folder of references, under the name that it was published by."""
    folder = references()
    path = None if folder is None else folder / "cam" / "models" / model.file("prototxt").name
    return path if path is not None and path.is_file() else None


def caffe_runs() -> Iterator[CaffeRun]:
    """What the folder of references holds: outputs of the catalogue's models, of the corpus, and of pictures."""
    folder = references()
    if folder is not None:
        runs = (*_of_models(folder), *_of_corpus(folder), *_of_folders(folder))
        yield from (run for run in runs if run.outputs.is_file())


def _of_models(folder: Path) -> Iterator[CaffeRun]:
    """``nets/NAME.npz``: of synthetic weights where the prototxt is there too, else of the published files."""
    for model in catalog().values():
        outputs, definition = folder / "nets" / f"{model.name}.npz", reference_prototxt(model)
        if definition is not None:
            yield CaffeRun(outputs, definition, None)
            continue
        for files in (model.at_hand(), model.carried()):
            if {"prototxt", "caffemodel"} <= files.keys():
                yield CaffeRun(outputs, files["prototxt"], files["caffemodel"])


def _of_corpus(folder: Path) -> Iterator[CaffeRun]:
    """``corpus/NAME.prototxt``, its weights where they are real; ``KIND/expected.npz``: of pictures, for KIND_NAME."""
    for definition in sorted((folder / "corpus").glob("*.prototxt")):
        name = definition.stem
        outputs = definition.parent / "expected" / f"{name}.npz"
        caffemodel = definition.parent / "weights" / f"{name}.caffemodel"
        if caffemodel.is_file():
            yield CaffeRun(outputs, definition, caffemodel)
            yield CaffeRun(folder / name.split("_")[0] / "expected.npz", definition, caffemodel, pictures=True)
        elif not _of_real_weights(outputs):
            yield CaffeRun(outputs, definition, None)


def _of_folders(folder: Path) -> Iterator[CaffeRun]:
    """``NAME/expected.npz``: of pictures, beside ``deploy.prototxt`` and ``NAME.caffemodel``."""
    for outputs in sorted(folder.glob("*/expected.npz")):
        definition, caffemodel = (
            outputs.with_name(n) for n in ("deploy.prototxt", f"{outputs.parent.name}.caffemodel")
        )
        if definition.is_file() and caffemodel.is_file():
            yield CaffeRun(outputs, definition, caffemodel, pictures=True)


def find_evidence(net: Net, definition: Path | None, weights: Path | None) -> list[Evidence]:
    """Stored outputs of exactly this net with exactly these weights.

    Args:
        net: the net.
        definition: its prototxt.
        weights: its caffemodel; None for the synthetic weights of the tests.

    Returns:
        One entry per file: an ``io.npz`` beside the prototxt, and those of the folder of references that were made from
        files of the same content.
    """
    if definition is None or not definition.is_file():
        return []
    files = [definition.with_name("io.npz")] if weights is not None else []
    files += [
        run.outputs
        for run in caffe_runs()
        if has_content_of(run.prototxt, definition)
        and (run.caffemodel is None) == (weights is None)
        and (weights is None or run.caffemodel is None or has_content_of(run.caffemodel, weights))
    ]
    return [read_evidence(path, net) for path in files if path.is_file()]


def _of_real_weights(npz: Path) -> bool:
    if not npz.is_file():
        return False
    with np.load(npz) as file:
        return "real_weights" in file.files and bool(file["real_weights"])


def has_content_of(path: Path, other: Path) -> bool:
    """Whether two files are there and hold the same bytes."""
    if not path.is_file() or not other.is_file() or path.stat().st_size != other.stat().st_size:
        return False
    return _sha256(path, path.stat().st_mtime_ns) == _sha256(other, other.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _sha256(path: Path, changed: int) -> str:
    """Once per state of a file."""
    return digests_of(path, ())["sha256"]


def read_evidence(path: str | os.PathLike[str], net: Net) -> Evidence:
    """Read stored outputs: ``in/<blob>``, ``out/<blob>`` and ``mid/<blob>``, or plain blob names.

    Inputs that are not stored are those of the references' rule: one stream of ``RandomState(1)``, normal numbers times
    50, of shape ``shape/<input>`` (2 images of the declared size where it is missing).

    Raises:
        CamcompatError: the file is no .npz, or none of its names is a blob of the net.
    """
    source = Path(path)
    try:
        with np.load(source, allow_pickle=False) as file:
            stored = {key: file[key] for key in file.files}
    except (OSError, ValueError, AttributeError, EOFError) as error:
        raise CamcompatError(f"cannot be read as .npz ({error})", where=str(source), remedy="check the file") from error
    if any(key.startswith("rgb/") for key in stored):
        return _of_pictures(source, stored, net)
    blobs = {}
    for key, array in stored.items():
        prefix, _, name = key.partition("/")
        name = name if prefix in ("out", "mid") else key
        if _is_blob(net, name) and name not in net.inputs:
            dims = stored.get(f"dims/{name}")
            shape = None if dims is None else tuple(int(size) for size in dims)
            blobs[name] = StoredBlob(array, int(stored.get(f"stride/{name}", 1)), shape)
    if not blobs:
        raise CamcompatError(f"none of its names ({', '.join(stored)}) is a blob of the net", where=str(source))
    return Evidence(source, _feeds(net, stored), blobs)


def _is_blob(net: Net, name: str) -> bool:
    try:
        net.resolve(name)
    except PrototxtError:
        return False
    return True


def _feeds(net: Net, stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    rng = np.random.RandomState(1)
    feeds = {}
    for name, declared in net.inputs.items():
        given = stored.get(f"in/{name}", stored.get(name))
        if given is None:
            shape = [int(size) for size in stored.get(f"shape/{name}", (2, *declared[1:]))]
            given = rng.standard_normal(shape) * 50
        feeds[name] = np.ascontiguousarray(given, np.float32)
    return feeds


def _of_pictures(source: Path, stored: Mapping[str, np.ndarray], net: Net) -> Evidence:
    """A classifier on pictures that are stored as it takes them: scores, and the maps of the best classes.

    The mean is that of the catalogue's model after which the folder is named.
    """
    try:
        mean = np.array(find(source.parent.name).input.mean_values, np.float32)
    except DownloadError as error:
        raise CamcompatError(
            "it holds pictures, and its folder is not named after a model of the catalogue, which would tell the mean",
            where=str(source),
            remedy="store what the net was fed as in/<blob>",
        ) from error
    names = [key.removeprefix("rgb/") for key in stored if key.startswith("rgb/")]
    pictures = [stored[f"rgb/{name}"][..., ::-1].astype(np.float32) - mean for name in names]
    (data,) = net.inputs
    maps = {"classes": np.stack([stored[f"top5/{name}"] for name in names])}
    maps["cams"] = np.stack([stored[f"maps/{name}"] for name in names])
    scores = {name: x.reshape(*x.shape, 1, 1) for name, x in stored.items() if x.ndim == 2 and _is_blob(net, name)}
    feeds = {data: np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))}
    return Evidence(source, feeds, {name: StoredBlob(x) for name, x in scores.items()}, maps)
