"""Coverage-guided fuzzing with atheris (libFuzzer): one process per target, a box of time for each.

Needs the extra ``camcompat[fuzz]`` (Linux). A finding is the file that libFuzzer leaves in ``build/fuzz/findings``;
fix it, and keep the file's bytes as a case in ``tests/robustness``.
"""

from __future__ import annotations

import inspect
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import mkdtemp
from types import FunctionType
from typing import Any

from fuzz.mutate import structured
from fuzz.seeds import ROOT, seeds, write_corpus
from fuzz.targets import TARGETS, attempt, scratch

__all__ = ["COVERED", "fuzz_all", "fuzz_one"]

COVERED = ("prototxt", "caffemodel", "picture")
"""The targets whose parser is Python, so that its branches can be seen."""

READERS = ("prototxt", "weights", "camcompat.pictures.images")
"""Packages, and one module, whose branches are counted."""

BLIND = "no interesting inputs were found"  # libFuzzer's words where nothing is instrumented

WORK = ROOT / "build" / "fuzz"


def fuzz_one(name: str, seconds: int) -> None:
    """Fuzz one target in this process until the time is over; never returns (libFuzzer ends the process)."""
    import atheris

    _instrument(atheris)
    target = TARGETS[name]
    path = Path(mkdtemp(dir=scratch())) / f"f{target.suffix}"

    def one(data: bytes) -> None:
        path.write_bytes(data)
        attempt(target, path)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.randrange(2):
            return structured(name, rng, data, seeds(name))[:most]
        return bytes(atheris.Mutate(data, most))

    corpus, findings = WORK / name, WORK / "findings"
    findings.mkdir(parents=True, exist_ok=True)
    write_corpus(name, corpus)
    options = [
        f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", "-max_len=16384", "-print_final_stats=1",
        "-verbosity=0", f"-artifact_prefix={findings / name}-",
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def _instrument(atheris: Any) -> None:
    """Count the branches of the readers, every module of which is loaded first: the seeds have loaded some already."""
    for name in (
        "prototxt.text_format.parser",
        "prototxt.training.deployment",
        "prototxt.net",
        "weights.files.reader",
        "camcompat.pictures.images",
    ):
        import_module(name)
    for name, module in list(sys.modules.items()):
        if name.startswith(READERS):
            for function in _functions(vars(module), name):
                atheris.instrument_func(function)


def _functions(names: Mapping[str, Any], module: str) -> Iterator[FunctionType]:
    """The functions that a module defines, its classes' included."""
    for value in list(names.values()):
        value = inspect.unwrap(getattr(value, "fget", None) or getattr(value, "__func__", value))
        if inspect.isclass(value) and value.__module__ == module:
            yield from _functions(vars(value), module)
        elif inspect.isfunction(value) and value.__module__ == module:
            yield value


def fuzz_all(names: tuple[str, ...], seconds: int) -> int:
    """Fuzz targets one after another, each in a process of its own; how many ended with a finding."""
    failed = 0
    for name in names:
        print(f"{name}: {seconds} s", flush=True)
        command = [sys.executable, "-m", "fuzz", "coverage", name, "--seconds", str(seconds), "--here"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        lines = [line for line in done.stderr.splitlines() if line.startswith("stat::")]
        print("  " + "; ".join(line.removeprefix("stat::").strip() for line in lines) or done.stderr[-500:], flush=True)
        if done.returncode or BLIND in done.stderr:
            failed += 1
            print(done.stderr[-4000:] + f"\n  a finding: see {WORK / 'findings'}", flush=True)
    return failed
