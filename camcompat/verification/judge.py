"""From two sets of blobs to a verdict: what differs, where it arises, and whose difference it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from camcompat.verification.compare import DRIFT, SUMS, BlobError, compare_blob, describe_array, tolerance_of
from camcompat.verification.evidence import StoredBlob
from camcompat.verification.local import Local, local_errors
from camcompat.verification.report.findings import Finding, OracleResult

if TYPE_CHECKING:
    from camcompat.verification.subject import Arrays, Place, Subject

__all__ = ["Case", "Reference", "judge"]


@dataclass
class Case:
    """One input, and what our ONNX file makes of it.

    Attributes:
        subject: the net; ``places``: where its blobs are written.
        feeds: the inputs.
        ours: blobs that the file computes.
        local: each of them against a float64 evaluation of its own inputs.
        exact: the blobs of the float64 evaluation of the whole net.
    """

    subject: Subject
    feeds: Arrays
    ours: Arrays
    places: Mapping[str, Place]
    local: dict[str, Local] = field(default_factory=dict)
    exact: Mapping[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def run(cls, subject: Subject, feeds: Arrays, *, blobs: Sequence[str] | None = None) -> Case:
        """Have the ONNX file compute every blob (or those named), and check each layer alone where that is cheap."""
        wanted = subject.chosen(feeds) if blobs is None else list(blobs)
        case = cls(subject, feeds, subject.run_onnx(feeds, wanted), subject.places())
        if subject.cheap:
            case.local = local_errors(subject.lowered.graph, {**feeds, **case.ours}, list(case.ours))
            case.exact = subject.run_numpy(feeds, list(case.ours))
        return case

    def tolerance(self, name: str, *, alone: bool = False) -> float:
        """What a blob of our file may differ by."""
        return tolerance_of(self.places[name].type, self.subject.dtype, alone=alone)

    @cached_property
    def faulty(self) -> Local | None:
        """The first stretch of layers, in net order, that our file gets wrong by itself."""
        wrong = [
            local
            for name, local in self.local.items()
            if local.relative > self.tolerance(name, alone=True) and name not in self.selected
        ]
        return min(wrong, key=lambda local: self.places[local.blob].depth, default=None)

    def finding_of(self, fault: Local) -> Finding:
        """A faulty stretch in words."""
        words = f"{_layers(fault)} computes something else than its weights and parameters say, by {fault.relative:.1e}"
        return _finding(self, fault.blob, fault.relative, fault.inputs, words, fault.layers[0])

    @cached_property
    def selected(self) -> set[str]:
        """Blobs behind a selection (NMS, top k, a threshold), where a rounding can change everything."""
        from converters.ops import is_discrete

        graph = self.subject.lowered.graph
        behind: set[int] = set()
        for node in graph.nodes:
            if is_discrete(node) or any(x is not None and id(x) in behind for x in node.inputs):
                behind.update(id(x) for x in node.outputs)
        return {name for name, x in graph.blobs.items() if id(x) in behind}


@dataclass(frozen=True)
class Reference:
    """What an oracle computed of a case's inputs.

    Attributes:
        name, version: of the oracle.
        blobs: versioned name → array, or a part of one as it is stored.
        authority: whether it is Caffe itself: then a difference is ours, and no rounding excuses it.
        excuse: layer → why the oracle is known to differ there, or "".
    """

    name: str
    version: str
    blobs: Mapping[str, np.ndarray | StoredBlob]
    authority: bool = False
    excuse: Callable[[str], str] | None = None

    def whole(self) -> dict[str, np.ndarray]:
        return {name: x for name, x in self.blobs.items() if isinstance(x, np.ndarray)}


def judge(case: Case, reference: Reference, *, confirmed: str = "") -> OracleResult:
    """Compare a case with what an oracle says about it.

    Args:
        case: our side.
        reference: the oracle's.
        confirmed: what Caffe itself was found to say of ours, in words, if it agrees: then an oracle that differs is
            wrong.
    """
    result = OracleResult(reference.name, "agrees", version=reference.version)
    for name, stored in reference.blobs.items():
        if name in case.ours and name in case.places:
            result.blobs.append(_compare(case, name, stored))
        elif name in case.places:
            result.fused[name] = _heir(case, name)
    result.blobs.sort(key=lambda blob: blob.depth)
    if not result.blobs:
        result.status, result.reason = "not run", "no blob of it can be compared"
        return result
    wrong = [blob for blob in result.blobs if not blob.ok]
    if wrong:
        _locate(case, reference, result, wrong, confirmed)
    return result


def _compare(case: Case, name: str, stored: np.ndarray | StoredBlob) -> BlobError:
    ours, place, note = case.ours[name], case.places[name], ""
    if isinstance(stored, StoredBlob):
        theirs, part = stored.array, stored.select(ours)
        note = stored.note or ("a part of it is stored" if part.size != ours.size else "")
        ours = part[: len(theirs)] if theirs.ndim and part.ndim == theirs.ndim else part
        theirs = theirs[: len(ours)] if theirs.ndim and ours.ndim == theirs.ndim else theirs
    else:
        theirs = stored
    if ours.shape != theirs.shape and _squeezed(ours) == _squeezed(theirs):
        note, theirs = note or f"given as {'x'.join(map(str, theirs.shape))}", theirs.reshape(ours.shape)
    local = case.local.get(name)
    return BlobError(
        name, place.layer, place.type, place.depth, theirs.shape, *compare_blob(ours, theirs),
        case.tolerance(name), None if local is None else local.relative, note,
    )  # fmt: skip


def _squeezed(x: np.ndarray) -> tuple[int, ...]:
    return tuple(size for size in x.shape if size != 1)


def _heir(case: Case, name: str) -> str:
    """The next blob that our file does compute: the one that a blob was fused into."""
    order = list(case.places)
    later = (other for other in order[order.index(name) :] if other in case.ours)
    return next((other for other in later if _reads(case, other, name)), "")


def _reads(case: Case, end: str, name: str) -> bool:
    graph = case.subject.lowered.graph
    target, pending, seen = graph.blobs[name], [graph.blobs[end]], set[int]()
    while pending:
        value = pending.pop()
        if value is target:
            return True
        if value.producer is None or id(value) in seen:
            continue
        seen.add(id(value))
        pending += [x for x in value.producer.inputs if x is not None and x.producer is not None]
    return False


def _locate(case: Case, reference: Reference, result: OracleResult, wrong: list[BlobError], confirmed: str) -> None:
    """The finding, and whether the difference is ours."""
    result.status = "differs"
    first = wrong[0]
    if case.faulty is not None:
        result.finding = case.finding_of(case.faulty)
        return
    if not reference.authority and all(blob.blob in case.selected for blob in wrong):
        result.status = "explained"
        result.reason = f"only what a selection decides differs, from layer {first.layer} on; all before it agrees"
        return
    theirs = _their_fault(case, reference)
    if theirs is not None:
        words = f"given the same inputs, {_layers(theirs)} differs from {reference.name} by {theirs.relative:.1e}"
        result.finding = _finding(case, theirs.blob, theirs.relative, theirs.inputs, words, theirs.layers[-1])
        excuse = next(filter(None, map(reference.excuse, theirs.layers)), "") if reference.excuse else ""
        if not reference.authority and (excuse or confirmed):
            result.status, result.reason = "explained", "; ".join(filter(None, (excuse, confirmed)))
        return
    before = [blob for blob in result.blobs if blob.ok and blob.depth < first.depth]
    since = f", after {before[-1].layer}, which agrees" if before else ""
    words = f"{first.layer} ({first.type}) is the first beyond tolerance, by {first.relative:.1e}{since}"
    result.finding = _finding(case, first.blob, first.relative, (), words, first.layer)
    if reference.authority:
        _excuse_rounding_of_caffe(case, reference, result, wrong)
        return
    certain = [blob for blob in wrong if blob.blob not in case.selected]
    if case.local and all(blob.relative < DRIFT for blob in certain):
        worst = max((local.relative for local in case.local.values()), default=0.0)
        result.status = "explained"
        result.reason = f"rounding that grows with depth: each layer by itself is within {worst:.0e} of float64"
        farthest = max(certain, key=lambda blob: blob.relative).blob
        theirs_off, ours_off = (
            compare_blob(values[farthest], case.exact[farthest])[1] for values in (reference.whole(), case.ours)
        )
        result.reason += f"; at {farthest}, ours is {ours_off:.1e} from float64"
        result.reason += f", {reference.name} {theirs_off:.1e}" if theirs_off else ""
        result.reason += "; what selections decide differs after it" if len(certain) < len(wrong) else ""
        result.reason += f"; {confirmed}" if confirmed else ""


def _excuse_rounding_of_caffe(
    case: Case, reference: Reference, result: OracleResult, wrong: Sequence[BlobError]
) -> None:
    """Caffe's own rounding: at most 1e-5, of a blob that float64 proves to be nearer in ours than in Caffe's."""
    for blob in wrong:
        exact, stored = case.exact.get(blob.blob), reference.blobs[blob.blob]
        if exact is None or blob.relative > SUMS:
            return
        ours = compare_blob(case.ours[blob.blob], exact)[1]
        stored, exact = (stored, exact) if isinstance(stored, np.ndarray) else (stored.array, stored.select(exact))
        theirs = compare_blob(stored, exact)[1]
        if ours > min(theirs, blob.tolerance):
            return
        result.reason = f"Caffe's own rounding: {blob.blob} as stored is {theirs:.1e} from float64, ours {ours:.1e}"
    result.status = "explained"


def _their_fault(case: Case, reference: Reference) -> Local | None:
    """The first layer that makes something else of the oracle's own inputs than the oracle does."""
    values = {**case.feeds, **{n: x for n, x in reference.whole().items() if n in case.places}}
    graph = case.subject.lowered.graph
    alone = local_errors(graph, values, [name for name in values if name in case.places])
    wrong = [
        local for name, local in alone.items()
        if local.relative > tolerance_of(case.places[name].type) and name not in case.selected
    ]  # fmt: skip
    return min(wrong, key=lambda local: case.places[local.blob].depth, default=None)


def _layers(local: Local) -> str:
    if len(local.layers) == 1:
        return f"layer {local.layers[0]}"
    return f"one of the layers {', '.join(local.layers)}"


def _finding(case: Case, blob: str, relative: float, inputs: Sequence[str], words: str, layer: str) -> Finding:
    place = case.places[blob]
    values = {**case.feeds, **case.ours}
    if not inputs:
        inputs = case.subject.net.layers[place.depth].bottoms
    statistics = {name: str(describe_array(values[name])) for name in inputs if name in values}
    kind = next((other.type for other in case.subject.net.layers if other.name == layer), place.type)
    return Finding(layer, kind, blob, relative, statistics, words)
