"""What the docstring of a written file says: where it comes from, and what it wants as input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters.torch_backend.source.plan import Plan

__all__ = ["paragraphs"]


def paragraphs(plan: Plan, source: str, metadata: Mapping[str, Any]) -> list[str]:
    """The paragraphs of the docstring."""
    found = [f"{plan.name}: a Caffe net in PyTorch.", " ".join(_origin(source, metadata))]
    found.append(" ".join([*_inputs(plan), _preprocess(plan, metadata)]).strip())
    moved = [(layer, path) for layer, path in plan.layers().items() if "." in path]
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


def _inputs(plan: Plan) -> Iterator[str]:
    for name, shape in plan.inputs():
        yield f"Input {name}: float32 ({', '.join(map(str, shape))})."


def _preprocess(plan: Plan, metadata: Mapping[str, Any]) -> str:
    recipe = metadata.get("preprocess")
    if isinstance(recipe, Mapping):
        return " ".join(_recipe(recipe))
    pictures = any(len(shape) == 4 and shape[1] == 3 for _, shape in plan.inputs())
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
