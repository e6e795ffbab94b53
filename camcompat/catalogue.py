"""From the catalogue's facts about a network to what its CAM file says about itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from camcompat.labels import read_labels

if TYPE_CHECKING:
    from weights.catalog import Model

__all__ = ["description"]


def description(model: Model) -> dict[str, Any]:
    """Return the entries "preprocess", "labels" (where known) and "source" of a CAM file's metadata.

    Args:
        model: an entry of the catalogue; its labels file is read where it is present.

    Raises:
        CamcompatError: the labels file is damaged.

    >>> from weights.catalog import find
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
    if model.labels:
        found["labels"] = list(model.labels)
    elif "labels" in model.kinds and model.path("labels").is_file():
        found["labels"] = list(read_labels(model.path("labels")))
    return found
