"""A Caffe net as a Python file that needs nothing but PyTorch, and its weights as safetensors."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from converters.lowering.blobs import WeightsLike, blob_source
from converters.lowering.build import NetLike, build, umask
from converters.options import Options, Shapes
from converters.torch_backend.module import torch_module
from converters.torch_backend.net import TorchNet
from converters.torch_backend.source.net_source import NetSource
from weights import atomic

__all__ = ["python_source", "save_weights", "to_python", "write_python"]


def to_python(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    path: str | os.PathLike[str],
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write a Caffe net as Python source and, beside it, its weights as `.safetensors`.

    The source is an `nn.Module` as a person writes one: an attribute for each layer under its Caffe name, repeated
    structure as classes of its own, `load()` for the weights. It imports torch (and, to load, safetensors), nothing of
    camcompat.

    Args:
        prototxt, caffemodel, outputs, input_shapes, keep_losses: as for `to_torch`.
        path: the .py file to write; the weights get its name with the suffix .safetensors.
        metadata: what is known about the net, as for `to_onnx`: "preprocess" and "source" are told in the docstring.

    Returns:
        The path of the .py file.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.

    >>> from tempfile import mkdtemp
    >>> from weights.models import find
    >>> model = find("shapes-cam")
    >>> path = to_python(model.path("prototxt"), model.path("caffemodel"), Path(mkdtemp()) / "shapes.py")
    >>> "self.CAM_conv = nn.Conv2d(64, 96, 3, padding=1, groups=2)" in path.read_text()
    True
    """
    from converters.provenance import provenance

    blobs = blob_source(caffemodel)
    options = Options(outputs=outputs, input_shapes=input_shapes, keep_losses=keep_losses)
    lowered = build(prototxt, blobs, options)
    lowered.warn()
    origin = provenance(lowered, blobs, options=options.recorded(), packages=("torch",))
    about = {**(metadata or {}), "provenance": origin}
    return write_python(torch_module(lowered), Path(path), source=lowered.net.source, metadata=about)


def write_python(module: TorchNet, path: Path, *, source: str, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write the source and the safetensors of a converted module; both appear, or neither.

    Args:
        module: from `to_torch`.
        path: the .py file.
        source: what it was made from, for the docstring.
        metadata: see `to_python`; "provenance" is `converters.provenance.provenance`'s.
    """
    text = python_source(module, source=Path(source).name, metadata=metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.staging(path.parent) as stage:
        files = [save_weights(module, stage / path.with_suffix(".safetensors").name, metadata), stage / path.name]
        files[1].write_text(text, encoding="utf-8")
        atomic.publish(files, path.parent)
    return path


def save_weights(module: TorchNet, path: Path, metadata: Mapping[str, Any] | None = None) -> Path:
    """The state of a module as safetensors, under the keys of its source; shared tensors once for each layer.

    Under the metadata key `camcompat` (JSON): `layers`, Caffe's layer names → where they are in the source; and what
    `metadata` says of `provenance`, `preprocess` and `source`.
    """
    from safetensors.torch import save_file

    written = NetSource(module)
    state = {written.key(name): tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}
    kept = {name: value for name, value in (metadata or {}).items() if name in ("provenance", "preprocess", "source")}
    about = json.dumps({"layers": written.layers(), **kept}, sort_keys=True, default=str)
    with atomic.replacing(path) as temporary:
        save_file(state, str(temporary), metadata={"camcompat": about})
        temporary.chmod(0o666 & ~umask())  # safetensors makes it private
    return path


def python_source(
    module: TorchNet,
    *,
    source: str = "a Caffe net",
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """The module as the text of a Python file."""
    written = NetSource(module)
    return written.text(_paragraphs(written, source, metadata or {}))


def _paragraphs(written: NetSource, source: str, metadata: Mapping[str, Any]) -> list[str]:
    """What the docstring of a written file says: where it comes from, and what it wants as input."""
    found = [f"{written.name}: a Caffe net in PyTorch.", " ".join(_origin(source, metadata))]
    found.append(" ".join([*_inputs(written), _preprocess(written, metadata)]).strip())
    moved = [(layer, path) for layer, path in written.layers().items() if "." in path]
    names = "Attributes carry the names of the Caffe layers"
    if moved:
        layer, path = moved[0]
        names += f", those of repeated structure inside of it: layer {layer} is {path}"
    found.append(f"{names}. load() reads the weights from the .safetensors beside this file; they are a state_dict.")
    return [each for each in found if each]


def _origin(source: str, metadata: Mapping[str, Any]) -> Iterator[str]:
    origin: Mapping[str, Any] = metadata.get("provenance", {})
    version = origin.get("versions", {}).get("camcompat", "")
    yield f"Written by camcompat{f' {version}' if version and version != 'source' else ''} from {source}."
    for what in ("prototxt", "caffemodel"):
        entry = origin.get(what, {})
        if "sha256" in entry:
            yield f"{entry.get('file', what)}: sha256 {entry['sha256']}."
    about = metadata.get("source", {})
    if isinstance(about, Mapping):
        told = [str(about[key]) for key in ("title", "address", "licence") if about.get(key)]
        if told:
            yield f"The model: {', '.join(told)}."


def _inputs(written: NetSource) -> Iterator[str]:
    for name, shape in written.inputs():
        yield f"Input {name}: float32 ({', '.join(map(str, shape))})."


def _preprocess(written: NetSource, metadata: Mapping[str, Any]) -> str:
    recipe = metadata.get("preprocess")
    if isinstance(recipe, Mapping):
        return " ".join(_recipe(recipe))
    pictures = any(len(shape) == 4 and shape[1] == 3 for _, shape in written.inputs())
    habit = "Caffe's pictures are BGR from 0 to 255 minus the training set's mean; the prototxt does not tell which."
    return habit if pictures else ""


def _recipe(recipe: Mapping[str, Any]) -> Iterator[str]:
    mean = recipe.get("mean")
    told = f" minus the mean {_numbers(mean)}" if isinstance(mean, (list, tuple)) and len(mean) <= 4 else ""
    scale = f", times {recipe['scale']:g}" if recipe.get("scale") not in (None, 1, 1.0) else ""
    yield f"{recipe.get('channels', 'BGR')} pixels from 0 to 255{told}{scale};"
    size, crop = recipe.get("resize"), recipe.get("crop")
    if isinstance(size, int):
        yield f"the picture's shorter side is resized to {size},"
    elif size:
        yield f"the picture is resized to {' x '.join(map(str, size))},"
    if crop:
        yield f"of which the central {' x '.join(map(str, crop))} are taken."


def _numbers(values: Any) -> str:
    return f"({', '.join(f'{float(value):g}' for value in values)})"
