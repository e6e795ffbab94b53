"""What a user says about a network of their own, so that its file is complete: class names, and how pictures get in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from converters import Lowered
    from converters.cam.head import CamHead

__all__ = ["check_metadata", "merged", "metadata_of"]


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
        from camcompat.cam.labels import read_labels

        found["labels"] = list(read_labels(labels))
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
        from camcompat.pictures.preprocess import Preprocess

        shape = [dim if isinstance(dim, int) else str(dim) for dim in lowered.graph.inputs[0].shape]
        Preprocess.from_mapping(metadata["preprocess"], input_shape=shape, where=f"{lowered.net.source}: preprocess")
    if metadata and metadata.get("labels") and head is not None:
        from camcompat.cam.labels import read_labels

        read_labels(metadata["labels"], count=head.classes)


def _mean(text: str) -> Any:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        pass
    if not Path(text).is_file():
        raise CamcompatError(
            f"mean is {text!r}", where="--mean", remedy="expected numbers such as 104,117,123, or a mean file"
        )
    from camcompat.pictures.preprocess import encode_mean
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
