"""The CVPR 2016 release's own numbers: `CAM_fc` against its `weights_LR`, and one picture's activations and scores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.verification.compare import WHOLE, BlobError, compare_blob
from camcompat.verification.evidence import references
from camcompat.verification.oracles.registry import Inquiry, NotAtHand, Oracle, oracle
from camcompat.verification.report.findings import Finding

if TYPE_CHECKING:
    from camcompat.verification.report.findings import OracleResult
    from camcompat.verification.subject import Subject

__all__ = ["release"]

CLASSIFIER, CHANNELS, CLASSES = "CAM_fc", 1024, 1000
# The cached activations were computed on a GPU, of a picture that MATLAB had decoded and resized.
ACTIVATIONS, SCORES = 1e-2, 1e-2


@oracle("the release's cached activations", place=20)
def release(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """GoogLeNet-CAM against what its authors stored of it.

    `data_net.mat` and `data_img1.mat` lie in the folder that was named, or in the folder of references.
    """
    subject = inquiry.subject
    weights = _classifier(subject)
    if weights is None:
        raise NotAtHand("it is about GoogLeNet-CAM for ImageNet only")
    files = _folder(inquiry.release)
    published = _mat(files / "data_net.mat")["weights_LR"].T
    result = self.result(version=files.name)
    place = next(i for i, layer in enumerate(subject.net.layers) if layer.name == CLASSIFIER)
    errors = compare_blob(weights, published)
    if errors[2] < 0.5:  # other weights have nothing to do with these
        raise NotAtHand(f"these are not the published weights: {CLASSIFIER} and weights_LR have cosine {errors[2]:.3f}")
    result.blobs.append(
        BlobError("weights_LR", CLASSIFIER, "InnerProduct", place, published.shape, *errors, WHOLE, None, "weights")
    )
    if not result.blobs[0].ok:
        result.status = "differs"
        words = f"{CLASSIFIER}'s weights are not the published weights_LR: they differ by {errors[1]:.1e}"
        result.finding = Finding(CLASSIFIER, "InnerProduct", "weights_LR", errors[1], {}, words)
    _picture(subject, files, result, place)
    yield result


def _classifier(subject: Subject) -> np.ndarray | None:
    """`CAM_fc`'s weights (1000, 1024), if the net has them."""
    for x in subject.lowered.graph.constants():
        if x.layer == CLASSIFIER and x.name == "weight" and x.data is not None and x.data.size == CHANNELS * CLASSES:
            return np.asarray(x.data).reshape(CLASSES, CHANNELS)
    return None


def _folder(folder: str | os.PathLike[str] | None) -> Path:
    stored = references()
    path = Path(folder) if folder is not None else stored / "cam" if stored is not None else None
    if path is None or not (path / "data_net.mat").is_file():
        raise NotAtHand("data_net.mat of the release is not at hand (--release FOLDER)")
    return path


def _mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    arrays: dict[str, Any] = loadmat(str(path))
    return arrays


def _picture(subject: Subject, files: Path, result: OracleResult, depth: int) -> None:
    """img1 through the net: activations and scores of its ten crops, as far as prepared crops are at hand."""
    cached, prepared = files / "data_img1.mat", files / "expected" / "prepare_img1.npz"
    if not cached.is_file() or not prepared.is_file():
        result.notes.append("img1 was not run: data_img1.mat or its prepared crops are not at hand")
        return
    stored = _mat(cached)
    with np.load(prepared) as file:
        crops, places = file["crops_demo256"], [int(i) for i in file["demo256_crop_index"]]
    feeds = {subject.lowered.graph.inputs[0].name: np.ascontiguousarray(crops, np.float32)}
    # W x H x C x crop in MATLAB's order; Caffe's is crop, C, H, W.
    theirs = stored["activation_lastconv"].transpose(3, 2, 1, 0)[places]
    scores = stored["scores"].reshape(CLASSES, 10).T[places]
    assert subject.head is not None
    graph = subject.lowered.graph
    names = [name for name, x in graph.blobs.items() if x is subject.head.features or x is subject.head.prob]
    ours = subject.run_onnx(feeds, names)
    pairs = []
    for name, value in ours.items():
        features = graph.blobs[name] is subject.head.features
        pairs.append((name, value, theirs if features else scores.reshape(value.shape)))
    for name, value, right in pairs:
        limit = ACTIVATIONS if value.ndim == 4 else SCORES
        errors = compare_blob(value, right)
        error = BlobError(name, name, "", depth, right.shape, *errors, limit, None, f"img1, crops {places}")
        result.blobs.append(error)
        if not error.ok and result.status == "agrees":
            result.status, words = "differs", f"{name} of img1 differs from the release's by {errors[1]:.1e}"
            result.finding = Finding(name, "", name, errors[1], {}, words)
