"""Caffe's own outputs, computed before and stored."""

from __future__ import annotations

from collections.abc import Iterator

from camcompat.verification.judge import Case, judge
from camcompat.verification.maps import compare_maps
from camcompat.verification.oracles.registry import Inquiry, NotAtHand, Oracle, oracle
from camcompat.verification.report.findings import OracleResult

__all__ = ["stored_outputs"]


@oracle("Caffe's stored outputs", place=10, authority=True)
def stored_outputs(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """An answer per file: each has inputs of its own."""
    if not inquiry.evidence:
        raise NotAtHand("none are at hand for this net and these weights (--expected FILE)")
    subject, agree = inquiry.subject, inquiry.case.faulty is None
    for entry in inquiry.evidence:
        inquiry.progress(f"{self.name}: {entry.source.name}")
        blobs = {subject.canonical(name): stored for name, stored in entry.blobs.items()}
        first = entry is inquiry.evidence[0]
        case = inquiry.case if first else Case.run(subject, entry.feeds, blobs=list(blobs))
        values = {name: stored.whole(case.ours.get(name)) for name, stored in blobs.items()}
        reference = self.reference(entry.source.name, values)
        result = judge(case, reference)
        if entry.maps and result.ran:
            result.maps = compare_maps(subject, entry.feeds, entry.maps["classes"], entry.maps["cams"])
        else:
            inquiry.compare_maps(case, reference, result)
        agree = agree and result.status == "agrees"
        yield result
    if agree:
        inquiry.confirmed = f"{self.name} agree with ours"
