"""The nets that are measured, with synthetic weights written as Caffe would."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import converters
import prototxt
import weights
from camcompat.conversion.sources import as_files
from prototxt.errors import CamcompatError
from weights.models import find

__all__ = ["Subject", "subjects", "vgg16"]

CAM_NETS = {
    "googlenet-cam-imagenet": "deploy_googlenetCAM",
    "vgg16-cam-imagenet": "deploy_vgg16CAM",
    "alexnetplus-cam-imagenet": "deploy_alexnetplusCAM_imagenet",
}
VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


@dataclass(frozen=True)
class Subject:
    """A net with weights on disk; `shape`: one picture's input; `known`: its name is the catalogue's."""

    name: str
    definition: Path
    caffemodel: Path
    shape: tuple[int, ...]
    known: bool = False


class _Recording(converters.Synthetic):
    """Synthetic weights that remember what was asked for, so that they can be written as a caffemodel."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, dict[int, np.ndarray]] = {}

    def get(self, layer: prototxt.Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        array = super().get(layer, index, shape)
        self.asked.setdefault(layer.name, {})[index] = array
        return array


def synthetic_caffemodel(net: prototxt.Net, path: Path) -> Path:
    """Write a caffemodel with synthetic weights for a net."""
    source = _Recording()
    converters.lower(net, source)
    weights.write(path, net.message, {name: [blobs[i] for i in sorted(blobs)] for name, blobs in source.asked.items()})
    return path


def subjects(words: Sequence[str], folder: Path) -> Iterator[Subject]:
    """The nets to measure: those named (catalogue names, or PROTOTXT [CAFFEMODEL]), else all that are at hand.

    Args:
        words: what the user named.
        folder: where synthetic weights are written, and removed when the caller goes on.

    Raises:
        CamcompatError: a name or file that does not exist.
    """
    files = as_files(words) if words else None
    if files:
        definition, model = (None if file is None else Path(file) for file in files)
        if definition is None:
            raise CamcompatError("the prototxt is missing", where=str(model), remedy="give PROTOTXT CAFFEMODEL")
        yield from _subject(definition.stem, definition, model, folder)
        return
    for name in words or ("shapes-cam", *CAM_NETS):
        found = _definition(name)
        if found is None:
            if words:
                raise CamcompatError("its prototxt is not at hand", where=name, remedy=f"`camcompat download {name}`")
            continue
        model = find(name).path("caffemodel")
        yield from _subject(name, found, model if model.exists() else None, folder, known=True)


def _subject(
    name: str, definition: Path, caffemodel: Path | None, folder: Path, *, known: bool = False
) -> Iterator[Subject]:
    net = prototxt.load(definition)
    if len(net.inputs) != 1:
        raise CamcompatError(f"it has {len(net.inputs)} inputs", where=str(definition), remedy="name a net with one")
    (shape,) = net.inputs.values()
    path = caffemodel or synthetic_caffemodel(net, folder / f"{name}.caffemodel")
    yield Subject(name, definition, path, (1, *shape[1:]), known)
    if caffemodel is None:
        path.unlink()


def _definition(name: str) -> Path | None:
    """A catalogue net's prototxt: downloaded, or in the folder of reference outputs."""
    path = find(name).path("prototxt")
    if path.exists():
        return path
    reference = Path(os.environ.get("CAMCOMPAT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    path = reference / "cam" / "models" / f"{CAM_NETS.get(name, name)}.prototxt"
    return path if path.exists() else None


def vgg16(width: float, folder: Path) -> Subject:
    """VGG16 with `width` times its channels: its file grows with the square, 553 MB at 1."""
    layers, below = [], "data"
    for block, (channels, count) in enumerate(VGG16, 1):
        for i in range(1, count + 1):
            parameters = f"convolution_param {{ num_output: {_times(channels, width)} kernel_size: 3 pad: 1 }}"
            layers.append((f"conv{block}_{i}", "Convolution", parameters))
        layers.append((f"pool{block}", "Pooling", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"))
    for name, outputs in (("fc6", _times(4096, width)), ("fc7", _times(4096, width)), ("fc8", 1000)):
        layers.append((name, "InnerProduct", f"inner_product_param {{ num_output: {outputs} }}"))
    text = 'name: "VGG16" input: "data" input_shape { dim: 1 dim: 3 dim: 224 dim: 224 }\n'
    for name, kind, parameters in layers:
        text += f'layer {{ name: "{name}" type: "{kind}" bottom: "{below}" top: "{name}" {parameters} }}\n'
        below = name
    definition = folder / f"vgg16, {width:.2g} of its channels.prototxt"
    definition.write_text(text)
    path = synthetic_caffemodel(prototxt.load(definition), folder / "vgg16.caffemodel")
    return Subject(definition.name.removesuffix(".prototxt"), definition, path, (1, 3, 224, 224))


def _times(channels: int, width: float) -> int:
    return max(1, round(channels * width))
