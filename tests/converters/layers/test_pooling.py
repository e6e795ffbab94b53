"""Pooling where few nets go: the clip rule across axes, windows without a pixel, STOCHASTIC, and what Caffe refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
from small_nets import check, net

import converters
from prototxt.errors import CamcompatError

BACKENDS = pytest.mark.parametrize("backend", parity.BACKENDS)
LOWEST = np.finfo(np.float32).min


def pooling(parameters: str, tops: str = "out") -> str:
    names = " ".join(f'top: "{top}"' for top in tops.split())
    return f'layer {{ name: "p" type: "Pooling" bottom: "data" {names} pooling_param {{ {parameters} }} }}'


def draw(*shape: int) -> np.ndarray:
    return np.random.RandomState(4).standard_normal(shape).astype(np.float32)


@BACKENDS
def test_the_clip_rule_holds_for_both_axes(backend: str, tmp_path: Path) -> None:
    """Only the width is padded, yet Caffe also drops the third row of windows, which starts below the image."""
    x = draw(2, 3, 5, 4)
    padded = np.pad(x, [(0, 0), (0, 0), (0, 0), (1, 1)], constant_values=-np.inf)
    wanted = np.maximum(padded[:, :, ::3, :-1], padded[:, :, ::3, 1:])
    text = pooling("kernel_h: 1 kernel_w: 2 stride_h: 3 stride_w: 1 pad_h: 0 pad_w: 1")
    check(text, {"data": x}, {"out": wanted}, backend, tmp_path, batch=3, tolerance=0)


@BACKENDS
def test_windows_without_a_pixel(backend: str, tmp_path: Path) -> None:
    """Stride 3 over 5 pixels without padding: the third window starts at 6. Caffe leaves −FLT_MAX there, and −1."""
    x = draw(2, 3, 5, 4)
    values = np.full((2, 3, 3, 2), LOWEST)
    values[:, :, :2] = x[:, :, ::3, ::3]
    mask = np.full((2, 3, 3, 2), -1)
    mask[:, :, :2] = np.arange(20).reshape(5, 4)[::3, ::3]
    text = pooling("kernel_size: 1 stride: 3", "out mask")
    check(text, {"data": x}, {"out": values, "mask": mask}, backend, tmp_path, batch=3, tolerance=0)


@BACKENDS
@pytest.mark.parametrize(
    ("window", "rows", "columns"),
    [
        ("kernel_size: 2 stride: 2", [(0, 2), (2, 4), (4, 6), (6, 7)], [(0, 2), (2, 4), (4, 6)]),
        ("kernel_size: 3 stride: 2", [(0, 3), (2, 5), (4, 7)], [(0, 3), (2, 5), (4, 6)]),
        ("global_pooling: true", [(0, 7)], [(0, 6)]),
    ],
)
def test_stochastic_pooling_is_the_mean_weighted_by_itself(
    window: str, rows: list[tuple[int, int]], columns: list[tuple[int, int]], backend: str, tmp_path: Path
) -> None:
    """pooling_layer.cu at TEST: Σx² / Σx, and 0 where the sum is not positive."""
    x = np.maximum(draw(2, 3, 7, 6), 0)
    x[0] = 0
    x[1, 0] = -1
    wanted = np.zeros((2, 3, len(rows), len(columns)))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            part = x[:, :, top:bottom, left:right].astype(np.float64)
            total = part.sum((2, 3))
            wanted[:, :, i, j] = np.where(total > 0, (part**2).sum((2, 3)) / np.where(total > 0, total, 1), 0)
    check(pooling(f"pool: STOCHASTIC {window}"), {"data": x}, {"out": wanted}, backend, tmp_path, batch=1)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("kernel_size: 2 kernel_h: 2 kernel_w: 2", "mixed"),
        ("kernel_h: 2", "mixed"),
        ("kernel_size: 3 pad_h: 1", "mixed"),
        ("kernel_size: 3 stride: 1 stride_h: 2 stride_w: 2", "mixed"),
        ("global_pooling: true kernel_size: 4", "excludes kernel_size"),
        ("global_pooling: true pad: 1", "excludes pad"),
        ("global_pooling: true stride: 2", "excludes pad"),
        ("kernel_size: 2 pad: 2", "smaller than kernel"),
        ("pool: STOCHASTIC kernel_size: 2 pad: 1", "MAX and AVE"),
        ("", "must be positive"),
        ("kernel_size: 2 stride: 0", "must be positive"),
        ("kernel_size: 9", "leaves an output"),
    ],
)
def test_refusals(parameters: str, message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        converters.to_numpy(net(pooling(parameters), {"data": (1, 2, 5, 6)}), {})


def test_only_max_has_a_mask() -> None:
    with pytest.raises(CamcompatError, match="needs MAX pooling"):
        converters.to_numpy(net(pooling("pool: AVE kernel_size: 2", "out mask"), {"data": (1, 2, 5, 6)}), {})


def test_pooling_needs_images() -> None:
    with pytest.raises(CamcompatError, match="needs 4"):
        converters.to_numpy(net(pooling("kernel_size: 2"), {"data": (1, 2, 5)}), {})


@BACKENDS
def test_mask_with_more_padding_than_half_a_window(backend: str, tmp_path: Path) -> None:
    """PyTorch pads by half a window at most; Caffe by all of it but one pixel."""
    x = draw(2, 3, 4, 5)
    x[0, 0] = 1  # equals: the first of them is the mask's
    rows, columns = [(0, 1), (0, 3), (2, 4)], [(0, 2), (0, 4), (2, 5), (4, 5)]
    values, mask = np.empty((2, 3, 3, 4)), np.empty((2, 3, 3, 4))
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            part = x[:, :, top:bottom, left:right].reshape(2, 3, -1)
            row, column = np.divmod(part.argmax(axis=2), right - left)
            values[:, :, i, j], mask[:, :, i, j] = part.max(axis=2), (row + top) * 5 + column + left
    window = "kernel_h: 3 kernel_w: 4 stride: 2 pad: 2"
    check(pooling(window, "out mask"), {"data": x}, {"out": values, "mask": mask}, backend, tmp_path, batch=1)
