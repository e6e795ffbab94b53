"""``cache_groundtruth.mat`` of the ILSVRC development kit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from camcompat.evaluation.ground_truth import Truth
from prototxt.errors import CamcompatError

__all__ = ["load_mat", "read_mat"]


def load_mat(path: Path) -> dict[str, np.ndarray]:
    """Return the variables of a MATLAB file.

    Raises:
        CamcompatError: not a MATLAB file, or a damaged one.
    """
    from scipy.io import loadmat  # slow to import
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(str(path), appendmat=False)
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, MatReadError) as error:
        remedy = "download it again (files of MATLAB's version 7.3 must be saved as version 7)"
        raise CamcompatError(f"is no MATLAB file that can be read: {error}", where=str(path), remedy=remedy) from None
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def read_mat(path: Path) -> Iterator[Truth]:
    """The pictures of ``rec``, a struct array with ``objects``, each of which has ``label`` and ``bbox``.

    SciPy gives the boxes in the small integers that the file packs them in: they become float64 before any arithmetic.

    Raises:
        CamcompatError: a file without them.
    """
    remedy = "expected cache_groundtruth.mat of the ILSVRC development kit: rec(i).objects(j).label and .bbox"
    records = load_mat(path).get("rec")
    if records is None or records.dtype.names != ("objects",):
        raise CamcompatError("holds no struct array rec with objects", where=str(path), remedy=remedy)
    for number, objects in enumerate(records["objects"].ravel(), 1):
        picture = f"ILSVRC2012_val_{number:08d}"
        try:
            labels = tuple(int(label.item()) for label in objects["label"].ravel())
            boxes = np.array([box.ravel().astype(np.float64) for box in objects["bbox"].ravel()])
        except (AttributeError, IndexError, TypeError, ValueError):
            labels, boxes = (), np.zeros(0)
        if not labels or boxes.shape != (len(labels), 4):
            raise CamcompatError("has no labels and boxes", where=f"{path}: rec({number})", remedy=remedy)
        yield Truth(picture, labels, boxes)
