"""docs/robustness.md: every kind of bad input, how many files, what became of them, the slowest and the largest."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from fuzz import attacks_net, attacks_onnx, attacks_pictures, attacks_weights
from fuzz.mutate import mutant
from fuzz.seeds import seeds
from fuzz.targets import TARGETS
from fuzz.watch import Case, Outcome, watch
from prototxt.limits import Limits

__all__ = ["robustness"]

# Loaded before the forks, so that no case pays for an import.
_MODULES = (
    "camcompat.cam.model", "converters.layers", "converters.onnx_backend.file", "h5py", "onnx",
    "prototxt.training.deployment", "prototxt.net", "google.protobuf.text_format", "PIL.Image",
    "scipy.io.matlab", "weights.files.reader",
)  # fmt: skip
SLOW, LARGE = 1.0, 32.0  # seconds, MiB
MUTATED = "mutated files"


@dataclass
class Row:
    """What became of one kind of file."""

    kind: str
    cases: int = 0
    read: int = 0
    refused: int = 0
    broken: int = 0
    seconds: float = 0
    mib: float = 0

    def add(self, outcome: Outcome) -> None:
        self.cases += 1
        self.read += outcome.verdict == "read"
        self.refused += outcome.verdict == "refused"
        self.broken += outcome.bad
        self.seconds, self.mib = max(self.seconds, outcome.seconds), max(self.mib, outcome.mib)

    def __str__(self) -> str:
        cells = (self.kind, f"{self.cases:,}", f"{self.read:,}", f"{self.refused:,}", self.broken)
        return f"| {' | '.join(map(str, cells))} | {self.seconds:.2f} | {self.mib:.0f} |"


def _cases(names: Iterable[str], count: int) -> Iterator[Case]:
    wanted = set(names) or set(TARGETS)
    for module in (attacks_net, attacks_weights, attacks_pictures, attacks_onnx):
        yield from (case for case in module.cases() if case.target in wanted)
    for target in TARGETS:
        if target in wanted:
            originals = seeds(target)
            for number in range(count):
                kind = f"{MUTATED}: {TARGETS[target].what}"
                yield Case(target, kind, str(number), lambda t=target, s=originals, n=number: mutant(t, s, n), None)


def _head() -> str:
    return """# Robustness

Written by `make robustness`; do not edit. Each file is read in a process with a clock and a limit of memory.

- **Read**: a legal file, which some hostile-looking ones are. **Refused**: a `CamcompatError` of one line.
- **Broken**: anything else: another exception, a crash, a hang (a minute), a file that should have been refused and
  was read, or the other way round.
- Seconds are of processor time. Memory is the largest resident size beyond that before the file. The goals: a second,
  and 32 MiB for a file of 1 MB. Whole pictures need more: Pillow takes 4 bytes a pixel, twice while one is turned or
  laid on white, up to the limit of pixels.
- Mutated files are the project's own small files with 1 to 4 accidents each (bits, bytes, spans, words, protobuf
  fields, picture heads), the same in every run.
"""


def _limits() -> str:
    """The limits in force, with what they mean, out of the docstring."""
    told: dict[str, str] = {}
    name = ""
    for line in (Limits.__doc__ or "").split("Attributes:")[1].split(">>>")[0].splitlines():
        start, colon, rest = line.strip().partition(": ")
        if colon and start.isidentifier():
            name, told[start] = start, rest
        elif name:
            told[name] += " " + line.strip()
    rows = [f"| `{f.name}` | {getattr(Limits(), f.name):,} | {told[f.name].strip()} |" for f in fields(Limits)]
    return (
        """
## Limits

What a file may ask for, in `prototxt/limits.py`. Raise one with the environment variable `CAMCOMPAT_LIMIT_<NAME>`
(`CAMCOMPAT_LIMIT_LAYERS=50000`), or with `prototxt.set_limits` and `prototxt.limited`.

| limit | default | of what |
|---|---:|---|
"""
        + "\n".join(rows)
        + "\n"
    )


def robustness(names: Iterable[str], count: int, out: str) -> int:
    """Attack parsers, print what is wrong, write the table; how many files broke a promise.

    Linux only (see `watch`).
    """
    for module in _MODULES:
        importlib.import_module(module)
    rows: dict[str, Row] = {}
    cases = list(_cases(names, count))
    for outcome in watch(cases):
        row = rows.setdefault(outcome.case.kind, Row(outcome.case.kind))
        row.add(outcome)
        if outcome.bad or outcome.seconds > SLOW or outcome.mib > LARGE:
            state = "BROKEN" if outcome.bad else "note"
            print(
                f"{state}: {outcome.case.target}: {outcome.case.kind}: {outcome.case.name}: {outcome.verdict}, "
                f"{outcome.seconds:.2f} s, {outcome.mib:.0f} MiB: {outcome.text[:300]}",
                flush=True,
            )
    broken = sum(row.broken for row in rows.values())
    total = sum(row.cases for row in rows.values())
    lines = [
        _head(),
        f"{total:,} files, {broken} broken (Python {platform.python_version()}, {platform.machine()}).\n",
        "| kind of input | files | read | refused | broken | slowest, s | largest, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *map(str, sorted(rows.values(), key=lambda row: row.kind.startswith(MUTATED))),
    ]
    Path(out).write_text("\n".join(lines) + "\n" + _limits())
    print(f"{total:,} files, {broken} broken; {out}")
    return min(broken, 1)
