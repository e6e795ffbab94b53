"""Outputs of Caffe itself, stored in `.npz` files: beside a net, given by hand, or in a folder of references."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prototxt.errors import CamcompatError, PrototxtError
from weights.downloads.verify_file import digests_of

if TYPE_CHECKING:
    from prototxt import Net

__all__ = ["Evidence", "Stored", "find_evidence", "read_evidence", "references"]

NETS = {
    "googlenet-cam-imagenet": "deploy_googlenetCAM",
    "vgg16-cam-imagenet": "deploy_vgg16CAM",
    "googlenet-cam-places205": "deploy_googlenetCAM_places205",
    "alexnetplus-cam-imagenet": "deploy_alexnetplusCAM_imagenet",
    "alexnetplus-cam-places205": "deploy_alexnetplusCAM_places205",
}
"""Stored outputs in ``nets/`` (synthetic weights), and the prototxt in ``cam/models/`` that they belong to."""

# The sha256 of open_nsfw's prototxt and the git blob of its caffemodel: what nets/open_nsfw.npz was computed from.
OPEN_NSFW = (
    "a359e2d7b23abca938bb52580acf578c1b78870263fea814afa294fb4f315a4b",
    "c4f31059fcc1433112eefd3d100e4410a704d6a7",
)
SQUEEZENET = "squeezenet_v10_deepcomp"
SQUEEZENET_MEAN = np.array([104, 117, 123], np.float32)


@dataclass(frozen=True)
class Stored:
    """A stored blob: whole, or (``dims`` given) flattened and thinned to every ``stride``-th value.

    One with fewer images or channels than the blob holds the first images, and evenly spaced channels.
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

    def whole(self, blob: np.ndarray | None) -> np.ndarray | Stored:
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
    """What Caffe computed of given inputs: inputs by name, and blobs by the names that the file uses."""

    source: Path
    feeds: Mapping[str, np.ndarray]
    blobs: Mapping[str, Stored]
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: x.shape for name, x in self.feeds.items()}


def references() -> Path | None:
    """The folder of reference outputs: ``$CAMCOMPAT_SHARED``, or ``shared`` beside the checkout; None where missing."""
    named = os.environ.get("CAMCOMPAT_SHARED", "")
    folder = Path(named) if named else Path(__file__).resolve().parents[4] / "shared"
    return folder if folder.is_dir() else None


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
    found = [definition.with_name("io.npz")] if weights is not None else []
    folder = references()
    if folder is not None:
        found += _known(folder, definition, weights)
    return [read_evidence(path, net) for path in found if path.is_file()]


def _known(folder: Path, definition: Path, weights: Path | None) -> list[Path]:
    """The stored outputs whose prototxt and weights are these, by content."""
    digest, corpus = _sha256(definition), folder / "corpus"
    if weights is None:
        models = folder / "cam" / "models"
        nets = [(models / f"{prototxt}.prototxt", folder / "nets" / f"{name}.npz") for name, prototxt in NETS.items()]
        nets += [(path, corpus / "expected" / f"{path.stem}.npz") for path in sorted(corpus.glob("*.prototxt"))]
        return [npz for prototxt, npz in nets if _sha256(prototxt) == digest and not _of_real_weights(npz)]
    shapes = folder / "shapes-cam"
    known = [(shapes / "deploy.prototxt", shapes / "shapes-cam.caffemodel", shapes / "expected.npz")]
    for path in sorted((corpus / "weights").glob("*.caffemodel")):
        known.append((corpus / f"{path.stem}.prototxt", path, corpus / "expected" / f"{path.stem}.npz"))
        if path.stem == SQUEEZENET:
            known.append((*known[-1][:2], folder / "squeezenet" / "expected.npz"))
    found = []
    for prototxt, caffemodel, npz in known:
        if _sha256(prototxt) == digest and _sha256(caffemodel) == _sha256(weights):
            found.append(npz)
    if digest == OPEN_NSFW[0] and digests_of(weights, ["gitblob"])["gitblob"] == OPEN_NSFW[1]:
        found.append(folder / "nets" / "open_nsfw.npz")
    return found


def _of_real_weights(npz: Path) -> bool:
    if not npz.is_file():
        return False
    with np.load(npz) as file:
        return "real_weights" in file.files and bool(file["real_weights"])


def _sha256(path: Path) -> str:
    """Once per state of a file; "" where it is missing."""
    return _digest(path, path.stat().st_mtime_ns) if path.is_file() else ""


@lru_cache(maxsize=256)
def _digest(path: Path, changed: int) -> str:
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
    if "rgb/img1" in stored:
        return _squeezenet(source, stored)
    blobs = {}
    for key, array in stored.items():
        prefix, _, name = key.partition("/")
        name = name if prefix in ("out", "mid") else key
        if _is_blob(net, name) and name not in net.inputs:
            dims = stored.get(f"dims/{name}")
            shape = None if dims is None else tuple(int(size) for size in dims)
            blobs[name] = Stored(array, int(stored.get(f"stride/{name}", 1)), shape)
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


def _squeezenet(source: Path, stored: Mapping[str, np.ndarray]) -> Evidence:
    """SqueezeNet v1.0 on three pictures: the scores before the softmax, and the maps of their five best classes."""
    names = [key.removeprefix("rgb/") for key in stored if key.startswith("rgb/")]
    pictures = [stored[f"rgb/{name}"][..., ::-1].astype(np.float32) - SQUEEZENET_MEAN for name in names]
    data = np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2))
    maps = {"classes": np.stack([stored[f"top5/{name}"] for name in names])}
    maps["cams"] = np.stack([stored[f"maps/{name}"] for name in names])
    scores = stored["pool_final"]
    return Evidence(source, {"data": data}, {"pool_final": Stored(scores.reshape(*scores.shape, 1, 1))}, maps)
