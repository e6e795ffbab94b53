"""Nets of a few lines for tests of single layers: inputs, a text of layers, and a check in any backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import parity

import prototxt


def net(layers: str, shapes: Mapping[str, Sequence[int]], source: str = "<string>") -> prototxt.Net:
    """The net of these inputs and layers."""
    text = ""
    for name, shape in shapes.items():
        dims = " ".join(f"dim: {dim}" for dim in shape)
        text += f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'
    return prototxt.loads(text + layers, source=source)


def check(
    layers: str,
    feeds: Mapping[str, np.ndarray],
    wanted: Mapping[str, np.ndarray],
    backend: str,
    tmp_path: Path,
    *,
    weights: Mapping[str, Sequence[np.ndarray]] | None = None,
    batch: int | None = None,
    tolerance: float = parity.SUMS,
    source: str = "<string>",
) -> None:
    """The blobs of `wanted` come out as given; `batch`: what the net declares for axis 0 of every input."""
    shapes = {name: (x.shape if batch is None else (batch, *x.shape[1:])) for name, x in feeds.items()}
    inputs = [np.asarray(x, np.float32) for x in feeds.values()]
    built = net(layers, shapes, source)
    found = parity.run(backend, built, weights or {}, inputs, list(wanted), tmp_path)
    for name, expected in wanted.items():
        assert parity.error(np.asarray(found[name]), np.asarray(expected)) <= tolerance, name
