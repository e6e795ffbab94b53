"""Whole processes: seconds and peak memory of a fresh interpreter that converts or loads a net."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from camcompat.benchmark.nets import Subject

__all__ = ["Process", "conversions", "run_by_turns"]

# Private memory is what the kernel cannot drop; pages of mapped files are not part of it.
WATCH = """
import sys, threading, time, warnings
warnings.simplefilter("ignore")
peak = 0
def private():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return 0.0
def watch():
    global peak
    while True:
        peak = max(peak, private())
        time.sleep(0.002)
threading.Thread(target=watch, daemon=True).start()
{setup}
before, start = private(), time.perf_counter()
{code}
seconds = time.perf_counter() - start
import json
print(json.dumps([seconds, max(peak, private()), before]))
"""


@dataclass(frozen=True)
class Process:
    """Medians of several fresh processes.

    Attributes:
        seconds: of the work, imports excluded.
        peak: MB of private memory at most (0 where the system does not tell).
        before: MB of private memory after the imports.
        missing: why it could not run.
    """

    name: str
    seconds: float = 0.0
    peak: float = 0.0
    before: float = 0.0
    missing: str = ""


def conversions(subject: Subject, made: Mapping[str, Path]) -> dict[str, tuple[str, str]]:
    """Name → (imports, work) of everything that reads a caffemodel, and of opening the ONNX files `made` of it."""
    files = f"{str(subject.definition)!r}, {str(subject.caffemodel)!r}"
    target = subject.caffemodel.with_suffix(".converted.onnx")
    copy = f"shutil.copyfile({str(subject.caffemodel)!r}, {str(target)!r})"
    return {
        "copy the caffemodel": ("import shutil", copy),
        "to_onnx": (
            "import converters, converters.onnx_backend.file",
            f"converters.to_onnx({files}, {str(target)!r})",
        ),
        "OpenCV: readNetFromCaffe": ("import cv2", f"cv2.dnn.readNetFromCaffe({files})"),
        "pycaffe: Net": ("import caffe", f"caffe.Net({files}, caffe.TEST)"),
        **{
            name: (
                "from pathlib import Path; from camcompat.cam.session import open_session",
                f"open_session(Path({str(path)!r}))",
            )
            for name, path in made.items()
        },
    }


def run_by_turns(jobs: Mapping[str, tuple[str, str]], target: Path, *, turns: int = 5) -> list[Process]:
    """Run each job in fresh interpreters, by turns; `target` is removed after each."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in jobs}
    missing: dict[str, str] = {}
    for _ in range(turns):
        for name, (setup, code) in jobs.items():
            if name in missing:
                continue
            done = _child(WATCH.format(setup=setup, code=code))
            target.unlink(missing_ok=True)
            if isinstance(done, str):
                missing[name] = done
            else:
                found[name].append(done)
    return [_summary(name, found[name], missing.get(name, "")) for name in jobs]


def _child(code: str) -> tuple[float, float, float] | str:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return lines[-1][:120] if lines else f"exit status {done.returncode}"
    seconds, peak, before = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak, before


def _summary(name: str, runs: list[tuple[float, float, float]], missing: str) -> Process:
    if not runs:
        return Process(name, missing=missing)
    seconds, peak, before = (statistics.median(column) for column in zip(*runs))
    return Process(name, seconds, peak, before)
