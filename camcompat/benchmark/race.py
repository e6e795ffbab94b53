"""Contestants, each in a process of its own, run by turns: whatever disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["Contestant", "Timing", "race"]

TURN = 0.4  # seconds that each contestant runs before the next one does
PAUSE = 0.05  # seconds: idle threads of the one before stop spinning


@dataclass(frozen=True)
class Contestant:
    """What runs: ``make(*args)`` of a module, called in the contestant's process, returns the function to time."""

    name: str
    module: str
    make: str
    args: tuple[Any, ...] = ()


@dataclass
class Timing:
    """Seconds of each timed call; or why there are none.

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
            found: list[float] = []
            while not found or sum(found) < turn:
                start = time.perf_counter()
                function()
                found.append(time.perf_counter() - start)
            pipe.send(found)
    except EOFError:
        return
