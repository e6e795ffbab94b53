"""From a network's class indices to the numbers that a ground truth uses, and from its names to the same numbers.

ILSVRC numbers its classes from 1 in the order of ``meta_clsloc.mat``; Caffe's networks number them from 0 in the order
of their sorted WordNet ids. Nothing but the WordNet ids connects the two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from camcompat.cam.labels import class_index
from prototxt.errors import CamcompatError

__all__ = ["ClassIds", "ilsvrc_classes", "own_classes"]

WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class ClassIds:
    """What the classes of a network are called in a ground truth.

    Attributes:
        ids: the number of each class of the network.
        names: numbers by name (WordNet ids).
        labels: the network's labels, which a ground truth may use as names.
    """

    ids: tuple[int, ...]
    names: Mapping[str, int] = field(default_factory=dict)
    labels: Sequence[str] | None = None

    def number(self, label: int | str) -> int:
        """Return the number of a label of the ground truth.

        Raises:
            CamcompatError: a number that no class has, or an unknown name.

        >>> own_classes(["cup", "saucer"], 2).number("saucer")
        1
        """
        if isinstance(label, str):
            return self.names[label] if label in self.names else self.ids[self._index(label)]
        if label not in self.ids:
            remedy = f"expected {min(self.ids)} to {max(self.ids)}; are these the classes of another list?"
            raise CamcompatError(f"has the label {label}", where="classes", remedy=remedy)
        return label

    def _index(self, label: str) -> int:
        if WNID.fullmatch(label):
            remedy = "give the list of the WordNet ids (meta_clsloc.mat), or use labels of the network"
            raise CamcompatError(f"no class has the WordNet id {label}", where="classes", remedy=remedy)
        return class_index(label, self.labels, len(self.ids))


def own_classes(labels: Sequence[str] | None, count: int) -> ClassIds:
    """Return the classes of a ground truth that uses the network's own 0-based indices and labels."""
    return ClassIds(tuple(range(count)), labels=labels)


def ilsvrc_classes(
    meta: str | os.PathLike[str], synsets: str | os.PathLike[str] | None = None, *, count: int | None = None
) -> ClassIds:
    """Return the ILSVRC ids of a network's classes.

    Args:
        meta: ``meta_clsloc.mat`` of the development kit (or ``meta.mat`` of 2012: the same numbers), or a text file
            whose n-th line begins with the WordNet id of number n.
        synsets: the classes of the network in its order, each line beginning with a WordNet id (``synset_words.txt``,
            ``categoriesImageNet.mat``); None: the WordNet ids of ``meta``, sorted, which is the order of every Caffe
            network trained on ILSVRC.
        count: how many classes the network has.

    Raises:
        CamcompatError: a file without such ids, a class that ``meta`` does not have, another number of classes.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "ids.txt"
    ...     _ = path.write_text("n02119789 kit fox\\nn02100735 English setter\\n")
    ...     ilsvrc_classes(path).ids  # the setter is the network's first class, and ILSVRC's second
    (2, 1)
    """
    numbers = _meta(Path(meta))
    order = sorted(numbers) if synsets is None else _wnids(Path(synsets))
    unknown = [wnid for wnid in order if wnid not in numbers]
    if unknown:
        raise CamcompatError(
            f"{unknown[0]} is not in {meta}", where=str(synsets), remedy="give lists of the same classes"
        )
    if count is not None and len(order) != count:
        remedy = "give the classes of this network with --synsets"
        raise CamcompatError(
            f"{len(order)} ids for a network of {count} classes", where=str(synsets or meta), remedy=remedy
        )
    return ClassIds(tuple(numbers[wnid] for wnid in order), numbers)


def _meta(path: Path) -> dict[str, int]:
    """Numbers by WordNet id: of the classes themselves, not of the groups above them (``num_children`` is 0)."""
    if path.suffix.lower() != ".mat":
        return {wnid: number for number, wnid in enumerate(_wnids(path), 1)}
    from camcompat.evaluation.truth_files import load_mat

    remedy = "expected meta_clsloc.mat of the ILSVRC development kit: synsets with WNID and ILSVRC2014_ID"
    synsets = load_mat(path).get("synsets")
    fields = () if synsets is None else synsets.dtype.names or ()
    key = next((name for name in fields if re.fullmatch(r"ILSVRC\d{4}_ID", name)), None)
    if synsets is None or key is None or "WNID" not in fields:
        raise CamcompatError("holds no synsets with their numbers", where=str(path), remedy=remedy)
    numbers = {}
    for entry in synsets.ravel():
        if "num_children" in fields and int(np.asarray(entry["num_children"]).item()):
            continue
        numbers[str(np.asarray(entry["WNID"]).item())] = int(np.asarray(entry[key]).item())
    return numbers


def _wnids(path: Path) -> list[str]:
    """The WordNet id that each line, or each cell of a MATLAB file's only list, begins with."""
    remedy = "expected a WordNet id such as n01440764 at the start of every line"
    if path.suffix.lower() == ".mat":
        from camcompat.evaluation.truth_files import load_mat

        cells = [value for value in load_mat(path).values() if value.dtype == object]
        lines = [str(np.asarray(cell).item()) for cell in cells[0].flat] if len(cells) == 1 else []
    else:
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except FileNotFoundError:
            raise CamcompatError("no such file", where=str(path), remedy="check the path") from None
        except UnicodeDecodeError:
            raise CamcompatError("is not UTF-8 text", where=str(path), remedy=remedy) from None
    ids = []
    for number, line in enumerate(lines, 1):
        match = WNID.match(line.strip())
        if match:
            ids.append(match.group())
        elif line.strip():
            raise CamcompatError(f"found {line.strip()[:40]!r}", where=f"{path}:{number}", remedy=remedy)
    if not ids or len(set(ids)) != len(ids):
        raise CamcompatError(f"holds {len(set(ids))} different ids in {len(ids)} lines", where=str(path), remedy=remedy)
    return ids
