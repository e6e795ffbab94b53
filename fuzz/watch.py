"""Running hostile files in a process of their own, with a clock, a limit of memory, and a parent that survives."""

from __future__ import annotations

import json
import os
import re
import resource
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from fuzz.targets import TARGETS, attempt, scratch

__all__ = ["Case", "Outcome", "watch"]

HANG = 60.0  # seconds of the clock after which the parent ends a case
ADDRESS_SPACE = 8 << 30  # what a case may ask for at all; the machine must survive
BLOCK = 1 << 20


@dataclass(frozen=True)
class Case:
    """A hostile file: its parser, what kind of attack it is, its own name, and how its bytes are made.

    ``allowed``: a legal file that may be read (a mutated one may be either).
    """

    target: str
    kind: str
    name: str
    make: Callable[[], bytes]
    legal: bool | None = False


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        verdict: "read", "refused" (a CamcompatError), or what went wrong: "leak" (another exception), "hang", "crash".
        text: the error's line.
        seconds: of processor time, of the parser alone (the clock would count what else the machine does).
        mib: the largest resident memory during it, beyond that before it.
        size: bytes of the file.
    """

    case: Case
    verdict: str
    text: str
    seconds: float
    mib: float
    size: int

    @property
    def bad(self) -> bool:
        """Whether the parser's promise is broken: neither read nor refused as it should be."""
        wrong = {True: "refused", False: "read", None: ""}[self.case.legal]
        return self.verdict not in ("read", "refused") or self.verdict == wrong


def _status(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+)", Path("/proc/self/status").read_text(), re.M)
    return int(found[1]) if found else 0


def _forget_peak() -> None:
    with Path("/proc/self/clear_refs").open("w") as file:  # 5: the peak of the resident size starts anew
        file.write("5")


def _one(case: Case, folder: Path) -> dict[str, object]:
    """Run one case in this process."""
    data = case.make()
    target = TARGETS[case.target]
    path = folder / f"f{target.suffix}"
    path.write_bytes(data)
    size = len(data)
    del data
    _forget_peak()
    before, start = _status("VmRSS"), time.process_time()
    try:
        text = attempt(target, path)
        verdict = "refused" if text else "read"
    except Exception as error:  # any other exception is what is looked for
        verdict, text = "leak", f"{type(error).__name__}: {error}"
    seconds = time.process_time() - start
    mib = max(0, _status("VmHWM") - before) / 1024
    return {"verdict": verdict, "text": text[:2000], "seconds": seconds, "mib": mib, "size": size}


def _child(cases: Sequence[Case], folder: Path, pipe: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with os.fdopen(pipe, "w") as out:
        for case in cases:
            out.write(json.dumps(_one(case, folder)) + "\n")
            out.flush()


def _lines(pipe: IO[bytes]) -> Iterator[bytes | None]:
    """The child's lines; None where it says nothing for too long, then the end."""
    rest = b""
    while True:
        if not select.select([pipe], [], [], HANG)[0]:
            yield None
            return
        data = os.read(pipe.fileno(), BLOCK)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


def watch(cases: Sequence[Case]) -> Iterator[Outcome]:
    """Run cases one after another in a forked process; after a crash or a hang, a new one goes on with the next.

    Linux only: it reads the peak of the resident memory from /proc.
    """
    at = 0
    while at < len(cases):
        with TemporaryDirectory(dir=scratch()) as folder:
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(reading)
                try:
                    _child(cases[at:], Path(folder), writing)
                finally:
                    os._exit(0)
            os.close(writing)
            hung = False
            with os.fdopen(reading, "rb", buffering=0) as pipe:
                for line in _lines(pipe):
                    if line is None:
                        hung = True
                        os.kill(pid, signal.SIGKILL)
                    else:
                        yield Outcome(cases[at], **json.loads(line))
                        at += 1
            _, status = os.waitpid(pid, 0)
        if at < len(cases):
            verdict = "hang" if hung else "crash"
            yield Outcome(cases[at], verdict, f"exit status {status}", HANG if hung else 0, 0, 0)
            at += 1
