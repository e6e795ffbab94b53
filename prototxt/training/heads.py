"""What a training definition is trained for: its losses, the blobs they judge, and the metrics beside them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from prototxt.errors import PrototxtError
from prototxt.wiring import Entry

__all__ = ["Head", "auxiliary", "heads_of", "is_loss", "is_metric", "learned_blobs"]

_LEARNED = ("Convolution", "Deconvolution", "InnerProduct", "Embed", "LSTM", "RNN")  # and forks' ...Convolution...
_METRICS = ("Accuracy", "Evaluate", "Metric", "HDF5Output")


@dataclass(frozen=True, eq=False)
class Head:
    """A loss layer.

    Attributes:
        entry: the layer.
        predictions: the bottoms that the net computes.
        labels: the others.
        score: the layer type that turns the prediction into what the loss compares: "Softmax", "Sigmoid" or "".
        weight: its share in the sum of losses.
    """

    entry: Entry
    predictions: tuple[str, ...]
    labels: tuple[str, ...]
    score: str
    weight: float


def is_loss(layer: Any) -> bool:
    """Whether a LayerParameter is a loss: by its type, or a Python layer with a loss weight."""
    return "Loss" in layer.type or (layer.type == "Python" and any(layer.loss_weight))


def is_metric(layer: Any) -> bool:
    """Whether a LayerParameter only reports: accuracy, evaluation, output to a file (so it has no top)."""
    reports = not layer.top and layer.type != "Silence" and not is_loss(layer)
    return reports or layer.type.endswith(_METRICS) or "Accuracy" in layer.type


def learned_blobs(entries: Iterable[Entry]) -> set[str]:
    """Blobs that depend on a layer with learned weights."""
    learned: set[str] = set()
    for entry in entries:
        layer = entry.message
        if any(name in layer.type for name in _LEARNED) or learned.intersection(layer.bottom):
            learned.update(layer.top)
    return learned


def heads_of(kept: list[Entry], absent: list[Entry]) -> list[Head]:
    """The losses of a net in order, then those that only its other phase has and whose prediction this one computes."""
    learned = learned_blobs(kept)
    softmaxes = {top for entry in kept if entry.message.type == "Softmax" for top in entry.message.top}
    heads = [_head(entry, learned, softmaxes) for entry in kept if is_loss(entry.message)]
    judged = {blob for head in heads for blob in head.predictions}
    for entry in absent:
        if is_loss(entry.message) and learned.intersection(entry.message.bottom):
            head = _head(entry, learned, softmaxes)
            if head.score and not judged.issuperset(head.predictions):
                heads.append(head)
    return heads


def _head(entry: Entry, learned: set[str], softmaxes: set[str]) -> Head:
    layer = entry.message
    if not layer.bottom and "Loss" in layer.type:
        raise PrototxtError("a loss without bottoms", where=entry.where, remedy="give it a prediction and its labels")
    # The order of the bottoms is the author's in some losses (EuclideanLoss): what is learned is the prediction.
    predictions = tuple(bottom for bottom in layer.bottom if bottom in learned) or tuple(layer.bottom[:1])
    labels = tuple(bottom for bottom in layer.bottom if bottom not in predictions)
    score = ""
    if layer.type.startswith("Softmax") or (layer.type == "InfogainLoss" and layer.bottom[0] not in softmaxes):
        score = "Softmax"
    elif layer.type.startswith("SigmoidCrossEntropy"):
        score = "Sigmoid"
    return Head(entry, predictions, labels, score, layer.loss_weight[0] if layer.loss_weight else 1.0)


def auxiliary(heads: list[Head]) -> list[Head]:
    """Heads that are there for the training's sake: another one learns the same labels with a greater weight.

    GoogLeNet weighs its two side classifiers with 0.3. Heads of equal weight are results in their own right.
    """
    most: dict[tuple[str, ...], float] = {}
    for head in heads:
        most[head.labels[:1]] = max(head.weight, most.get(head.labels[:1], 0.0))
    return [head for head in heads if head.labels and head.weight < most[head.labels[:1]]]
