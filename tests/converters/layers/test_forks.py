"""BN and Normalize of the forks that have no case of Caffe's, and C3D's layers against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from torch.nn import functional as F

import converters
import prototxt


def net(layer: str, *shape: int) -> prototxt.Net:
    dims = " ".join(f"dim: {dim}" for dim in shape)
    data = f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {dims} }} }} }}'
    return prototxt.loads(f'{data} layer {{ name: "x" bottom: "data" {layer} }}')


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_segnet_inference_is_affine(backend: str, tmp_path: Path) -> None:
    x, scale, shift = random(2, 3, 4, 5), random(1, 3, 1, 1, seed=1), random(1, 3, 1, 1, seed=2)
    layer = net('type: "BN" top: "out" bn_param { bn_mode: INFERENCE scale_filler { value: 1 } }', *x.shape)
    found = parity.run(backend, layer, {"x": [scale, shift]}, [x], ["out"], tmp_path)["out"]
    assert parity.error(found, x * scale + shift) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_segnet_learn_uses_the_batch(backend: str, tmp_path: Path) -> None:
    x, scale, shift = random(2, 3, 4, 5) + 1, random(1, 3, 1, 1, seed=1), random(1, 3, 1, 1, seed=2)
    layer = net('type: "BN" top: "out" top: "mean" top: "variance"', *x.shape)
    found = parity.run(backend, layer, {"x": [scale, shift]}, [x], ["out", "mean", "variance"], tmp_path)
    wide = x.astype(np.float64)
    mean, variance = (f(wide, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.var))
    assert parity.error(found["out"], (wide - mean) / np.sqrt(variance + 1e-9) * scale + shift) <= parity.SINGLE
    assert parity.error(found["mean"], mean) <= parity.SINGLE
    assert parity.error(found["variance"], variance) <= parity.SINGLE


def test_bn_refusals() -> None:
    layer = net('type: "BN" top: "out"', 1, 3, 2, 2)
    with pytest.raises(prototxt.CamcompatError, match="3 blobs"):
        converters.to_numpy(layer, {"x": [np.zeros((1, 3, 1, 1), np.float32)] * 3})
    extra = net('type: "BN" top: "out" top: "mean" bn_param { bn_mode: INFERENCE }', 1, 3, 2, 2)
    with pytest.raises(prototxt.CamcompatError, match="LEARN only"):
        converters.to_numpy(extra, {"x": [np.zeros((1, 3, 1, 1), np.float32)] * 2})


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("kind", ["L1", "L2"])
def test_normalize_without_blob_is_happynears(kind: str, backend: str, tmp_path: Path) -> None:
    x = random(2, 3, 4, 5)
    layer = net(f'type: "Normalize" top: "out" top: "norm" normalize_param {{ normalize_type: "{kind}" }}', *x.shape)
    found = parity.run(backend, layer, {}, [x], ["out", "norm"], tmp_path)
    wide = x.astype(np.float64)
    total = (np.abs(wide) if kind == "L1" else wide**2).sum(axis=1, keepdims=True) + 1e-6
    norm = total if kind == "L1" else np.sqrt(total)
    assert parity.error(found["out"], wide / norm) <= parity.SINGLE
    assert parity.error(found["norm"], norm) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_normalize_scale_per_channel_across_space(backend: str, tmp_path: Path) -> None:
    x, scale = random(2, 3, 4, 5), random(3, seed=1)
    layer = net('type: "Normalize" top: "out" norm_param { channel_shared: false eps: 0.5 }', *x.shape)
    found = parity.run(backend, layer, {"x": [scale]}, [x], ["out"], tmp_path)["out"]
    norm = np.sqrt((x.astype(np.float64) ** 2).sum(axis=(1, 2, 3), keepdims=True) + 0.5)
    assert parity.error(found, x / norm * scale.reshape(1, 3, 1, 1)) <= parity.SINGLE


def test_normalize_of_ssd_needs_its_scale() -> None:
    with pytest.raises(prototxt.CamcompatError, match="weights"):
        converters.to_numpy(
            net('type: "Normalize" top: "out" norm_param { across_spatial: false }', 1, 3, 2, 2), {"y": []}
        )


CONVOLUTION = "num_output: 4 kernel_size: 3 kernel_depth: 2 pad: 1 temporal_pad: 1 stride: 2 temporal_stride: 3"


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("group", ["", "filter_group: 2"])
def test_convolution3d(group: str, backend: str, tmp_path: Path) -> None:
    x, weight, bias = random(2, 3, 8, 5, 6), random(4, 3, 2, 3, 3, seed=1), random(1, 1, 1, 1, 4, seed=2)
    layer = net(f'type: "Convolution3D" top: "out" convolution_param {{ {CONVOLUTION} {group} }}', *x.shape)
    found = parity.run(backend, layer, {"x": [weight, bias]}, [x], ["out"], tmp_path)["out"]
    tensors = (torch.from_numpy(a).double() for a in (x, weight, bias.reshape(-1)))
    wanted = F.conv3d(*tensors, stride=(3, 2, 2), padding=(1, 1, 1)).numpy()
    assert parity.error(found, wanted) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_deconvolution3d(backend: str, tmp_path: Path) -> None:
    x, weight = random(2, 3, 4, 5, 6), random(3, 4, 2, 3, 3, seed=1)
    layer = net(f'type: "Deconvolution3D" top: "out" convolution_param {{ {CONVOLUTION} bias_term: false }}', *x.shape)
    found = parity.run(backend, layer, {"x": [weight]}, [x], ["out"], tmp_path)["out"]
    tensors = (torch.from_numpy(a).double() for a in (x, weight))
    wanted = F.conv_transpose3d(*tensors, stride=(3, 2, 2), padding=(1, 1, 1)).numpy()
    assert parity.error(found, wanted) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize(("pool", "pad"), [("MAX", 0), ("AVE", 0), ("AVE", 1)])
def test_pooling3d(pool: str, pad: int, backend: str, tmp_path: Path) -> None:
    x = random(2, 3, 5, 6, 7)
    parameters = f"pool: {pool} kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 2 pad: {pad}"
    layer = net(f'type: "Pooling3D" top: "out" pooling_param {{ {parameters} }}', *x.shape)
    found = parity.run(backend, layer, {}, [x], ["out"], tmp_path)["out"]
    count = [-(-(n + 2 * p - k) // 2) + 1 for n, k, p in zip(x.shape[2:], (2, 3, 3), (0, pad, pad))]
    wanted = np.empty((2, 3, *count))
    for place in np.ndindex(*count):
        starts = [2 * i - p for i, p in zip(place, (0, pad, pad))]
        ends = [min(a + k, n + p) for a, k, n, p in zip(starts, (2, 3, 3), x.shape[2:], (0, pad, pad))]
        inside = tuple(slice(max(a, 0), b) for a, b in zip(starts, ends))
        part = x[(slice(None), slice(None), *inside)].astype(np.float64).reshape(2, 3, -1)
        divisor = np.prod([b - a for a, b in zip(starts, ends)])
        wanted[(slice(None), slice(None), *place)] = part.max(axis=2) if pool == "MAX" else part.sum(axis=2) / divisor
    assert parity.error(found, wanted) <= parity.SINGLE


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ('type: "Pooling3D" pooling_param { kernel_size: 2 kernel_depth: 2 pad: 1 }', "pads AVE pooling only"),
        ('type: "Pooling3D" pooling_param { kernel_size: 2 }', "kernel_depth is given 0 times"),
        ('type: "Pooling3D" pooling_param { kernel_size: 2 kernel_depth: 2 stride: 3 }', "no smaller than the stride"),
        ('type: "Pooling3D" pooling_param { kernel_size: 9 kernel_depth: 2 }', "does not fit"),
        (
            'type: "Convolution3D" convolution_param { kernel_size: 3 kernel_depth: 2 num_output: 4 dilation: 2 }',
            "no parameter",
        ),
        (
            'type: "Convolution3D" convolution_param { kernel_size: 3 kernel_size: 3 kernel_depth: 2 num_output: 4 }',
            "2 times",
        ),
    ],
)
def test_volume_refusals(layer: str, message: str) -> None:
    with pytest.raises(prototxt.CamcompatError, match=message):
        converters.to_numpy(net(f'{layer} top: "out"', 1, 3, 4, 5, 6), {})
