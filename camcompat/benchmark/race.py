"""Contestants, each in a process of its own, run by turns: whatever disturbs the machine disturbs all of them alike.

`race` times calls in processes that stay; `run_by_turns` measures whole processes, memory included.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["Contestant", "Process", "Timing", "race", "run_by_turns"]

TURN = 0.4  # seconds that each contestant runs before the next one does
PAUSE = 0.05  # seconds: idle threads of the one before stop spinning


@dataclass(frozen=True)
class Contestant:
    """What runs.

    Attributes:
        name: what it is called.
        module, make, args: ``make(*args)`` of the module, called in the contestant's process, returns the function to
            time.
    """

    name: str
    module: str
    make: str
    args: tuple[Any, ...] = ()


@dataclass
class Timing:
    """What came of a contestant.

    Attributes:
        name: the contestant's.
        seconds: of each timed call.
        missing: why there are none.

    >>> Timing("us", [3.0, 1.0, 2.0]).median
    2.0
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def least(self) -> float:
        return min(self.seconds)


def race(
    contestants: Sequence[Contestant], *, seconds: float = 2.0, least: int = 5, most: int = 60, turn: float = TURN
) -> list[Timing]:
    """Time every contestant by turns until each had about `seconds` of calls.

    Args:
        contestants: what to run.
        seconds: of timed calls for the fastest of them.
        least, most: turns at the least and at the most.
        turn: seconds of calls in a turn, one call at the least.

    Returns:
        One `Timing` each, in order; `missing` where its package is not there or it failed.
    """
    spawn = multiprocessing.get_context("spawn")
    timings = [Timing(contestant.name) for contestant in contestants]
    running: list[tuple[Timing, Connection, Any]] = []
    try:
        for contestant, timing in zip(contestants, timings):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(contestant, turn, theirs), daemon=True)
            process.start()
            theirs.close()
            running.append((timing, ours, process))
            timing.missing = _receive(ours)
        racing = [(timing, pipe) for timing, pipe, _ in running if not timing.missing]
        for number in range(most):
            if number >= least and all(sum(timing.seconds) >= seconds for timing, _ in racing):
                break
            for timing, pipe in racing:
                pipe.send("again")
                timing.seconds += _receive(pipe)
                time.sleep(PAUSE)
    finally:
        for _, pipe, process in running:
            pipe.close()
            process.join(5)
            process.kill()
    return timings


def _receive(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        return "its process died"


def _serve(contestant: Contestant, turn: float, pipe: Connection) -> None:
    """The contestant's process: for every word it gets, a warm call, then timed ones for as long as a turn lasts.

    Several calls a turn: alone, the first ones still pay for caches that the others have filled.
    """
    try:
        function: Callable[[], object] = getattr(import_module(contestant.module), contestant.make)(*contestant.args)
        function()
    except Exception as error:  # a peer's own failure, of whatever kind, is reported and not ours
        pipe.send(f"{type(error).__name__}: {error}".splitlines()[0][:120])
        return
    pipe.send("")
    try:
        while pipe.recv():
            function()
            calls: list[float] = []
            while not calls or sum(calls) < turn:
                start = time.perf_counter()
                function()
                calls.append(time.perf_counter() - start)
            pipe.send(calls)
    except EOFError:
        return


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
        name: what ran.
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


def run_by_turns(jobs: Mapping[str, tuple[str, str]], target: Path, *, turns: int = 5) -> list[Process]:
    """Run each job in fresh interpreters, by turns; `target` is removed after each."""
    runs: dict[str, list[tuple[float, float, float]]] = {name: [] for name in jobs}
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
                runs[name].append(done)
    return [_summary(name, runs[name], missing.get(name, "")) for name in jobs]


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
