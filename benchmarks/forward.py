"""Forward passes of one backend, timed."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import converters
import prototxt

__all__ = ["measure"]

SECONDS = 2.0  # per measurement


def seconds(function: Callable[[], object]) -> float:
    """The median time of one call, over about two seconds of calls."""
    function()
    times: list[float] = []
    while sum(times) < SECONDS or len(times) < 3:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def runner(backend: str, definition: Path, model: Path, blob: str, x: np.ndarray) -> Callable[[], object]:
    """One forward pass of a backend, its files loaded."""
    if backend == "torch":
        import torch

        module, tensor = converters.to_torch(definition, model).eval().requires_grad_(False), torch.from_numpy(x)
        return lambda: module(tensor)
    if backend == "OpenCV":
        import cv2

        peer = cv2.dnn.readNetFromCaffe(str(definition), str(model))
        return lambda: (peer.setInput(x), peer.forward())
    import onnxruntime

    with_cam = backend == "onnxruntime with CAM"
    path = converters.to_onnx(definition, model, model.with_suffix(f".{with_cam}.onnx"), cam=with_cam)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options)
    return lambda: session.run(None, {blob: x})


def measure(backend: str, definition: Path, model: Path, batch: int) -> float:
    """Median seconds of a forward pass, in a process of its own: idle threads of one library disturb another."""
    warnings.simplefilter("ignore", converters.CamcompatWarning)
    (blob, shape), *_ = prototxt.load(definition).inputs.items()
    x = np.random.default_rng(0).standard_normal((batch, *shape[1:])).astype(np.float32) * 50
    return seconds(runner(backend, definition, model, blob, x))
