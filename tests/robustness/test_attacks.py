"""Every hand-made hostile file, in a process of its own, as `make robustness` runs them; and a few mutated ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz import attacks_net, attacks_onnx, attacks_pictures, attacks_weights
from fuzz.mutate import mutant
from fuzz.seeds import ROOT, seeds
from fuzz.targets import TARGETS, attempt
from fuzz.watch import Case, watch

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the memory from /proc")


@linux
@pytest.mark.skipif(bool(os.environ.get("CAMCOMPAT_FAST")), reason="CAMCOMPAT_FAST is set")
def test_no_promise_is_broken(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    command = [sys.executable, "-m", "fuzz", "robustness", "--count", "100", "--out", str(table)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout and "| mutated files: " in table.read_text()


@linux
def test_what_breaks_is_told() -> None:
    """The watch itself can fail: a crash, a hang, another error, and a file that is read though it should not be."""
    code = """
import os, signal, fuzz.watch as w, fuzz.targets as t
w.HANG = 1.0
def act(path):
    exec(path.read_text())
w.TARGETS["act"] = t.Target(act, ".txt", "acts")
texts = ["1/0", "os.kill(os.getpid(), signal.SIGSEGV)", "import time; time.sleep(9)", "pass", "x = bytearray(64 << 20)"]
texts.append("from prototxt.errors import CamcompatError; raise CamcompatError('no')")
cases = [w.Case("act", "k", text, text.encode) for text in ["import os, signal; " + text for text in texts]]
outcomes = list(w.watch(cases))
print([(o.verdict, o.bad) for o in outcomes])
print(outcomes[4].mib > 60)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    verdicts = [
        ("leak", True),
        ("crash", True),
        ("hang", True),
        ("read", True),
        ("read", True),
        ("refused", False),
    ]
    assert done.stdout.splitlines() == [repr(verdicts), "True"]


def test_every_kind_has_cases_of_its_own() -> None:
    cases = [
        case for module in (attacks_net, attacks_weights, attacks_pictures, attacks_onnx) for case in module.cases()
    ]
    assert len({(case.target, case.kind, case.name) for case in cases}) == len(cases) > 300
    assert {case.target for case in cases} == set(TARGETS)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_seeds_are_read(target: str, tmp_path: Path) -> None:
    """Mutations start from files that are read; no file is other people's."""
    path = tmp_path / f"f{TARGETS[target].suffix}"
    for data in seeds(target)[::12]:
        path.write_bytes(data)
        assert attempt(TARGETS[target], path) == ""


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_mutants_are_the_same_in_each_run_and_differ(target: str) -> None:
    made = [mutant(target, seeds(target), number) for number in range(50)]
    assert made == [mutant(target, seeds(target), number) for number in range(50)]
    assert len(set(made)) > 40


def test_a_case_of_no_parser_is_refused() -> None:
    with pytest.raises(KeyError):
        TARGETS[Case("nothing", "k", "n", bytes).target]
    assert list(watch([])) == []
