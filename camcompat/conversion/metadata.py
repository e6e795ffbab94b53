"""What a file says about its network beside the graph: class names, how pictures get in, whose work it is.

It comes from the user, from the catalogue, or from the definition that the network was trained by.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from camcompat.cam.labels import read_labels
from camcompat.pictures.preprocess import Preprocess, encode_mean
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from converters import Lowered
    from converters.cam.head import CamHead
    from prototxt import Net
    from weights.models import Model

__all__ = ["check_metadata", "completed", "description", "merged", "metadata_of", "recipe_of"]

Recipe = dict[str, Any]


def metadata_of(
    *,
    labels: str | None = None,
    mean: str | None = None,
    resize: str | None = None,
    scale: float | None = None,
    channels: str | None = None,
) -> dict[str, Any]:
    """Return the entries "labels" and "preprocess" of a file's metadata, as far as they are given.

    Args:
        labels: a file of class names (see ``camcompat.cam.labels.read_labels``).
        mean: numbers in the network's channel order ("104,117,123"), or a mean file (.binaryproto, .npy, .mat).
        resize: before the crop: the shorter side ("256"), height and width ("256x256"), or "none".
        scale: factor applied after the mean is subtracted.
        channels: "BGR", "RGB" or "GRAY".

    Raises:
        CamcompatError: a file that cannot be read, or text that is none of these.

    >>> metadata_of(mean="104,117,123", resize="256x256")
    {'preprocess': {'mean': [104.0, 117.0, 123.0], 'resize': [256, 256]}}
    """
    recipe: dict[str, Any] = {}
    if mean is not None:
        recipe["mean"] = _mean(mean)
    if resize is not None:
        recipe["resize"] = _resize(resize)
    if scale is not None:
        recipe["scale"] = scale
    if channels is not None:
        recipe["channels"] = channels.upper()
    found: dict[str, Any] = {"preprocess": recipe} if recipe else {}
    if labels is not None:
        found["labels"] = list(read_labels(labels))
    return found


def description(model: Model) -> dict[str, Any]:
    """Return the entries "preprocess", "labels" (where known) and "source" of a CAM file's metadata.

    Args:
        model: an entry of the catalogue; its labels and its mean image are read where they are present, else the mean
            is the catalogue's, one value per channel.

    Raises:
        CamcompatError: the labels file or the mean file is damaged.

    >>> from weights.models import find
    >>> description(find("shapes-cam"))["preprocess"]["crop"]
    [96, 96]
    """
    taken = model.input
    mean = taken.mean_values if taken.color == "BGR" else taken.mean_values[::-1]  # the catalogue always writes B, G, R
    found: dict[str, Any] = {
        "preprocess": {
            "resize": list(taken.resize) if isinstance(taken.resize, tuple) else taken.resize,
            "crop": list(taken.crop),
            "mean": list(mean),
            "scale": taken.scale,
            "channels": taken.color,
        },
        "source": {"name": model.name, "title": model.title, "address": model.source, "licence": model.licence},
    }
    if "mean" in model.kinds and model.path("mean").is_file():  # the whole image, as the release subtracts it
        from weights import read_mean

        image = read_mean(model.path("mean"))
        found["preprocess"]["mean"] = encode_mean(image if taken.color == "BGR" else image[::-1])
    if model.labels:
        found["labels"] = list(model.labels)
    elif "labels" in model.kinds and model.path("labels").is_file():
        found["labels"] = list(read_labels(model.path("labels")))
    return found


def merged(known: Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the catalogue knows, with what the user gives in its place.

    >>> merged({"labels": ["cup"], "preprocess": {"scale": 1, "resize": 256}}, {"preprocess": {"scale": 2}})
    {'labels': ['cup'], 'preprocess': {'scale': 2, 'resize': 256}}
    """
    both = {**(known or {}), **given}
    if "preprocess" in given:
        both["preprocess"] = {**((known or {}).get("preprocess") or {}), **given["preprocess"]}
    return both


def check_metadata(lowered: Lowered, head: CamHead | None, metadata: Mapping[str, Any] | None) -> None:
    """Refuse a recipe that does not fit the network's input, and labels that are not one per class.

    Raises:
        CamcompatError: which, and what was expected.
    """
    if metadata and metadata.get("preprocess"):
        shape = [dim if isinstance(dim, int) else str(dim) for dim in lowered.graph.inputs[0].shape]
        Preprocess.from_mapping(metadata["preprocess"], input_shape=shape, where=f"{lowered.net.source}: preprocess")
    if metadata and metadata.get("labels") and head is not None:
        read_labels(metadata["labels"], count=head.classes)


def completed(lowered: Lowered, metadata: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The metadata of a net, with the recipe of its training definition under what is given; a note says so."""
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
    lowered.notes += [f"{lowered.net.source}: {note}" for note in notes]
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


def _mean(text: str) -> Any:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        pass
    if not Path(text).is_file():
        raise CamcompatError(
            f"mean is {text!r}", where="--mean", remedy="expected numbers such as 104,117,123, or a mean file"
        )
    from weights import read_mean

    image = read_mean(text)
    return [float(value) for value in image.ravel()] if image.shape[1:] == (1, 1) else encode_mean(image)


def _resize(text: str) -> int | list[int] | None:
    sides = text.lower().split("x")
    if text.lower() == "none":
        return None
    if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
        raise CamcompatError(f"resize is {text!r}", where="--resize", remedy="expected 256, 256x256 (HxW) or none")
    return int(sides[0]) if len(sides) == 1 else [int(side) for side in sides]
