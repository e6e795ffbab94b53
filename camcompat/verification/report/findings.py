"""What a verification found, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

import numpy as np

from camcompat.verification.compare import BlobError

__all__ = ["Finding", "MapAgreement", "OracleResult", "Report", "Status"]

Status = Literal["agrees", "explained", "differs", "not run"]
"""``explained``: it differs, and other evidence says that the difference is not ours."""


@dataclass(frozen=True)
class Finding:
    """Where a difference arises.

    Attributes:
        layer, type, blob: the first layer, in net order, whose own computation differs; where that cannot be told, the
            first whose blob is beyond tolerance.
        relative: the difference there.
        inputs: blob → its statistics, in words: what the layer was fed.
        words: the finding in a sentence.
    """

    layer: str
    type: str
    blob: str
    relative: float
    inputs: Mapping[str, str]
    words: str


@dataclass(frozen=True, eq=False)
class MapAgreement:
    """Class activation maps against an oracle's.

    Attributes:
        relative: largest difference in units of the reference maps' maximum.
        rank: Spearman's rank correlation over all cells, the least of all maps.
        iou: intersection over union of the maps' boxes (the paper's rule), the least of all maps; None without boxes.
        top5: share of the five best classes that both name.
        count: how many maps were compared.
        tolerance: what ``relative`` may be.
        examples: (label, reference map, our map), each (h, w), for pictures.
        least_top5: what ``top5`` must be.
    """

    relative: float
    rank: float
    iou: float | None
    top5: float
    count: int
    tolerance: float
    examples: tuple[tuple[str, np.ndarray, np.ndarray], ...] = ()
    least_top5: float = 1.0

    @property
    def ok(self) -> bool:
        return self.relative <= self.tolerance and self.top5 >= self.least_top5


@dataclass
class OracleResult:
    """What one oracle says.

    Attributes:
        name: of the oracle; ``version``: of the program or file.
        status: see :data:`Status`; ``reason``: why it was not run, or why a difference is not ours.
        blobs: every blob that was compared, in net order.
        fused: blobs that our file does not compute by themselves: name → the blob whose computation they are part of.
        finding: where the first difference arises, if there is one.
        maps: the class activation maps, for CAM nets.
        notes: further sentences.
    """

    name: str
    status: Status
    reason: str = ""
    version: str = ""
    blobs: list[BlobError] = field(default_factory=list)
    fused: dict[str, str] = field(default_factory=dict)
    finding: Finding | None = None
    maps: MapAgreement | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def worst(self) -> BlobError | None:
        """The blob that is farthest beyond its tolerance, or nearest to it."""
        return max(self.blobs, key=lambda blob: blob.relative / blob.tolerance, default=None)

    @property
    def ran(self) -> bool:
        return self.status != "not run"


@dataclass
class Report:
    """A verification.

    Attributes:
        subject: what was verified, in a line; ``name``: for file names.
        oracles: every oracle, those that were not run included.
        provenance: hashes, versions, options.
        layers: (name, type) in net order: the depth axis.
        notes: about the whole.
        dtype: of the ONNX file: "float32", or "fp16" or "int8", which have wider tolerances.
    """

    name: str
    subject: str
    oracles: list[OracleResult]
    provenance: Mapping[str, Any]
    layers: list[tuple[str, str]]
    notes: list[str] = field(default_factory=list)
    dtype: str = "float32"

    @property
    def ok(self) -> bool:
        """Whether something was asked, and nothing differs that is not explained."""
        ran = [oracle for oracle in self.oracles if oracle.ran]
        return bool(ran) and all(oracle.status != "differs" for oracle in ran)

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        ran = [oracle for oracle in self.oracles if oracle.ran]
        bad = [oracle for oracle in ran if oracle.status == "differs"]
        if not ran:
            return "Not verified: no oracle is at hand."
        if not bad:
            worst = max(
                (oracle.worst.relative for oracle in ran if oracle.worst and oracle.status == "agrees"), default=0.0
            )
            explained = sum(oracle.status == "explained" for oracle in ran)
            head = "Exact" if self.dtype == "float32" else f"Reduced to {self.dtype}, within what that costs"
            text = f"{head}: {len(ran) - explained} of {len(ran)} oracles agree; "
            text += f"the largest difference is {worst:.1e} of a blob's maximum"
            differ = "differs, which is explained" if explained == 1 else "differ, which is explained"
            return f"{text}; {explained} {differ}." if explained else f"{text}."
        told = dict.fromkeys(oracle.finding.words if oracle.finding else oracle.reason for oracle in (bad[0], bad[-1]))
        where = " ".join(f"{words[:1].upper()}{words[1:]}." for words in told if words)
        return f"Not exact: {len(bad)} of {len(ran)} oracles differ. {where}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is not finite becomes text."""
        oracles = []
        for oracle in self.oracles:
            entry = asdict(oracle)
            entry["blobs"] = [{**asdict(blob), "ok": blob.ok} for blob in oracle.blobs]
            if oracle.maps is not None:
                entry["maps"] = {**asdict(oracle.maps), "ok": oracle.maps.ok}
                entry["maps"].pop("examples")
            oracles.append(entry)
        plain = {
            "format": 1,
            "name": self.name,
            "subject": self.subject,
            "ok": self.ok,
            "verdict": self.verdict,
            "dtype": self.dtype,
            "oracles": oracles,
            "layers": self.layers,
            "provenance": self.provenance,
            "notes": self.notes,
        }
        result: dict[str, Any] = _plain(plain)
        return result


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return str(value) if isinstance(value, float) and not isfinite(value) else value
