"""The net inside a caffemodel as its author wrote it.

Caffe saves the net of the phase that it ran, mostly TRAIN: filtered already, and with a Split layer wherever a blob has
several readers.
"""

from __future__ import annotations

from collections import Counter

from prototxt.wiring import Entry

__all__ = ["whole", "without_splits"]


def whole(kept: list[Entry], absent: list[Entry], notes: list[str]) -> list[Entry]:
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


def without_splits(entries: list[Entry]) -> list[Entry]:
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
