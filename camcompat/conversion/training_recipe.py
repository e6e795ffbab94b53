"""How pictures get into a network, where its training definition says it: Caffe's DataTransformer as a recipe."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camcompat.conversion.metadata import check_metadata, merged
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from converters import Lowered
    from prototxt import Net

__all__ = ["completed", "recipe_of"]

Recipe = dict[str, Any]


def completed(lowered: Lowered, metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The metadata of a net, with the recipe of its training definition under what is given; a warning says it."""
    from converters import CamcompatWarning

    recipe, problem = recipe_of(lowered.net)
    given = (metadata or {}).get("preprocess") or {}
    own = {key: value for key, value in recipe.items() if key not in given}
    if not own or lowered.graph.inputs[0].name != next(iter(lowered.net.inputs)):
        return metadata
    whole = merged({"preprocess": own}, metadata or {})
    notes = [f"pictures are prepared as the training definition's data layer did: {_spelt(own)}"]
    if problem and "mean" not in given:
        notes.insert(0, problem)
    try:
        check_metadata(lowered, None, whole)
    except CamcompatError as error:
        if given:
            return metadata  # which is checked by itself
        notes, whole = [f"the training definition's preprocessing is not taken over: {error}"], dict(metadata or {})
    for note in notes:
        warnings.warn(f"{lowered.net.source}: {note}", CamcompatWarning, stacklevel=3)
    return whole


def recipe_of(net: Net) -> tuple[Recipe, str]:
    """Read the preprocessing that the net's data layer did, before it became an input.

    Source: ``data_transformer.cpp``: (pixel - mean) · scale of the crop; ``image_data_layer.cpp``: new_height and
    new_width stretch. Where pictures came from a database of unknown size, a mean image tells its size.

    Args:
        net: a net out of a training definition (`prototxt.deploy`); of any other nothing is known.

    Returns:
        Values for `Preprocess.from_mapping` ("mean", "scale", "resize"), and what is wrong with the mean file, "" if
        nothing is.

    >>> import prototxt
    >>> text = 'layer { type: "Data" top: "data" transform_param { scale: 0.5 mean_value: 9 crop_size: 8 } }'
    >>> net = prototxt.deploy(prototxt.loads(text + 'layer { type: "ReLU" bottom: "data" top: "y" }'),
    ...                       input_shapes={"data": (1, 3, 8, 8)})
    >>> recipe_of(net)[0]
    {'mean': [9.0], 'scale': 0.5}
    """
    layer = next((layer for layer in net.layers if layer.type == "Input"), None)
    if layer is None or not layer.message.HasField("transform_param") or len(net.inputs[layer.tops[0]]) != 4:
        return {}, ""
    transform, images = layer.message.transform_param, layer.message.image_data_param
    height, width = net.inputs[layer.tops[0]][2:]
    recipe: Recipe = {"mean": 0.0}
    problem = ""
    if transform.mean_value:
        recipe["mean"] = list(transform.mean_value)
    elif transform.mean_file:
        problem = _mean_image(recipe, transform.mean_file, net.source)
    if transform.HasField("scale"):
        recipe["scale"] = float(transform.scale)
    resize = transform.resize_param
    for size in ((images.new_height, images.new_width), (resize.height, resize.width)):
        if all(size) and resize.resize_mode != resize.FIT_SMALL_SIZE:
            recipe["resize"] = list(map(int, size))
            break
    else:
        if not transform.crop_size and not transform.crop_h:
            recipe["resize"] = [height, width]  # whole pictures
    return recipe, problem


def _mean_image(recipe: Recipe, name: str, source: str) -> str:
    """The mean file, where Caffe would find it, or beside the definition; what is wrong with it."""
    from camcompat.pictures.preprocess import encode_mean
    from weights import read_mean

    beside = Path(source).parent
    path = next((each for each in (Path(name), beside / name, beside / Path(name).name) if each.is_file()), None)
    del recipe["mean"]
    if path is None:
        return f"the mean file {name} is not here; the usual mean takes its place: give --mean FILE"
    try:
        image = read_mean(path)
    except CamcompatError as error:
        return f"{error}; the usual mean takes its place"
    recipe["mean"] = encode_mean(image)
    recipe["resize"] = [int(size) for size in image.shape[1:]]  # the size that the database's pictures have
    return ""


def _spelt(recipe: Mapping[str, Any]) -> str:
    words = []
    for key, value in recipe.items():
        shown = "x".join(map(str, value["shape"])) if isinstance(value, dict) else value
        shown = ", ".join(f"{number:g}" for number in shown) if isinstance(shown, list) else shown
        words.append(f"{key} {shown:g}" if isinstance(shown, float) else f"{key} {shown}")
    return "; ".join(words)
