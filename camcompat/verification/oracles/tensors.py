"""The tensors that an ONNX file stores, against the blobs of the caffemodel that it was made from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from camcompat.verification.compare import BlobError, compare_blob
from camcompat.verification.oracles.registry import Inquiry, Oracle, oracle
from camcompat.verification.report.findings import Finding

if TYPE_CHECKING:
    from camcompat.verification.report.findings import OracleResult
    from camcompat.verification.subject import Subject

__all__ = ["stored_blobs"]

EXACT = 1e-12  # a stored number is the number, or it is not
FOLDED = 1e-6  # of the maximum, where the same folding was computed again
HALF = ".float16"  # how `converters.onnx_backend.quantization` names what it rounded


@oracle("the caffemodel's blobs, bit for bit", place=80)
def stored_blobs(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """Every learned number of the caffemodel, in the ONNX file.

    A blob that is stored as it is must be equal in every bit. Where tensors were folded into others (BatchNorm into a
    convolution), the file is compared with what converting the same sources makes now.
    """
    from converters.onnx_backend.probe import stored_tensors

    subject, result = inquiry.subject, self.result()
    stored = stored_tensors(subject.onnx)
    depths = {layer.name: (depth, layer.type) for depth, layer in enumerate(subject.net.layers)}
    folded = 0
    for x in subject.lowered.graph.constants():
        if not x.learned or x.data is None:
            continue
        name = f"{x.layer}.{x.name}" if x.layer else x.name
        tensor = stored.pop(name, None)
        if tensor is None or tensor.shape != x.data.shape or tensor.dtype != x.data.dtype:
            folded += 1
            continue
        _note(result, name, x.layer, depths, tensor, x.data, EXACT)
    if folded:
        result.notes.append(f"{folded} blob(s) are folded into others: the layers alone, in float64, prove these")
        if subject.given:
            _against_now(subject, stored, result, depths)
    if not result.blobs:
        result.status, result.reason = "not run", "no blob is stored as the caffemodel has it"
    yield result


def _against_now(
    subject: Subject, stored: Mapping[str, np.ndarray], result: OracleResult, depths: Mapping[str, tuple[int, str]]
) -> None:
    """What is left against the file that the same sources give today."""
    from converters.onnx_backend.probe import stored_tensors

    with tempfile.TemporaryDirectory(prefix="camcompat-verify-") as folder:
        now = stored_tensors(subject.convert(Path(folder) / "net.onnx"))
    now |= {f"{name}{HALF}": x.astype(np.float16) for name, x in now.items() if f"{name}{HALF}" in stored}
    same = [name for name in stored if name in now and stored[name].shape == now[name].shape]
    for name in same:
        if stored[name].dtype.kind == "f":
            _note(result, name, name.rpartition(".")[0], depths, stored[name], now[name], FOLDED)
    strange = [name for name in stored if name not in same]
    if strange:
        result.notes.append(f"{len(strange)} tensor(s) of the file are not in a conversion of today: {strange[0]}, …")


def _note(
    result: OracleResult, name: str, layer: str, depths: Mapping[str, tuple[int, str]], stored: np.ndarray,
    right: np.ndarray, tolerance: float,
) -> None:  # fmt: skip
    layer = layer if layer in depths else layer.split("+")[0]  # of fused layers, the first
    depth, kind = depths.get(layer, (0, ""))
    equal = stored.tobytes() == np.ascontiguousarray(right).tobytes()
    errors = (0.0, 0.0, 1.0) if equal else compare_blob(stored, right)
    error = BlobError(name, layer, kind, depth, right.shape, *errors, tolerance)
    result.blobs.append(error)
    if error.ok or (result.finding is not None and depth >= depths.get(result.finding.layer, (0, ""))[0]):
        return
    wrong = np.argwhere(stored != right)
    place = tuple(int(i) for i in wrong[0])
    words = f"{name}{list(place)} is {stored[place]:.9g} in the file and {right[place]:.9g} in the source"
    words += f"; {len(wrong)} of {right.size} values of this blob differ"
    result.status = "differs"
    result.finding = Finding(layer, kind, name, errors[1], {}, words)
