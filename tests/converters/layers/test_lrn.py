"""LRN across channels against its formula, where the sums are several products of neighbouring channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest

import prototxt


@pytest.mark.parametrize(
    ("channels", "size"),
    [(31, 5), (32, 5), (33, 5), (64, 5), (97, 1), (97, 7), (20, 45), (80, 45), (600, 5)],
    ids=lambda number: str(number),
)
@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_every_channel_sees_its_neighbours(backend: str, channels: int, size: int, tmp_path: Path) -> None:
    x = (np.random.RandomState(channels).standard_normal((2, channels, 3, 5)) * 9).astype(np.float32)
    parameters = f"lrn_param {{ local_size: {size} alpha: 0.3 k: 2 }}"
    text = f'layer {{ name: "n" type: "LRN" bottom: "data" top: "out" {parameters} }}'
    declared = prototxt.loads(f'input: "data" input_shape {{ dim: 2 dim: {channels} dim: 3 dim: 5 }} ' + text)
    half, square = size // 2, x.astype(np.float64) ** 2
    total = np.stack([square[:, max(0, c - half) : c + half + 1].sum(axis=1) for c in range(channels)], axis=1)
    found = parity.run(backend, declared, {}, [x], ["out"], tmp_path)["out"]
    assert parity.error(found, x / (2 + 0.3 / size * total) ** 0.75) <= parity.SINGLE
