"""Losses and Accuracy against torch's functions, or numbers worked out by hand: modes that no conformance case has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from small_nets import check, net
from torch.nn import functional as F

import converters
from prototxt.errors import CamcompatError

BACKENDS = pytest.mark.parametrize("backend", parity.BACKENDS)


def loss(kind: str, parameters: str = "", bottoms: str = 'bottom: "data" bottom: "label"', tops: str = "loss") -> str:
    named = " ".join(f'top: "{top}"' for top in tops.split())
    return f'layer {{ name: "loss" type: "{kind}" {bottoms} {named} {parameters} }}'


def scores(*shape: int, seed: int = 0) -> np.ndarray:
    return (np.random.RandomState(seed).standard_normal(shape) * 3).astype(np.float32)


def labels(classes: int, *shape: int) -> np.ndarray:
    return np.random.RandomState(1).randint(0, classes, shape).astype(np.float32)


def double(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).double()


SPATIAL = scores(3, 4, 2, 5)
SPATIAL_LABELS = labels(4, 3, 1, 2, 5)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "ignore", "divisor"),
    [
        ("", None, 30),
        ("loss_param { normalization: FULL ignore_label: 1 }", 1, 30),
        ("loss_param { normalization: VALID ignore_label: 1 }", 1, "valid"),
        ("loss_param { normalization: BATCH_SIZE ignore_label: 1 }", 1, 3),
        ("loss_param { normalization: NONE ignore_label: 1 }", 1, 1),
        ("loss_param { normalize: true ignore_label: 255 }", None, 30),
        ("loss_param { normalize: false }", None, 3),
        ("loss_param { normalize: true normalization: NONE }", None, 1),
        ("loss_weight: 0.25", None, 30),  # scales the gradient and the net's total, not the blob
    ],
)
def test_softmax_with_loss(
    parameters: str, ignore: int | None, divisor: int | str, backend: str, tmp_path: Path
) -> None:
    target = torch.from_numpy(SPATIAL_LABELS[:, 0]).long()
    total = F.cross_entropy(double(SPATIAL), target, ignore_index=-1 if ignore is None else ignore, reduction="sum")
    count = int((target != ignore).sum()) if divisor == "valid" else int(divisor)
    wanted = {"loss": total.numpy() / count, "prob": F.softmax(double(SPATIAL), 1).numpy()}
    layer = loss("SoftmaxWithLoss", parameters, tops="loss prob")
    check(layer, {"data": SPATIAL, "label": SPATIAL_LABELS}, wanted, backend, tmp_path, batch=2)


@BACKENDS
def test_softmax_with_loss_along_another_axis(backend: str, tmp_path: Path) -> None:
    x, target = scores(2, 3, 5), labels(5, 2, 3)
    wanted = F.cross_entropy(double(x).transpose(1, 2), torch.from_numpy(target).long()).numpy()
    layer = loss("SoftmaxWithLoss", "softmax_param { axis: -1 }")
    check(layer, {"data": x, "label": target}, {"loss": wanted}, backend, tmp_path, batch=7)


@BACKENDS
def test_softmax_with_loss_of_ignored_labels_outside_of_the_classes(backend: str, tmp_path: Path) -> None:
    """Where nothing counts, the loss is 0: Caffe divides by 1 at least."""
    target = np.full((3, 1, 2, 5), 255, np.float32)
    layer = loss("SoftmaxWithLoss", "loss_param { ignore_label: 255 }")
    check(layer, {"data": SPATIAL, "label": target}, {"loss": np.float64(0)}, backend, tmp_path)


@BACKENDS
def test_softmax_with_loss_of_a_vanishing_probability(backend: str, tmp_path: Path) -> None:
    """exp(−200) is below FLT_MIN: Caffe takes the logarithm of FLT_MIN."""
    x = np.float32([[200, 0], [0, 0]])
    wanted = (-np.log(np.finfo(np.float32).tiny.astype(np.float64)) + np.log(2)) / 2
    check(loss("SoftmaxWithLoss"), {"data": x, "label": np.float32([1, 0])}, {"loss": wanted}, backend, tmp_path)


@BACKENDS
def test_segnets_class_weights(backend: str, tmp_path: Path) -> None:
    factors = [0.5, 2.0, 1.25, 3.0]
    listed = " ".join(f"class_weighting: {factor}" for factor in factors)
    each = F.cross_entropy(double(SPATIAL), torch.from_numpy(SPATIAL_LABELS[:, 0]).long(), reduction="none").numpy()
    wanted = (each * np.take(factors, SPATIAL_LABELS[:, 0].astype(int))).mean()
    layer = loss("SoftmaxWithLoss", f"loss_param {{ weight_by_label_freqs: true {listed} }}")
    check(layer, {"data": SPATIAL, "label": SPATIAL_LABELS}, {"loss": wanted}, backend, tmp_path, batch=2)


@BACKENDS
def test_a_loss_without_a_top(backend: str, tmp_path: Path) -> None:
    layers = loss("EuclideanLoss", tops="") + 'layer { name: "r" type: "ReLU" bottom: "data" top: "out" }'
    x = scores(3, 2)
    check(layers, {"data": x, "label": x}, {"out": np.maximum(x, 0)}, backend, tmp_path)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "divisor"),
    [
        ("", 3),
        ("loss_param { normalize: true }", 24),
        ("loss_param { normalize: false }", 3),
        ("loss_param { normalization: FULL }", 24),
        ("loss_param { normalization: NONE }", 1),
    ],
)
def test_sigmoid_cross_entropy_loss(parameters: str, divisor: int, backend: str, tmp_path: Path) -> None:
    x, target = scores(3, 4, 2) * 10, np.random.RandomState(2).uniform(size=(3, 4, 2)).astype(np.float32)
    total = F.binary_cross_entropy_with_logits(double(x), double(target), reduction="sum").numpy()
    layer = loss("SigmoidCrossEntropyLoss", parameters)
    check(layer, {"data": x, "label": target}, {"loss": total / divisor}, backend, tmp_path, batch=5)


@BACKENDS
@pytest.mark.parametrize(("mode", "divisor"), [("VALID", "valid"), ("FULL", 24), ("BATCH_SIZE", 3)])
def test_sigmoid_cross_entropy_loss_ignores(mode: str, divisor: int | str, backend: str, tmp_path: Path) -> None:
    x, target = scores(3, 8), np.random.RandomState(2).randint(-1, 2, (3, 8)).astype(np.float32)
    each = F.binary_cross_entropy_with_logits(double(x), double(target), reduction="none").numpy()
    count = int((target != -1).sum()) if divisor == "valid" else int(divisor)
    layer = loss("SigmoidCrossEntropyLoss", f"loss_param {{ ignore_label: -1 normalization: {mode} }}")
    wanted = each[target != -1].sum() / count
    check(layer, {"data": x, "label": target}, {"loss": wanted}, backend, tmp_path, batch=5)


@BACKENDS
def test_multinomial_logistic_loss_of_zero(backend: str, tmp_path: Path) -> None:
    """Caffe's kLOG_THRESHOLD is 1e−20."""
    x, target = np.float32([[0, 1], [0.25, 0.75], [0.5, 0.5]]), np.float32([0, 1, 0])
    wanted = (np.log(1e20) - np.log(0.75) - np.log(0.5)) / 3
    layer = loss("MultinomialLogisticLoss")
    check(layer, {"data": x, "label": target}, {"loss": wanted}, backend, tmp_path, batch=2)


GAINS = np.random.RandomState(3).uniform(size=(4, 4)).astype(np.float32)


def infogain(x: np.ndarray, target: np.ndarray, keep: np.ndarray) -> float:
    """Σ over the kept places of −Σ_l H[label, l] · log softmax_l, one place at a time."""
    logs = F.log_softmax(double(x), 1).numpy()
    places = np.argwhere(keep)
    return -sum(float(GAINS[int(target[n, h, w])] @ logs[n, :, h, w]) for n, h, w in places)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "ignore", "divisor"),
    [
        ("", None, 30),
        ("loss_param { ignore_label: 2 }", 2, None),
        ("loss_param { normalization: BATCH_SIZE }", None, 3),
    ],
)
def test_infogain_loss(parameters: str, ignore: int | None, divisor: int | None, backend: str, tmp_path: Path) -> None:
    target = SPATIAL_LABELS[:, 0]
    keep = target != ignore if ignore is not None else np.ones_like(target, bool)
    wanted = infogain(SPATIAL, target, keep) / (divisor or keep.sum())
    bottoms = 'bottom: "data" bottom: "label" bottom: "H"'
    layer = loss("InfogainLoss", parameters, bottoms, "loss prob")
    results = {"loss": np.float64(wanted), "prob": F.softmax(double(SPATIAL), 1).numpy()}
    feeds = {"data": SPATIAL, "label": SPATIAL_LABELS, "H": GAINS.reshape(1, 1, 4, 4)}
    check(layer, feeds, results, backend, tmp_path)


@pytest.fixture
def gains_file(tmp_path: Path) -> Path:
    """H beside the prototxt, as a BlobProto: 1 x 1 x 4 x 4 in the legacy fields, then the packed data."""
    legacy = b"".join(bytes([number << 3, length]) for number, length in ((1, 1), (2, 1), (3, 4), (4, 4)))
    data = GAINS.astype("<f4").tobytes()
    (tmp_path / "H.binaryproto").write_bytes(legacy + bytes([5 << 3 | 2, len(data)]) + data)
    return tmp_path / "train.prototxt"


@BACKENDS
def test_infogain_loss_from_a_file(backend: str, gains_file: Path, tmp_path: Path) -> None:
    target = SPATIAL_LABELS[:, 0]
    wanted = infogain(SPATIAL, target, np.ones_like(target, bool)) / 30
    layer = loss("InfogainLoss", 'infogain_loss_param { source: "H.binaryproto" }')
    feeds = {"data": SPATIAL, "label": SPATIAL_LABELS}
    results = {"loss": np.float64(wanted)}
    check(layer, feeds, results, backend, tmp_path, batch=2, source=str(gains_file))


PAIRS = {"a": np.float32([[0, 0], [1, 2], [3, 3]]), "b": np.float32([[3, 4], [1, 2.5], [3, 4]])}


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ("margin: 2", (25 + 1.5**2 + 1) / 6),  # distances 5 (similar), 0.5 and 1: (2 − 0.5)² and (2 − 1)²
        ("margin: 2 legacy_version: true", (25 + 1.75 + 1) / 6),
        ("margin: 0.75", (25 + 0.25**2) / 6),
    ],
)
def test_contrastive_loss(parameters: str, wanted: float, backend: str, tmp_path: Path) -> None:
    layer = loss(
        "ContrastiveLoss", f"contrastive_loss_param {{ {parameters} }}", 'bottom: "a" bottom: "b" bottom: "similar"'
    )
    feeds = {**PAIRS, "similar": np.float32([2, 0, 0])}
    check(layer, feeds, {"loss": np.float64(wanted)}, backend, tmp_path, batch=5)


ACCURATE = np.float32([[0.1, 0.7, 0.2], [0.4, 0.4, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "target", "overall", "per_class"),
    [
        ("", [1, 0, 0, 2], 0.75, [0.5, 1, 1]),  # a tie counts against the label
        ("top_k: 2", [2, 0, 2, 1], 0.5, [1, 0, 0.5]),
        ("ignore_label: 0", [1, 0, 0, 1], 0.5, [0, 0.5, 0]),
        ("ignore_label: 9", [9, 9, 9, 9], 0, [0, 0, 0]),
    ],
)
def test_accuracy(
    parameters: str, target: list[int], overall: float, per_class: list[float], backend: str, tmp_path: Path
) -> None:
    layer = loss("Accuracy", f"accuracy_param {{ {parameters} }}", tops="all each")
    wanted = {"all": np.float64(overall), "each": np.float64(per_class)}
    check(layer, {"data": ACCURATE, "label": np.float32(target)}, wanted, backend, tmp_path, batch=3)


@BACKENDS
def test_accuracy_along_an_axis(backend: str, tmp_path: Path) -> None:
    x, target = scores(2, 3, 5), labels(5, 2, 3)
    wanted = {"all": np.float64((x.argmax(2) == target).mean())}
    layer = loss("Accuracy", "accuracy_param { axis: 2 }", tops="all")
    check(layer, {"data": x, "label": target}, wanted, backend, tmp_path)


@pytest.mark.parametrize(
    ("layer", "shapes", "message"),
    [
        (loss("SoftmaxWithLoss"), [(2, 3, 4), (2, 3)], "need 8 labels"),
        (loss("SoftmaxWithLoss"), [(2, 3), (4,)], "first axes must be equal"),
        (loss("SoftmaxWithLoss", "softmax_param { axis: 5 }"), [(2, 3), (2,)], "axis 5"),
        (loss("SoftmaxWithLoss", "loss_param { weight_by_label_freqs: true }"), [(2, 3), (2,)], "0 class_weighting"),
        (loss("InfogainLoss"), [(2, 3), (2,)], "H is missing"),
        (loss("InfogainLoss", 'infogain_loss_param { source: "none" }'), [(2, 3), (2,)], 'no file "none"'),
        (loss("InfogainLoss", "loss_param { normalize: true }"), [(2, 3), (2,)], "use normalization"),
        (loss("EuclideanLoss"), [(2, 3), (2, 4)], "as many numbers"),
        (loss("HingeLoss"), [(2, 3), (2, 2)], "need 2 labels"),
        (loss("SigmoidCrossEntropyLoss"), [(2, 3), (2, 4)], "as many numbers"),
        (loss("Accuracy", "accuracy_param { top_k: 4 }"), [(2, 3), (2,)], "top_k 4"),
        (loss("Accuracy", bottoms='bottom: "data"'), [(2, 3), (2,)], "takes 2"),
        (loss("ContrastiveLoss", bottoms='bottom: "data" bottom: "data" bottom: "label"'), [(2, 3, 4), (2,)], "pairs"),
    ],
)
def test_refusals(layer: str, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        converters.to_numpy(net(layer, dict(zip(("data", "label"), shapes))), {})


@pytest.mark.parametrize("content", [b"<html>", b""])
def test_a_file_that_is_no_matrix(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "H").write_bytes(content)
    layer = loss("InfogainLoss", 'infogain_loss_param { source: "H" }')
    with pytest.raises(CamcompatError, match="no blob"):
        converters.to_numpy(net(layer, {"data": (2, 3), "label": (2,)}, str(tmp_path / "net.prototxt")), {})


def test_a_matrix_of_another_size(gains_file: Path) -> None:
    layer = loss("InfogainLoss", 'infogain_loss_param { source: "H.binaryproto" }')
    with pytest.raises(CamcompatError, match="needs 3 x 3 numbers"):
        converters.to_numpy(net(layer, {"data": (2, 3), "label": (2,)}, str(gains_file)), {})
