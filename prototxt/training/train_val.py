"""A training definition (train_val.prototxt, or the net that a caffemodel embeds) as the net that one deploys.

Data layers become inputs, losses the scores that they compare with the labels; labels, metrics and whatever only they
need are left out. What was changed is returned as notes. The net inside a caffemodel is first made what its author
wrote: Caffe saves the net of the phase that it ran, mostly TRAIN, filtered already, and with a Split layer wherever a
blob has several readers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prototxt.schema import message_class
from prototxt.training.data_layers import Partial, UnknownShape, is_data, keep_transform, top_shape
from prototxt.training.heads import Head, auxiliary, heads_of, is_loss, is_metric, learned_blobs
from prototxt.wiring import Entry

__all__ = ["Rewriting", "rewrite"]


@dataclass(frozen=True)
class Rewriting:
    """How to rewrite a training definition.

    Attributes:
        keep_losses: True keeps losses, metrics and labels; None rewrites them where the file is a training definition.
        embedded: the net comes out of a caffemodel, which Caffe writes while training.
        given: shapes that the caller gives, by input.
        channels: the number of channels that a layer's weights take, None if unknown.
        own: layer types that the user has registered.
        source: the file, for notes.
    """

    keep_losses: bool | None = None
    embedded: bool = False
    given: Mapping[str, Sequence[int]] = field(default_factory=dict)
    channels: Callable[[Any], int | None] = lambda layer: None
    own: Container[str] = ()
    source: str = ""


def rewrite(kept: list[Entry], absent: list[Entry], rewriting: Rewriting) -> tuple[list[Entry], list[str]]:
    """The layers of the deployed net, and a note on each change.

    Args:
        kept: the layers of the wanted phase.
        absent: those of the other phase.
        rewriting: see :class:`Rewriting`.

    Raises:
        UnknownShape: the size of an input is not known.
    """
    notes: list[str] = []
    if rewriting.embedded:
        kept, absent = _without_splits(_whole(kept, absent, notes)), []
    net = _with_data(kept, absent, rewriting)
    has_data = any(is_data(entry.message, rewriting.own) for entry in net)
    training = has_data or rewriting.embedded or (_phases(kept + absent) and any(is_loss(e.message) for e in kept))
    if rewriting.keep_losses is not True and (training or rewriting.keep_losses is False):
        net = _without_losses(net, absent, notes, has_data)
        notes = [f"{rewriting.source}: {note}" if rewriting.source else note for note in notes]
    elif not has_data:
        return kept, notes
    else:
        net = [_with_top(entry) for entry in net]
    needed = {bottom for entry in net for bottom in entry.message.bottom}
    return [kept for entry in net for kept in _as_input(entry, needed, net, rewriting, notes)], notes


def _with_top(entry: Entry) -> Entry:
    """A loss without a top, as old nets have them, with one of its own name: Caffe makes one without a name."""
    if entry.message.top or not is_loss(entry.message):
        return entry
    layer = type(entry.message)()
    layer.CopyFrom(entry.message)
    layer.top.append(layer.name or layer.type)
    return Entry(layer, entry.line, entry.origin, entry.where)


def _phases(entries: list[Entry]) -> bool:
    """Whether the file describes more than one phase."""
    return any(rule.HasField("phase") for e in entries for rule in (*e.message.include, *e.message.exclude))


def _with_data(kept: list[Entry], absent: list[Entry], rewriting: Rewriting) -> list[Entry]:
    """The layers, and before them the data layers of the other phase whose tops nobody else produces."""
    produced: set[str] = set()
    missing: set[str] = set()
    for entry in kept:
        missing.update(bottom for bottom in entry.message.bottom if bottom not in produced)
        produced.update(entry.message.top)
    taken = []
    for entry in absent:
        if is_data(entry.message, rewriting.own) and missing.intersection(entry.message.top):
            taken.append(Entry(entry.message, entry.line, entry.origin, f"{entry.where}, of the other phase"))
            missing.difference_update(entry.message.top)
    return taken + kept


def _without_losses(net: list[Entry], absent: list[Entry], notes: list[str], has_data: bool) -> list[Entry]:
    """Losses replaced by their scores; metrics, auxiliary classifiers, and what only they need left out."""
    heads = heads_of(net, absent)
    dropped = {id(entry) for entry in net if is_loss(entry.message) or is_metric(entry.message)}
    if not dropped and not heads and not has_data:
        return net
    minor = auxiliary(heads)
    rest = [entry for entry in net if id(entry) not in dropped]
    scores = _scores([head for head in heads if head not in minor], rest)
    result: list[Entry] = []
    for entry in net:
        if id(entry) not in dropped:
            result.append(entry)
        elif id(entry) in scores:
            result.append(scores[id(entry)])
    present = {id(entry) for entry in net}
    result += [score for key, score in scores.items() if key not in present]  # of losses of the other phase only
    metrics = [e.message.name for e in net if is_metric(e.message) and not is_loss(e.message)]
    if dropped or heads:
        notes.append(_changes(heads, minor, scores, metrics))
    side = {blob for head in minor for blob in head.predictions}
    return _trimmed(result, net, _outputs(result, side))


def _changes(heads: list[Head], minor: list[Head], scores: Mapping[int, Entry], metrics: list[str]) -> str:
    """What became of losses, side classifiers and metrics, in words."""
    became = []
    for head in heads:
        if id(head.entry) in scores:
            became.append(f'{head.entry.message.name} -> {head.score} "{scores[id(head.entry)].message.top[0]}"')
        elif head not in minor:
            became.append(f"{head.entry.message.name} -> {', '.join(head.predictions)}")
    groups = (
        ("losses became scores", became),
        ("left out: side classifiers of smaller loss_weight", [head.entry.message.name for head in minor]),
        ("left out: metrics", metrics),
    )
    text = "; ".join(f"{what} ({', '.join(names)})" for what, names in groups if names)
    return f"a training definition, read as the net to deploy: {text}; keep_losses=True (--keep-losses) keeps them"


def _scores(heads: list[Head], rest: list[Entry]) -> dict[int, Entry]:
    """By the loss layer's entry, the layer that takes its place: none where the net has it already, or needs none."""
    present = {(entry.message.type, bottom) for entry in rest for bottom in entry.message.bottom[:1]}
    wanted = [head for head in heads if head.score and (head.score, head.predictions[0]) not in present]
    taken = {top for entry in rest for top in entry.message.top}
    last = next((head for head in reversed(wanted) if head.score == "Softmax"), wanted[-1] if wanted else None)
    scores = {}
    for head in wanted:
        loss = head.entry.message
        top = "prob" if head is last and "prob" not in taken else f"{loss.name or loss.type}_prob"
        if len(loss.top) > 1:  # SoftmaxWithLoss: its second top is the softmax
            top = loss.top[1]
        while top in taken:
            top += "_"
        taken.add(top)
        layer = message_class("LayerParameter")(name=top, type=head.score, bottom=head.predictions[:1], top=[top])
        if head.score == "Softmax" and loss.HasField("softmax_param"):
            layer.softmax_param.CopyFrom(loss.softmax_param)
        elif loss.HasField("infogain_loss_param"):
            layer.softmax_param.axis = loss.infogain_loss_param.axis
        where = f'{head.entry.where}, as {head.score} "{top}"'
        scores[id(head.entry)] = Entry(layer, head.entry.line, head.entry.origin, where)
    return scores


def _outputs(net: list[Entry], side: set[str]) -> set[str]:
    """What the net is for: blobs that depend on learned weights and that nobody reads, but for the side branches'."""
    unread: set[str] = set()
    silenced: set[str] = set()
    for entry in net:  # in order: a layer in place reads its top's earlier value
        if entry.message.type == "Silence":
            silenced.update(entry.message.bottom)
            continue
        unread.difference_update(entry.message.bottom)
        if entry.message.bottom:
            unread.update(entry.message.top)
    results = unread - side - silenced
    return results & learned_blobs(net) or results


def _trimmed(net: list[Entry], before: list[Entry], needed: set[str]) -> list[Entry]:
    """The layers that the needed blobs need; inputs that only left-out layers read are gone, too."""
    needed = set(needed)
    live = set()
    for entry in reversed(net):
        if needed.intersection(entry.message.top):
            needed.update(entry.message.bottom)
            live.add(id(entry))
    read = {bottom for entry in before for bottom in entry.message.bottom}
    result = []
    for entry in net:
        layer = entry.message
        if layer.type == "Silence":
            result += _with(entry, bottom=[name for name in layer.bottom if name in needed])
        elif layer.type == "Input":
            tops = [top for top in layer.top if top in needed or top not in read]
            result += _with(entry, top=tops)
        elif layer.type == "Split":
            result += _with(entry, top=[top for top in layer.top if top in needed])
        elif id(entry) in live:
            result.append(entry)
    return result


def _with(entry: Entry, **names: list[str]) -> list[Entry]:
    """The entry with some of its tops or bottoms only; nothing where none is left."""
    ((field_name, wanted),) = names.items()
    present = list(getattr(entry.message, field_name))
    if wanted == present:
        return [entry]
    if not wanted:
        return []
    layer = type(entry.message)()
    layer.CopyFrom(entry.message)
    getattr(layer, field_name)[:] = wanted
    if layer.type == "Input" and len(layer.input_param.shape) > 1:
        shapes = [shape for shape, top in zip(entry.message.input_param.shape, present, strict=False) if top in wanted]
        del layer.input_param.shape[:]
        layer.input_param.shape.extend(shapes)
    return [Entry(layer, entry.line, entry.origin, entry.where)]


def _as_input(entry: Entry, needed: set[str], net: list[Entry], rewriting: Rewriting, notes: list[str]) -> list[Entry]:
    """A data layer as an Input layer with those of its tops that are read; any other layer as it is."""
    layer = entry.message
    if not is_data(layer, rewriting.own):
        return [entry]
    tops = [(index, top) for index, top in enumerate(layer.top) if top in needed]
    if not tops:
        return []
    made = message_class("LayerParameter")(name=layer.name, type="Input", top=[top for _, top in tops])
    keep_transform(layer, made)
    for index, top in tops:
        shape = rewriting.given.get(top) or _shape(entry, index, top, net, rewriting, notes)
        made.input_param.shape.add(dim=shape)
    shapes = zip(made.top, made.input_param.shape, strict=True)
    spelt = ", ".join(f"{top} {'x'.join(map(str, shape.dim))}" for top, shape in shapes)
    notes.append(f"{entry.where}: read as the input {spelt}{_preprocessing(layer)}")
    return [Entry(made, entry.line, entry.origin, entry.where)]


def _preprocessing(layer: Any) -> str:
    """What a data layer does to its pictures, which is the caller's to do now."""
    fields = ("scale", "mean_value", "mean_file")
    told = [part for part in str(layer.transform_param).split("\n") if part.split(":")[0] in fields]
    return f"; feed it what the data layer would: {' '.join(told)}" if told else ""


def _shape(
    entry: Entry, index: int, top: str, net: list[Entry], rewriting: Rewriting, notes: list[str]
) -> tuple[int, ...]:
    """The whole shape of a data layer's top.

    Raises:
        UnknownShape: the layer does not say how large its pictures are.
    """
    partial: Partial = top_shape(entry.message, index)
    if len(partial) < 4:
        return tuple(int(size or 1) for size in partial)
    reader = _reader(top, net)
    batch, channels, *sizes = partial
    known = rewriting.channels(reader) if reader is not None else None
    if known is None and channels is None and sizes[-1]:
        notes.append(f'{entry.where}: input "{top}" is assumed to have 3 channels; {_REMEDY.format(top)}')
        known = 3
    shape = (batch, known or channels, *sizes)
    if None in shape:
        raise UnknownShape(top, shape, reader.name if reader is not None else "", entry.where)
    return tuple(int(size or 1) for size in shape)


_REMEDY = "otherwise give --input-shape {0}=N,C,H,W"
_WEIGHTED = ("Convolution", "InnerProduct")


def _reader(blob: str, net: list[Entry]) -> Any:
    """The first layer with weights that reads a blob, directly or through layers that keep its channels."""
    names = {blob}
    for entry in net:
        layer = entry.message
        if names.intersection(layer.bottom):
            if any(name in layer.type for name in _WEIGHTED):
                return layer
            if len(layer.bottom) == 1 and len(layer.top) >= 1 and layer.type not in _SHAPERS:
                names.update(layer.top)
    return None


_SHAPERS = ("Slice", "Reshape", "Permute", "Flatten", "Reduction", "Tile", "Im2col", "ArgMax", "Deconvolution")


def _whole(kept: list[Entry], absent: list[Entry], notes: list[str]) -> list[Entry]:
    """The layers of a saved net in its order: those of its own phase only are part of it, in whatever phase it runs.

    A layer that is there for each phase (a file that no Caffe saved) counts once.
    """
    names = {entry.message.name for entry in kept}
    tops = {top for entry in kept for top in entry.message.top}
    taken = []
    for entry in absent:
        layer = entry.message
        if layer.name not in names and not any(top in tops and top not in layer.bottom for top in layer.top):
            taken.append(_for_test(entry, notes))
    return sorted(kept + taken, key=lambda entry: -1 if entry.origin is None else entry.origin)


def _for_test(entry: Entry, notes: list[str]) -> Entry:
    """A BatchNorm layer of phase TRAIN as its twin of phase TEST has it: with the stored statistics."""
    if entry.message.type != "BatchNorm" or not entry.message.batch_norm_param.HasField("use_global_stats"):
        return entry
    layer = type(entry.message)()
    layer.CopyFrom(entry.message)
    layer.batch_norm_param.ClearField("use_global_stats")
    notes.append(f"{entry.where}: it is of phase TRAIN; its stored statistics are used, as in phase TEST")
    return Entry(layer, entry.line, entry.origin, entry.where)


def _without_splits(entries: list[Entry]) -> list[Entry]:
    """The layers without the Split layers of ``InsertSplits``; their tops are the blob again."""
    writers = Counter(top for entry in entries for top in set(entry.message.top))
    blobs: dict[str, str] = {}
    for entry in entries:
        layer = entry.message
        inserted = layer.type == "Split" and layer.name.endswith("_split") and len(layer.bottom) == 1
        names = [f"{layer.name}_{index}" for index in range(len(layer.top))]
        if inserted and list(layer.top) == names and all(writers[name] == 1 for name in names):
            blobs.update(dict.fromkeys(names, blobs.get(layer.bottom[0], layer.bottom[0])))
    result = []
    for entry in entries:
        layer = entry.message
        if layer.top and all(top in blobs for top in layer.top):
            continue
        if any(bottom in blobs for bottom in layer.bottom):
            copy = type(layer)()
            copy.CopyFrom(layer)
            copy.bottom[:] = [blobs.get(bottom, bottom) for bottom in layer.bottom]
            entry = Entry(copy, entry.line, entry.origin, entry.where)
        result.append(entry)
    return result
