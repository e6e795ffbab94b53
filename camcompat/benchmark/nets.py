"""The nets that are measured, with synthetic weights written as Caffe would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import prototxt
from camcompat.conversion.converter import as_files
from camcompat.verification.evidence import reference_prototxt
from camcompat.verification.subject import write_caffemodel
from converters import Synthetic
from prototxt.errors import CamcompatError
from weights.models import find

__all__ = ["BenchNet", "bench_nets", "vgg16"]

USUAL = ("shapes-cam", "googlenet-cam-imagenet", "vgg16-cam-imagenet", "alexnetplus-cam-imagenet")
"""What is measured where nothing is named: an architecture each."""

VGG16 = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


@dataclass(frozen=True)
class BenchNet:
    """A net with weights on disk.

    Attributes:
        name: what it is called.
        definition, caffemodel: its files.
        shape: of one picture's input.
        known: whether its name is the catalogue's.
    """

    name: str
    definition: Path
    caffemodel: Path
    shape: tuple[int, ...]
    known: bool = False


def bench_nets(words: Sequence[str], folder: Path) -> Iterator[BenchNet]:
    """The nets to measure: those named (catalogue names, or PROTOTXT [CAFFEMODEL]), else all that are at hand.

    Args:
        words: what the user named.
        folder: where synthetic weights are written, and removed when the caller goes on.

    Raises:
        CamcompatError: a name or file that does not exist.
    """
    files = as_files(words) if words else None
    if files:
        definition, caffemodel = (None if file is None else Path(file) for file in files)
        if definition is None:
            raise CamcompatError("the prototxt is missing", where=str(caffemodel), remedy="give PROTOTXT CAFFEMODEL")
        yield from _with_weights(definition.stem, definition, caffemodel, folder)
        return
    for name in words or USUAL:
        model = find(name)
        definition = model.path("prototxt") if model.path("prototxt").exists() else reference_prototxt(model)
        if definition is None:
            if words:
                raise CamcompatError("its prototxt is not at hand", where=name, remedy=f"`camcompat download {name}`")
            continue
        caffemodel = model.path("caffemodel")
        yield from _with_weights(name, definition, caffemodel if caffemodel.exists() else None, folder, known=True)


def _with_weights(
    name: str, definition: Path, caffemodel: Path | None, folder: Path, *, known: bool = False
) -> Iterator[BenchNet]:
    net = prototxt.load(definition)
    if len(net.inputs) != 1:
        raise CamcompatError(f"it has {len(net.inputs)} inputs", where=str(definition), remedy="name a net with one")
    (shape,) = net.inputs.values()
    path = caffemodel or write_caffemodel(net, Synthetic(), folder / f"{name}.caffemodel")
    yield BenchNet(name, definition, path, (1, *shape[1:]), known)
    if caffemodel is None:
        path.unlink()


def vgg16(width: float, folder: Path) -> BenchNet:
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
    path = write_caffemodel(prototxt.load(definition), Synthetic(), folder / "vgg16.caffemodel")
    return BenchNet(definition.name.removesuffix(".prototxt"), definition, path, (1, 3, 224, 224))


def _times(channels: int, width: float) -> int:
    return max(1, round(channels * width))
