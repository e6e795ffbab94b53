"""Our own other forms of the same net: NumPy in float64, layer by layer and as a whole, and PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from camcompat.verification.compare import BlobError
from camcompat.verification.oracles.registry import Inquiry, NotAtHand, Oracle, oracle
from camcompat.verification.report.findings import OracleResult
from camcompat.verification.subject import Subject

__all__ = ["each_layer_alone", "torch_form", "whole_net"]

NUMPY = f"NumPy {np.__version__}"


@oracle("each layer alone, in float64", place=50)
def each_layer_alone(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """Our file's layers by themselves: what a fault cannot hide behind, and rounding does not add up in."""
    case = inquiry.case
    if not case.local:
        raise NotAtHand(_no_numpy(inquiry.subject))
    result = self.result(version=NUMPY)
    for name, local in case.local.items():
        place, shape = case.places[name], case.ours[name].shape
        note = "" if len(local.layers) == 1 else f"together: {', '.join(local.layers)}"
        limit = case.tolerance(name, alone=True)
        if name in case.selected and local.relative > limit:
            result.notes.append(f"{place.layer} selects: rounding decides some entries differently")
            continue
        error = BlobError(
            name, place.layer, place.type, place.depth, shape, local.absolute, local.relative, local.cosine, limit,
            local.relative, note,
        )  # fmt: skip
        result.blobs.append(error)
    if case.faulty is not None:
        result.status, result.finding = "differs", case.finding_of(case.faulty)
    yield result


@oracle("the whole net, in float64", place=60)
def whole_net(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """The same, from the input on."""
    if not inquiry.case.exact:
        raise NotAtHand(_no_numpy(inquiry.subject))
    yield inquiry.judged(self.reference(NUMPY, inquiry.case.exact))


def _no_numpy(subject: Subject) -> str:
    if subject.cheap:
        return "no layer of this net computes anything from its inputs"
    return "the windows of this net's layers take more memory than NumPy should have"


@oracle("torch", place=70)
def torch_form(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """The PyTorch form."""
    try:
        import torch
    except ImportError as error:
        raise NotAtHand("torch is not installed") from error
    values = inquiry.subject.run_torch(inquiry.feeds, list(inquiry.case.ours))
    yield inquiry.judged(self.reference(torch.__version__, values))
