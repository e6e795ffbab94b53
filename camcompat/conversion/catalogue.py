"""From the catalogue's facts about a network to what its CAM file says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camcompat.cam.labels import read_labels
from camcompat.pictures.preprocess import encode_mean

if TYPE_CHECKING:
    from weights.models import Model

__all__ = ["description"]


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
