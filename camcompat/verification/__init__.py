"""Verification of a converted net: every oracle that is at hand, blob by blob, and a report for people and machines.

``verify`` does it, ``write_report`` writes it down. Nothing heavy is loaded before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from camcompat.verification.compare import BlobError, compare_blob
    from camcompat.verification.report.findings import Finding, MapAgreement, OracleResult, Report
    from camcompat.verification.report.page import write_report
    from camcompat.verification.verifier import verify

__all__ = ["BlobError", "Finding", "MapAgreement", "OracleResult", "Report", "compare_blob", "verify", "write_report"]

_HOME = {
    "BlobError": "compare",
    "Finding": "report.findings",
    "MapAgreement": "report.findings",
    "OracleResult": "report.findings",
    "Report": "report.findings",
    "compare_blob": "compare",
    "verify": "verifier",
    "write_report": "report.page",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
