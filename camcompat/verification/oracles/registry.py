"""An oracle: its name, its place in a report, how it is asked; and what it is given to answer by."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from camcompat.registry import Registry
from camcompat.verification.judge import Case, Reference, judge
from camcompat.verification.maps import compare_maps, reference_maps
from camcompat.verification.report.findings import OracleResult, Status

if TYPE_CHECKING:
    from camcompat.verification.evidence import Evidence, StoredBlob
    from camcompat.verification.subject import Arrays, Subject

__all__ = ["Inquiry", "NotAtHand", "Oracle", "oracle", "oracles"]


class NotAtHand(Exception):
    """An oracle that cannot be asked, with the reason."""


@dataclass
class Inquiry:
    """One verification under way: what an oracle may look at, and the means to compare with it.

    Attributes:
        subject: the net and its forms.
        case: one input, and what our ONNX file makes of it.
        evidence: what Caffe's stored outputs there are; the case's input is that of the first.
        release: the folder of the CVPR 2016 release, where one was named.
        progress: told what is being asked.
        confirmed: that Caffe itself agrees with ours, in words, as soon as an oracle has found that.
    """

    subject: Subject
    case: Case
    evidence: Sequence[Evidence] = ()
    release: str | os.PathLike[str] | None = None
    progress: Callable[[str], None] = lambda text: None
    confirmed: str = ""

    @property
    def feeds(self) -> Arrays:
        return self.case.feeds

    def judged(self, reference: Reference) -> OracleResult:
        """What comes of comparing our blobs, and our maps, with an oracle's of the same input."""
        result = judge(self.case, reference, confirmed=self.confirmed)
        if result.status != "explained":
            self.compare_maps(self.case, reference, result)
        return result

    def compare_maps(self, case: Case, reference: Reference, result: OracleResult) -> None:
        """The maps that the oracle's features and scores give, where it has both."""
        head = self.subject.head
        if head is None or not result.ran:
            return
        graph = self.subject.lowered.graph
        names = {id(graph.blobs[name]): name for name in case.places}
        features, prob = (reference.blobs.get(names.get(id(x), "")) for x in (head.features, head.prob))
        if not isinstance(features, np.ndarray) or not isinstance(prob, np.ndarray):
            return
        maps = reference_maps(head, features, prob)
        result.maps = compare_maps(self.subject, case.feeds, *maps, prob.reshape(len(features), -1))
        if result.maps is not None and not result.maps.ok and result.status == "agrees":
            result.status, result.reason = "differs", "the class activation maps differ"


@dataclass(frozen=True)
class Oracle:
    """Who may say what the numbers of a net should be.

    Attributes:
        name: as every report has it.
        place: reports are in this order, and so is the asking: what Caffe itself stored comes first.
        ask: the oracle and what is verified → its answers; raises `NotAtHand` where it cannot be asked.
        authority: whether it is Caffe itself: then a difference is ours, and no rounding excuses it.
    """

    name: str
    place: int
    ask: Callable[[Oracle, Inquiry], Iterable[OracleResult]]
    authority: bool = False

    def answers(self, inquiry: Inquiry) -> Iterator[OracleResult]:
        """What it says; why it was not run, if it was not."""
        inquiry.progress(self.name)
        try:
            yield from self.ask(self, inquiry)
        except NotAtHand as reason:
            yield self.result("not run", str(reason))

    def result(self, status: Status = "agrees", reason: str = "", *, version: str = "") -> OracleResult:
        """An answer of this oracle, to be filled."""
        return OracleResult(self.name, status, reason, version)

    def reference(
        self,
        version: str,
        blobs: Mapping[str, np.ndarray | StoredBlob],
        excuse: Callable[[str], str] | None = None,
    ) -> Reference:
        """What it computed, for `judge`."""
        return Reference(self.name, version, blobs, self.authority, excuse)


ORACLES: Registry[Oracle] = Registry("camcompat.verification.oracles", order=lambda oracle: oracle.place)

Ask = Callable[[Oracle, Inquiry], Iterable[OracleResult]]


def oracle(name: str, *, place: int, authority: bool = False) -> Callable[[Ask], Oracle]:
    """Make an oracle of a function; it is asked in every verification from then on.

    A file in this folder that does so is found by itself.
    """

    return lambda ask: ORACLES.add(Oracle(name, place, ask, authority))


def oracles() -> list[Oracle]:
    """All of them, in the order of the report.

    >>> [oracle.name for oracle in oracles()][:2]
    ["Caffe's stored outputs", "the release's cached activations"]
    """
    return list(ORACLES)
