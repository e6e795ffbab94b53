"""Interp against torch's align-corners interpolation, Upsample against torch's unpooling, and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from torch.nn import functional as F

import converters
import prototxt


def net(layers: str, *shapes: tuple[int, ...]) -> prototxt.Net:
    text = ""
    for name, shape in zip(("data", "other"), shapes):
        dims = " ".join(f"dim: {dim}" for dim in shape)
        text += f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'
    return prototxt.loads(text + layers)


def interp(parameters: str) -> str:
    return f'layer {{ name: "i" type: "Interp" bottom: "data" top: "out" interp_param {{ {parameters} }} }}'


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize(
    ("parameters", "crop", "size"),
    [
        ("shrink_factor: 2 zoom_factor: 3", (0, 0), (10, 13)),  # 7 -> 4 -> 10, 9 -> 5 -> 13
        ("shrink_factor: 2 zoom_factor: 3 height: 11 width: 6", (0, 0), (11, 6)),
        ("zoom_factor: 2 height: 11 width: 6", (0, 0), (13, 17)),
        ("shrink_factor: 3 pad_beg: -1", (1, 0), (2, 3)),
        ("height: 1 width: 30 pad_end: -3", (0, 3), (1, 30)),
        ("height: 7 width: 9", (0, 0), (7, 9)),
    ],
)
def test_interp(parameters: str, crop: tuple[int, int], size: tuple[int, int], backend: str, tmp_path: Path) -> None:
    x = np.random.RandomState(0).standard_normal((2, 3, 7, 9)).astype(np.float32)
    inner = torch.from_numpy(x[:, :, crop[0] : 7 - crop[1], crop[0] : 9 - crop[1]].astype(np.float64))
    wanted = F.interpolate(inner, size=size, mode="bilinear", align_corners=True).numpy()
    found = parity.run(backend, net(interp(parameters), x.shape), {}, [x], ["out"], tmp_path)["out"]
    assert parity.error(found, wanted) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_interp_like_another_blob(backend: str, tmp_path: Path) -> None:
    x = np.random.RandomState(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    layer = 'layer { name: "i" type: "Interp" bottom: "data" bottom: "other" top: "out" }'
    other = np.zeros((2, 1, 6, 11), np.float32)
    found = parity.run(backend, net(layer, x.shape, other.shape), {}, [x, other], ["out"], tmp_path)["out"]
    wanted = F.interpolate(torch.from_numpy(x), size=(6, 11), mode="bilinear", align_corners=True).numpy()
    assert parity.error(found, wanted) <= parity.SINGLE


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("", "no size is given"),
        ("height: 5", "no size is given"),
        ("zoom_factor: 2 pad_beg: 1", "must not be positive"),
        ("zoom_factor: 2 pad_beg: -7", "leave"),
        ("zoom_factor: 0", "must be positive"),
        ("factor: 2", "another fork"),
    ],
)
def test_interp_refusals(parameters: str, message: str) -> None:
    with pytest.raises(prototxt.CamcompatError, match=message):
        converters.to_numpy(net(interp(parameters), (1, 2, 7, 9)), {})


POOL = (
    'layer {{ name: "p" type: "Pooling" bottom: "data" top: "p" top: "m" '
    "pooling_param {{ pool: MAX kernel_size: {k} stride: {s} }} }}"
)
UP = 'layer {{ name: "u" type: "Upsample" bottom: "p" bottom: "m" top: "out" upsample_param {{ {} }} }}'


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize(
    ("kernel", "stride", "parameters"),
    [(2, 2, ""), (2, 2, "scale: 2"), (3, 3, "scale_h: 3 scale_w: 3"), (3, 1, "upsample_h: 6 upsample_w: 12")],
)
def test_unpooling(kernel: int, stride: int, parameters: str, backend: str, tmp_path: Path) -> None:
    x = np.random.RandomState(0).standard_normal((2, 3, 6, 12)).astype(np.float32)
    values, places = F.max_pool2d(torch.from_numpy(x), kernel, stride, return_indices=True)
    wanted = np.zeros((6, 72), np.float32)
    np.put_along_axis(wanted, places.numpy().reshape(6, -1), values.numpy().reshape(6, -1), 1)
    layers = POOL.format(k=kernel, s=stride) + UP.format(parameters)
    found = parity.run(backend, net(layers, x.shape), {}, [x], ["out"], tmp_path)["out"]
    assert parity.error(found, wanted.reshape(x.shape)) == 0


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize(
    ("parameters", "scales"), [("scale: 3", (3, 3)), ("", (1, 1)), ("scale_h: 2 scale_w: 4", (2, 4))]
)
def test_nearest(parameters: str, scales: tuple[int, int], backend: str, tmp_path: Path) -> None:
    x = np.random.RandomState(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    layer = f'layer {{ name: "u" type: "Upsample" bottom: "data" top: "out" upsample_param {{ {parameters} }} }}'
    found = parity.run(backend, net(layer, x.shape), {}, [x], ["out"], tmp_path)["out"]
    assert parity.error(found, np.kron(x, np.ones((1, 1, *scales), np.float32))) == 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("scale: 1", "must be 2 at least"),
        ("scale: 3 pad_out_h: true", "need a scale of 2"),
        ("upsample_h: 2 upsample_w: 2", "smaller than the bottom"),
        ("stride: 2", "another fork"),
    ],
)
def test_upsample_refusals(parameters: str, message: str) -> None:
    with pytest.raises(prototxt.CamcompatError, match=message):
        converters.to_numpy(net(POOL.format(k=2, s=2) + UP.format(parameters), (1, 2, 6, 8)), {})
