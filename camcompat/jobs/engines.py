"""Who does the work: this process, several processes of this machine, or a Ray cluster. Results come in order."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from camcompat.cam.session import allowed_cores
from camcompat.jobs.job import Chunk, Record, Task, Worker
from camcompat.jobs.pictures import Picture
from prototxt.errors import CamcompatError

__all__ = ["ENGINES"]

_AHEAD = 3
"""Chunks in flight per worker: enough that nobody waits, few enough that finished ones do not pile up."""

_worker: Worker


def local(task: Task, chunks: Sequence[Chunk], workers: int) -> Iterator[list[Record]]:
    """One worker: in this process. Several: a process each, which share the cores."""
    if workers == 1:
        worker = Worker(task)
        yield from (worker(chunk) for chunk in chunks)
        return
    task = _shared(task, workers)
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _open, (task,))
    try:
        yield from _in_order(lambda chunk: pool.submit(_work, chunk), chunks, workers * _AHEAD)
    except BrokenProcessPool:
        raise CamcompatError(
            "a worker process ended without a word (out of memory?)",
            where="workers",
            remedy="run it again with fewer workers: it goes on where it stopped",
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _shared(task: Task, workers: int) -> Task:
    """The task as each of several workers gets it: with its share of the cores, and a model that it opens itself."""
    return replace(task, threads=task.threads or max(1, allowed_cores() // workers), opened=None)


def _in_order(
    submit: Callable[[Chunk], Future[list[Record]]], chunks: Sequence[Chunk], ahead: int
) -> Iterator[list[Record]]:
    pending: deque[Future[list[Record]]] = deque()
    for chunk in chunks:
        pending.append(submit(chunk))
        if len(pending) >= ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _open(task: Task) -> None:
    global _worker
    _worker = Worker(task)


def _work(chunk: Chunk) -> list[Record]:
    return _worker(chunk)


def on_ray(task: Task, chunks: Sequence[Chunk], workers: int) -> Iterator[list[Record]]:
    """Ray Data: an actor per worker, each with a session of its own; the cluster is the one that Ray finds.

    On several machines, pictures and model have to lie where every node sees them, under the same paths.
    """
    try:
        import ray
    except ImportError:
        raise CamcompatError(
            "the engine ray needs the package ray", where="workers", remedy='pip install "camcompat[ray]"'
        ) from None
    task = _shared(task, workers)
    started = not ray.is_initialized()
    if started:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        done = ray.data.from_items(_rows(chunks), override_num_blocks=max(1, len(chunks))).flat_map(
            _RayWorker,
            fn_constructor_args=(task,),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=task.threads,
        )
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # Ray sets it to INFO with the first dataset
        for _, group in groupby(done.iter_rows(), key=lambda row: row["number"]):
            yield [_record(row) for row in group]
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise CamcompatError(f"Ray failed: {reason}", where="workers", remedy="check the cluster") from error
    finally:
        if started:
            ray.shutdown()


def _rows(chunks: Sequence[Chunk]) -> list[dict[str, Any]]:
    return [
        {
            "number": number,
            "paths": [os.fsencode(picture.path) for picture in chunk],  # columns of text take UTF-8 only
            "names": [os.fsencode(picture.name) for picture in chunk],
        }
        for number, chunk in enumerate(chunks)
    ]


class _RayWorker:
    """A worker as Ray Data wants it: a row per chunk in, a row of plain columns per picture out."""

    def __init__(self, task: Task) -> None:
        self.worker = Worker(task)

    def __call__(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        chunk = [_picture(path, name) for path, name in zip(row["paths"], row["names"], strict=True)]
        return [{"number": row["number"], **_columns(record)} for record in self.worker(chunk)]


def _columns(record: Record) -> dict[str, Any]:
    return {
        "path": os.fsencode(record.picture.path),
        "name": os.fsencode(record.picture.name),
        "result": json.dumps(record.result),
        "error": json.dumps(record.error and [record.error.message, record.error.where, record.error.remedy]),
        "suffixes": list(record.files),
        "data": list(record.files.values()),
    }


def _record(row: dict[str, Any]) -> Record:
    files = dict(zip(row["suffixes"], row["data"], strict=True))
    error = None
    if told := json.loads(row["error"]):
        message, where, remedy = told
        error = CamcompatError(message, where=where, remedy=remedy)
    return Record(_picture(row["path"], row["name"]), json.loads(row["result"]), error, files)


def _picture(path: bytes, name: bytes) -> Picture:
    return Picture(Path(os.fsdecode(path)), os.fsdecode(name))


ENGINES: dict[str, Callable[[Task, Sequence[Chunk], int], Iterator[list[Record]]]] = {"local": local, "ray": on_ray}
