"""Verification of a converted net: every oracle that is at hand, blob by blob, and a report for people and machines.

``verify`` does it, ``write_report`` writes it down. Nothing heavy is loaded before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.lazy import lazy_package

_HOMES = {
    "camcompat.verification.compare": "BlobError compare_blob",
    "camcompat.verification.report.page": "write_report",
    "camcompat.verification.report.findings": "Finding MapAgreement OracleResult Report",
    "camcompat.verification.verifier": "verify",
}

if TYPE_CHECKING:
    from camcompat.verification.compare import BlobError as BlobError, compare_blob as compare_blob
    from camcompat.verification.report.findings import (
        Finding as Finding,
        MapAgreement as MapAgreement,
        OracleResult as OracleResult,
        Report as Report,
    )
    from camcompat.verification.report.page import write_report as write_report
    from camcompat.verification.verifier import verify as verify
else:
    __getattr__, __dir__, __all__ = lazy_package(__name__, _HOMES)
