"""Class activation maps of the ONNX file against those that an oracle's features give."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from camcompat.verification.compare import SUMS, compare_blob, least_top5, tolerance_of
from camcompat.verification.report.findings import MapAgreement

if TYPE_CHECKING:
    from camcompat.boxes.rule import Corners
    from camcompat.verification.subject import Arrays, Subject
    from converters.cam.head import CamHead

__all__ = ["compare_maps", "reference_maps"]

TOP = 5
EXAMPLES = 4


def reference_maps(head: CamHead, features: np.ndarray, prob: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps of the five best classes, in float64.

    Args:
        head: the CAM head, with the classifier's weights as the caffemodel has them.
        features: (N, C, h, w); prob: (N, classes) in any shape.

    Returns:
        classes (N, k) and maps (N, k, h, w).
    """
    classes = np.argsort(-prob.reshape(len(features), -1), axis=1, kind="stable")[:, :TOP]
    return classes, class_maps(head, features, classes)


def class_maps(head: CamHead, features: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """The maps of these classes: features · classifier weights, in float64 (CVPR 2016, equation 2)."""
    features = features.astype(np.float64)
    if head.weight is None:
        return np.asarray(features[np.arange(len(features))[:, None], classes])
    assert head.weight.data is not None
    rows = np.asarray(head.weight.data, np.float64).reshape(head.classes, -1)[classes]
    return np.asarray(np.einsum("nkc,nchw->nkhw", rows, features))


def compare_maps(
    subject: Subject, feeds: Arrays, classes: np.ndarray, maps: np.ndarray, scores: np.ndarray | None = None
) -> MapAgreement | None:
    """Compare the file's maps of the reference's best classes with the reference's maps.

    Args:
        subject: the net, whose file has CAM outputs.
        feeds: the input.
        classes: (N, k) indices, maps: (N, k, h, w) of the reference.
        scores: (N, classes) of the reference: classes of equal score up to rounding may change places.

    Returns:
        None where the file has none of these maps.
    """
    head = subject.head
    if head is None:
        return None
    outputs = subject.run_file(feeds, top=head.classes)
    ranked, cams = outputs["classes"][: len(maps)], outputs["cams"][: len(maps)]
    pairs = [
        (n, k, int(np.flatnonzero(ranked[n] == c)[0]))
        for n, row in enumerate(classes)
        for k, c in enumerate(row)
        if c in ranked[n]
    ]
    if not pairs:
        return None
    theirs = np.stack([maps[n, k] for n, k, _ in pairs])
    ours = np.stack([cams[n, place] for n, _, place in pairs])
    labels = subject.metadata.get("labels") or ()
    named = [labels[c] if c < len(labels) else f"class {c}" for c in (int(classes[n, k]) for n, k, _ in pairs)]
    return MapAgreement(
        relative=compare_blob(ours, theirs)[1],
        rank=min(_rank_correlation(a, b) for a, b in zip(ours, theirs)),
        iou=_least_iou(ours, theirs, next(iter(feeds.values())).shape[-2:]),
        top5=_top5(ranked, classes, scores),
        count=len(pairs),
        tolerance=tolerance_of("Softmax", subject.dtype),  # sums over all features, as loose as a softmax
        least_top5=least_top5(subject.dtype),
        examples=tuple((named[i], theirs[i], ours[i]) for i in range(min(EXAMPLES, len(pairs)))),
    )


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import spearmanr

    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 1.0 if np.allclose(a, b) else 0.0
    return float(spearmanr(a.reshape(-1), b.reshape(-1)).statistic)


def _top5(ranked: np.ndarray, classes: np.ndarray, scores: np.ndarray | None) -> float:
    hits = []
    for n, row in enumerate(classes):
        best = {int(c) for c in ranked[n, : len(row)]}
        allowed = {int(c) for c in row}
        if scores is not None:
            of = scores[n].reshape(-1)
            allowed = {int(c) for c in np.flatnonzero(of >= of[row].min() - SUMS * np.abs(of).max())}
        hits.append(len(best & allowed) / len(row))
    return float(np.mean(hits))


def _least_iou(ours: np.ndarray, theirs: np.ndarray, size: tuple[int, int]) -> float | None:
    """The least intersection over union of the maps' boxes, by the paper's rule, at the input's size."""
    from PIL import Image

    from camcompat.boxes.rule import find_boxes, overlaps

    def first_box(cam: np.ndarray) -> Corners | None:
        whole = np.asarray(Image.fromarray(cam.astype(np.float32)).resize(size[::-1], Image.Resampling.BICUBIC))
        boxes = find_boxes(whole, rule="paper")
        return boxes[0].corners if boxes else None

    pairs = [(first_box(a), first_box(b)) for a, b in zip(ours, theirs)]
    if not any(a or b for a, b in pairs):
        return None
    return min(max(0.0, float(overlaps(np.array(a), np.array(b)))) if a and b else float(a == b) for a, b in pairs)
