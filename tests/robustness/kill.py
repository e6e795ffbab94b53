"""Kills converting and downloading processes at random moments, and looks at what they leave behind.

`python -m tests.robustness.kill` does it 50 times each; test_atomic.py a few times.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import itertools
import multiprocessing
import multiprocessing.synchronize
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

VERSIONS: Sequence[dict[str, Any]] = ({}, {"outputs": ["conv1"]})
"""Options of `convert` whose results cannot be mixed: the second's module has one convolution only."""

SIZE = 3_000_000


def convert_for_ever(folder: str, ready: multiprocessing.synchronize.Event, times: int = 10**9) -> None:
    """Convert the embedded net under one name, now whole, now its first layer only."""
    from camcompat.conversion.converter import convert_model
    from weights.models import find

    ready.set()
    for number in range(times):
        convert_model(find("shapes-cam"), Path(folder), name="net", **VERSIONS[number % 2])


def download_for_ever(
    home: str, url: str, digest: str, ready: multiprocessing.synchronize.Event, times: int = 10**9
) -> None:
    """Fetch a file again and again."""
    from download_helpers import FAST, model_of, weights_at

    from weights.downloads.fetch import download

    os.environ["NO_PROXY"] = "*"
    ready.set()
    for _ in range(times):
        model = model_of(weights_at(url, hashes={"sha256": digest} if digest else {}, min_size=SIZE))
        download(model, home=home, policy=FAST, force=True)


def forks() -> ForkServerContext:
    """Processes that are forked from one that has imported everything: the imports are paid for once."""
    context = multiprocessing.get_context("forkserver")
    libraries = ["torch", "safetensors.torch", "onnx", "onnxruntime", "requests", "numpy"]
    context.set_forkserver_preload(
        [*libraries, "camcompat.conversion.converter", "converters.torch_backend.source.file", "download_helpers"]
    )
    return context


def kill_at_random(
    target: Callable[..., None],
    args: Sequence[Any],
    check: Callable[[], None],
    *,
    kills: int,
    longest: float,
    seed: int,
) -> None:
    """Start the function in a process and kill it up to `longest` seconds after it has begun; `kills` times.

    `check` looks at what is there after each. At the end it may run through: what its forerunners left must not be in
    its way.
    """
    context = forks()
    delays = random.Random(seed)
    for _ in range(kills):
        ready = context.Event()
        process = context.Process(target=target, args=(*args, ready))
        process.start()
        assert ready.wait(60)
        time.sleep(delays.uniform(0, longest))
        assert process.is_alive(), "it ended by itself"
        process.kill()
        process.join()
        check()
    ready = context.Event()  # (held here: the process takes it over by name)
    process = context.Process(target=target, args=(*args, ready, 2))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    check()


def check_conversion(folder: Path) -> None:
    """Every artefact is absent or whole, and the source and its weights are of one conversion."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)
    if (folder / "net.onnx").exists():
        onnxruntime.InferenceSession(str(folder / "net.onnx"), providers=["CPUExecutionProvider"])
    if (folder / "net.py").exists():
        spec = importlib.util.spec_from_file_location("net", folder / "net.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.dont_write_bytecode = True
        spec.loader.exec_module(module)
        module.load()


def conversions(folder: Path, *, kills: int, seed: int = 1, longest: float = 1.5) -> None:
    """Kill `convert`, and check the folder each time."""
    args = (str(folder),)
    check = partial(check_conversion, folder)
    kill_at_random(convert_for_ever, args, check, kills=kills, longest=longest, seed=seed)
    left = {path.name for path in folder.iterdir()}
    assert left == {"net.onnx", "net.py", "net.safetensors"}, left


def downloads(home: Path, *, kills: int, seed: int = 1, longest: float = 0.3, hashed: bool = False) -> None:
    """Kill `download`, and check each time that the cache holds the whole file or none."""
    from file_server import Request, running

    data = random.Random(3).randbytes(SIZE)
    digest = hashlib.sha256(data).hexdigest()
    path = home / "net" / "net.caffemodel"
    whole = itertools.count()

    def answer(request: Request) -> None:
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        headers = {"Content_Range": f"bytes {begin}-{SIZE - 1}/{SIZE}"} if begin else {}
        request.head(206 if begin else 200, SIZE - begin, ETag='"1"', **headers)
        for start in range(begin, SIZE, 100_000):
            request.wfile.write(data[start : start + 100_000])
            time.sleep(0.002)

    def check() -> None:
        if path.exists():
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
            if next(whole) % 2:
                path.unlink()

    with running() as server:
        args = (str(home), server.serve("/a", answer), digest if hashed else "")
        kill_at_random(download_for_ever, args, check, kills=kills, longest=longest, seed=seed)
    assert {one.name for one in path.parent.iterdir()} <= {path.name}
    assert {one.name for one in home.iterdir()} == {path.parent.name, "camcompat.lock"}


def main() -> None:
    """Do it, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["convert", "download"])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.what != "download":
        with tempfile.TemporaryDirectory() as folder:
            conversions(Path(folder), kills=options.kills, seed=options.seed)
            print(f"convert: {options.kills} kills, no broken artefact")
    for hashed in (False, True) if options.what != "convert" else ():
        with tempfile.TemporaryDirectory() as folder:
            downloads(Path(folder), kills=options.kills, seed=options.seed, hashed=hashed)
            kind = "a published hash" if hashed else "no published hash"
            print(f"download, {kind}: {options.kills} kills, no broken file")


if __name__ == "__main__":
    main()
