"""The Split layers that Caffe itself inserts where a blob has several readers; a caffemodel's net holds them."""

from __future__ import annotations

from collections import Counter

from prototxt.entry import Entry

__all__ = ["without_splits"]


def without_splits(kept: list[Entry], absent: list[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Both lists without the Split layers of ``InsertSplits``; their tops are the blob again."""
    everything = kept + absent
    writers = Counter(top for entry in everything for top in set(entry.message.top))
    blobs: dict[str, str] = {}
    for entry in everything:
        layer = entry.message
        inserted = layer.type == "Split" and layer.name.endswith("_split") and len(layer.bottom) == 1
        names = [f"{layer.name}_{index}" for index in range(len(layer.top))]
        if inserted and list(layer.top) == names and all(writers[name] == 1 for name in names):
            blobs.update(dict.fromkeys(names, blobs.get(layer.bottom[0], layer.bottom[0])))
    return _renamed(kept, blobs), _renamed(absent, blobs)


def _renamed(entries: list[Entry], blobs: dict[str, str]) -> list[Entry]:
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
