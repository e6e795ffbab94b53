"""The layers as Caffe runs them: with the Split layers that it inserts, and blobs under the names that pycaffe shows.

After ``InsertSplits`` in ``caffe/util/insert_splits.cpp`` and ``Net::Init`` in ``caffe/net.cpp``.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from camcompat.pycaffe.errors import CaffeError
from converters.layers.registry import training_of
from prototxt import Layer, Net

__all__ = ["Step", "check_phase", "feeds_softmax", "outputs_of", "steps_of"]


@dataclass(frozen=True)
class Step:
    """One layer to run.

    Attributes:
        name, type: as pycaffe shows them.
        bottoms, tops: names of blobs, those of inserted splits included.
        layer: the layer of the prototxt; None for an inserted split.
        inputs, results: which value of the net each bottom and top is (`prototxt.Net` tells values of one blob apart).
        loss_weights: per top.
    """

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    layer: Layer | None
    inputs: tuple[str, ...]
    results: tuple[str, ...]
    loss_weights: tuple[float, ...]


def _loss_weights(layer: Layer) -> tuple[float, ...]:
    given = tuple(layer.message.loss_weight)
    default = (1.0,) if layer.type.endswith("Loss") else ()
    weights = given or default
    return tuple(weights[i] if i < len(weights) else 0.0 for i in range(len(layer.tops)))


def steps_of(net: Net) -> tuple[Step, ...]:
    """Every layer in order; a value with several readers (a loss weight counts as one) gets a Split layer."""
    readers: dict[str, int] = defaultdict(int)
    for layer in net.layers:
        for name in layer.bottoms:
            readers[name] += 1
        for name, weight in zip(layer.tops, _loss_weights(layer)):
            readers[name] += weight != 0
    steps: list[Step] = []
    copies: dict[str, list[str]] = {}
    for layer in net.layers:
        plain = zip(layer.bottoms, layer.message.bottom)
        bottoms = tuple(copies[name].pop(0) if copies.get(name) else blob for name, blob in plain)
        weights = _loss_weights(layer)
        tops = tuple(layer.message.top)
        splits: list[Step] = []
        kept = list(weights)
        for index, (name, blob) in enumerate(zip(layer.tops, tops)):
            if readers[name] > 1:
                split = f"{blob}_{layer.name}_{index}_split"
                names = tuple(f"{split}_{i}" for i in range(readers[name]))
                losses = (weights[index],) + (0.0,) * (len(names) - 1)
                kept[index] = 0.0
                copies[name] = list(names[1:] if weights[index] else names)
                splits.append(Step(split, "Split", (blob,), names, None, (name,), (name,) * len(names), losses))
        steps.append(Step(layer.name, layer.type, bottoms, tops, layer, layer.bottoms, layer.tops, tuple(kept)))
        steps += splits
    return tuple(steps)


def outputs_of(steps: tuple[Step, ...]) -> list[str]:
    """The blobs that no layer reads, unused inputs included, in the order of their names: Caffe keeps a set of them."""
    available: set[str] = set()
    for step in steps:
        available -= set(step.bottoms)
        available |= set(step.tops)
    return sorted(available)


def feeds_softmax(net: Net, layer: Layer) -> bool:
    """Whether a layer's first top goes into a softmax, straight or through layers that only rename or reshape it."""
    if not layer.tops:
        return False
    names = {layer.tops[0]}
    for reader in net.layers:
        if names & set(reader.bottoms[:1]):
            if reader.type in ("Softmax", "SoftmaxWithLoss"):
                return True
            if reader.type in ("Dropout", "Flatten", "Reshape", "Split"):
                names |= set(reader.tops)
    return False


def _learns(layer: Layer) -> bool:
    rule = training_of(layer)
    return rule is not None and rule.active


def check_phase(net: Net, phase: str) -> None:
    """Refuse phase TRAIN for a net with layers that learn or draw in it; any other net is the same in both phases.

    Raises:
        CaffeError: the net has such a layer.
    """
    learning = next(filter(_learns, net.layers), None) if phase == "TRAIN" else None
    if learning is not None:
        message = "in phase TRAIN this layer draws or learns at each pass, which the stand-in does not do"
        remedy = "make the net with caffe.TEST; to train, use converters.to_torch and .train()"
        raise CaffeError(message, where=learning.where, remedy=remedy)
