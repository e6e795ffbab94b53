"""Other programs that read Caffe's files: pycaffe and OpenCV 4, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.verification.oracles.registry import Inquiry, NotAtHand, Oracle, oracle
from camcompat.verification.subject import write_caffemodel

if TYPE_CHECKING:
    from camcompat.verification.report.findings import OracleResult
    from camcompat.verification.subject import Arrays, Subject

__all__ = ["KNOWN_DEVIATIONS", "known_deviation", "opencv", "pycaffe", "run_peer"]

WORKER = Path(__file__).with_name("peer_worker.py")
TIMEOUT = 600  # seconds
ASK = {
    "cv2": "import cv2; print(cv2.__version__)",
    "caffe": "import sys, caffe; print('ours' if 'camcompat' in sys.modules else getattr(caffe, '__version__', '?'))",
}
NAMES = {"cv2": "OpenCV", "caffe": "pycaffe"}


@oracle("pycaffe", place=30, authority=True)
def pycaffe(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """Caffe itself."""
    yield inquiry.judged(self.reference(*_answer("caffe", inquiry)))


@oracle("OpenCV 4", place=40)
def opencv(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
    """OpenCV's importer of Caffe's files."""
    yield inquiry.judged(self.reference(*_answer("cv2", inquiry), partial(known_deviation, inquiry.subject)))


def _answer(kind: str, inquiry: Inquiry) -> tuple[str, dict[str, np.ndarray]]:
    return run_peer(kind, inquiry.subject, inquiry.feeds, inquiry.subject.chosen(inquiry.feeds))


def run_peer(kind: str, subject: Subject, feeds: Arrays, blobs: Sequence[str]) -> tuple[str, dict[str, np.ndarray]]:
    """Have "caffe" or "cv2" compute the blobs of a net.

    Returns:
        The peer's version, and the blobs that it computed.

    Raises:
        NotAtHand: it is not installed, cannot read the net, or crashed; with its own words.
    """
    version = installed(kind)
    if kind == "cv2" and not version.startswith("4."):
        raise NotAtHand(f"OpenCV {version} has no Caffe importer (4.x has)")
    wanted = list(_wanted(subject, blobs, last_values=kind == "caffe"))
    with tempfile.TemporaryDirectory(prefix="camcompat-peer-") as name:
        folder = Path(name)
        _write_weights(subject, folder / "net.caffemodel")
        arrays: dict[str, Any] = {str(place): x for place, x in enumerate(feeds.values())}
        np.savez(folder / "feeds.npz", **arrays)
        (folder / "inputs.json").write_text(json.dumps(list(feeds)), "utf-8")
        (folder / "blobs.json").write_text(json.dumps([entry[1:] for entry in wanted]), "utf-8")
        problem = ""
        for text in _definitions(subject):
            (folder / "net.prototxt").write_bytes(text)
            problem = _ask(kind, folder)
            if not problem:
                break
        if problem:
            raise NotAtHand(f"{NAMES[kind]} {version} cannot run this net: {problem}")
        with np.load(folder / "values.npz") as file:
            return version, {wanted[int(key)][0]: file[key] for key in file.files}


@lru_cache
def installed(kind: str) -> str:
    """The version of a peer, asked of another process; NotAtHand where it cannot be imported."""
    done = subprocess.run([sys.executable, "-c", ASK[kind]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotAtHand(f"{NAMES[kind]} is not installed")
    if done.stdout.strip() == "ours":
        raise NotAtHand("the module caffe that can be imported is camcompat's own")
    return done.stdout.strip()


def _ask(kind: str, folder: Path) -> str:
    """Run the worker; what went wrong, in its own words, or ""."""
    command = [sys.executable, str(WORKER), kind, str(folder)]
    env = {**os.environ, "GLOG_minloglevel": "2", "OPENCV_LOG_LEVEL": "SILENT"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT, env=env, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no result within {TIMEOUT} s"
    if not done.returncode:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = next(
        (line for line in reversed(lines) if "rror" in line or "Check failed" in line), (lines or ["no message"])[-1]
    )
    return f"{told[:300]}" + (f" (signal {-done.returncode})" if done.returncode < 0 else "")


def _wanted(subject: Subject, blobs: Sequence[str], *, last_values: bool) -> Iterator[tuple[str, str, str, int]]:
    """Versioned name, the name in the file, layer and top number; only what the peer can tell apart."""
    names = [layer.name for layer in subject.net.layers]
    chosen = set(blobs)
    for layer in subject.net.layers:
        for number, (top, plain) in enumerate(zip(layer.tops, layer.message.top)):
            if top not in chosen or not layer.name or names.count(layer.name) > 1:
                continue
            if not last_values or subject.net.resolve(plain) == top:
                yield top, plain, layer.name, number


def _definitions(subject: Subject) -> Iterator[bytes]:
    """The prototxt as it is, then in today's format, as the net is run."""
    if isinstance(subject.prototxt, (str, os.PathLike)) and not subject.net.notes:
        yield Path(subject.prototxt).read_bytes()
    yield str(subject.net.message).encode()


def _write_weights(subject: Subject, target: Path) -> None:
    """The caffemodel, or (for weights that are no such file) one that is written from the lowered net."""
    source = subject.caffemodel
    path = Path(source) if isinstance(source, (str, os.PathLike)) else None
    if path is not None and path.suffix == ".caffemodel":
        target.symlink_to(path.resolve())
    else:
        write_caffemodel(subject.net, source, target)


KNOWN_DEVIATIONS = {
    "LRN": ("lrn_param", "k", "OpenCV ignores k of LRN (it takes 1)"),
    "InnerProduct": ("inner_product_param", "transpose", "OpenCV ignores transpose of InnerProduct"),
    "Log": ("log_param", "base", "OpenCV ignores base of Log"),
    "MVN": ("mvn_param", "eps", "OpenCV ignores eps of MVN"),
    "Swish": ("swish_param", "beta", "OpenCV ignores beta of Swish"),
}
"""Layer type → the parameter that OpenCV 4's Caffe importer was measured to get wrong (CAFFE.md), and how."""


def known_deviation(subject: Subject, layer_name: str) -> str:
    """Why OpenCV differs at a layer, where that is known; "" otherwise."""
    for layer in subject.net.layers:
        if layer.name == layer_name and layer.type in KNOWN_DEVIATIONS:
            message, field, words = KNOWN_DEVIATIONS[layer.type]
            if getattr(layer.message, message).HasField(field):
                return words
        if layer.name == layer_name and layer.type == "Scale" and len(layer.bottoms) == 2:
            return "OpenCV gets Scale with two bottoms wrong"
    return ""
