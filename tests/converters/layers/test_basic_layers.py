"""Element-wise, combining, normalizing and shaping layers at ranks and parameters that no conformance case has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from small_nets import check, net
from torch.nn import functional as F

import converters
import prototxt
from prototxt.errors import CamcompatError

BACKENDS = pytest.mark.parametrize("backend", parity.BACKENDS)


def layer(kind: str, parameters: str = "", bottoms: str = "data") -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "l" type: "{kind}" {names} top: "out" {parameters} }}'


def draw(*shape: int, seed: int = 5) -> np.ndarray:
    return np.random.RandomState(seed).standard_normal(shape).astype(np.float32)


X = draw(3, 4, 2, 5)
CENTRE = "mvn_param { normalize_variance: false across_channels: true }"
MIDDLE = "reshape_param { shape { dim: 0 dim: -1 dim: 2 } axis: 1 num_axes: 2 }"
BY_ELEMENT = [
    ("Exp", "exp_param { base: 1 scale: 3 shift: 2 }", lambda x: np.ones_like(x)),
    ("Exp", "exp_param { base: 2 scale: 0.5 shift: -1 }", lambda x: 2.0 ** (0.5 * x - 1)),
    ("Exp", "exp_param { scale: 0.5 shift: 1 }", lambda x: np.exp(0.5 * x + 1)),
    ("Exp", "exp_param { base: 0.5 }", lambda x: 0.5**x),
    ("Log", "log_param { base: 2 scale: -3 shift: 20 }", lambda x: np.log2(20 - 3 * x)),
    ("Power", "power_param { power: 3 scale: 2 shift: -1 }", lambda x: (2 * x - 1) ** 3),
    ("Power", "power_param { power: 0.5 }", lambda x: np.where(x < 0, np.nan, np.sqrt(np.abs(x)))),
    ("Power", "power_param { power: -1 shift: 9 }", lambda x: 1 / (x + 9)),
    ("Power", "power_param { power: 2 scale: 0 shift: -3 }", lambda x: np.full_like(x, 9)),
    ("Power", "power_param { power: -1 scale: 0 }", lambda x: np.full_like(x, np.inf)),
    ("Dropout", "dropout_param { dropout_ratio: 0.3 scale_train: true }", lambda x: x),
    ("Dropout", "dropout_param { dropout_ratio: 0.3 scale_train: false }", lambda x: 0.7 * x),
    ("Threshold", "threshold_param { threshold: -0.25 }", lambda x: x > -0.25),
    ("MVN", CENTRE, lambda x: x - x.mean((1, 2, 3), keepdims=True)),
    ("Softmax", "softmax_param { axis: -2 }", lambda x: np.exp(x) / np.exp(x).sum(2, keepdims=True)),
    ("Softmax", "softmax_param { axis: 0 }", lambda x: np.exp(x) / np.exp(x).sum(0, keepdims=True)),
    ("Flatten", "flatten_param { axis: 2 end_axis: 1 }", lambda x: x[:, :, None]),
    ("Flatten", "flatten_param { axis: 0 end_axis: -2 }", lambda x: x.reshape(24, 5)),
    ("Reshape", "reshape_param { shape { dim: 1 dim: 1 } axis: -1 num_axes: 0 }", lambda x: x[..., None, None]),
    ("Reshape", MIDDLE, lambda x: x.reshape(3, 4, 1, 2, 5)),
    ("Tile", "tile_param { axis: 0 tiles: 3 }", lambda x: np.tile(x, (3, 1, 1, 1))),
    ("Tile", "tile_param { axis: -1 tiles: 2 }", lambda x: np.tile(x, 2)),
    ("Concat", "concat_param { concat_dim: 1 }", lambda x: x),
    ("Concat", "concat_param { axis: -1 }", lambda x: x),
    ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL local_size: 1 alpha: 2 }", lambda x: x / (1 + 2 * x * x) ** 0.75),
]  # fmt: skip


@BACKENDS
@pytest.mark.parametrize(("kind", "parameters", "function"), BY_ELEMENT)
def test_by_formula(kind: str, parameters: str, function, backend: str, tmp_path: Path) -> None:
    with np.errstate(all="ignore"):
        wanted = {"out": function(X.astype(np.float64))}
    check(layer(kind, parameters), {"data": X}, wanted, backend, tmp_path, tolerance=parity.SINGLE)


@BACKENDS
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 3, 5)])
def test_mvn_and_batch_norm_of_few_axes(shape: tuple[int, ...], backend: str, tmp_path: Path) -> None:
    """MVN takes missing axes as 1 and its top has all four; BatchNorm takes a vector as one channel."""
    x = draw(*shape)
    rows = x.astype(np.float64).reshape(*shape[:2], -1)
    wanted = (rows - rows.mean(2, keepdims=True)) / (rows.std(2, keepdims=True) + 1e-9) if len(shape) == 3 else 0 * x
    four = (*shape, *(1,) * (4 - len(shape)))
    check(layer("MVN"), {"data": x}, {"out": wanted.reshape(four)}, backend, tmp_path, batch=2)
    channels = shape[1] if len(shape) > 1 else 1
    mean, variance = draw(channels, seed=6), np.abs(draw(channels, seed=7)) + 0.5
    column = (1, channels, 1)[: max(len(shape), 2)]
    spread = np.sqrt(variance.astype(np.float64) / 4 + 1e-5).reshape(column)
    wanted = (x.reshape(-1, *shape[1:]) if len(shape) > 1 else x[:, None]) - (mean / 4).reshape(column)
    blobs = {"l": [mean, variance, np.float32([4])]}
    expected = {"out": (wanted / spread).reshape(shape)}
    check(layer("BatchNorm"), {"data": x}, expected, backend, tmp_path, weights=blobs, batch=2)


@BACKENDS
@pytest.mark.parametrize("shape", [(2,), (3, 2, 4), (5, 3)])
def test_batch_norm_by_the_batch(shape: tuple[int, ...], backend: str, tmp_path: Path) -> None:
    x = draw(*shape)
    axes = (0,) if len(shape) < 3 else (0, 2)
    centred = x - x.astype(np.float64).mean(axes, keepdims=True)
    wanted = {"out": centred / np.sqrt((centred**2).mean(axes, keepdims=True) + 1e-5)}
    text = layer("BatchNorm", "batch_norm_param { use_global_stats: false }")
    check(text, {"data": x}, wanted, backend, tmp_path, batch=7)


@BACKENDS
@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 3)])
def test_prelu_of_few_axes(shape: tuple[int, ...], backend: str, tmp_path: Path) -> None:
    x, slope = draw(*shape), draw(4, seed=6)
    wanted = {"out": F.prelu(torch.from_numpy(x), torch.from_numpy(slope)).numpy()}
    check(layer("PReLU"), {"data": x}, wanted, backend, tmp_path, weights={"l": [slope]}, batch=5)


@BACKENDS
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("transpose", [False, True])
def test_inner_product_axes(axis: int, transpose: bool, backend: str, tmp_path: Path) -> None:
    place = axis % 4
    features = int(np.prod(X.shape[place:]))
    weight = draw(6, features, seed=6)
    wanted = {"out": (X.reshape(-1, features).astype(np.float64) @ weight.T).reshape(*X.shape[:place], 6)}
    flag = "transpose: true" if transpose else ""
    text = layer("InnerProduct", f"inner_product_param {{ num_output: 6 bias_term: false axis: {axis} {flag} }}")
    blobs = {"l": [weight.T if transpose else weight]}
    batch = None if axis == 0 else 2
    check(text, {"data": X}, wanted, backend, tmp_path, weights=blobs, batch=batch)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "shape", "where"),
    [
        ("axis: 0 num_axes: -1", (3, 4, 2, 5), (slice(None),) * 4),
        ("axis: 1 num_axes: 2", (4, 2), (None, slice(None), slice(None), None)),
        ("axis: -1", (5,), (None, None, None, slice(None))),
        ("axis: -2 num_axes: -1", (2, 5), (None, None, slice(None), slice(None))),
        ("num_axes: 0", (), (None,) * 4),
    ],
)
def test_scale_axes(
    parameters: str, shape: tuple[int, ...], where: tuple[object, ...], backend: str, tmp_path: Path
) -> None:
    factor, offset = np.asarray(draw(*shape, seed=6)), np.asarray(draw(*shape, seed=7))
    wanted = {"out": X * factor[where] + offset[where]}
    text = layer("Scale", f"scale_param {{ bias_term: true {parameters} }}")
    blobs = {"l": [factor.astype(np.float32), offset.astype(np.float32)]}
    check(text, {"data": X}, wanted, backend, tmp_path, weights=blobs)


@BACKENDS
def test_scale_by_a_scalar_and_by_a_batch(backend: str, tmp_path: Path) -> None:
    other = draw(3, seed=6)
    text = layer("Scale", "scale_param { axis: 0 bias_term: true }", "data other")
    wanted = {"out": X * other[:, None, None, None] + other[:, None, None, None]}
    check(text, {"data": X, "other": other}, wanted, backend, tmp_path, weights={"l": [other]})
    text = layer("Bias", "bias_param { axis: 0 }", "data other")
    wanted = {"out": X + other[:, None, None, None]}
    check(text, {"data": X, "other": other}, wanted, backend, tmp_path, batch=2)


@BACKENDS
def test_eltwise_max_does_not_read_coeff(backend: str, tmp_path: Path) -> None:
    """eltwise_layer.cpp refuses coefficients beside PROD only."""
    other = draw(3, 4, 2, 5, seed=6)
    text = layer("Eltwise", "eltwise_param { operation: MAX coeff: 2 coeff: -1 }", "data other")
    check(text, {"data": X, "other": other}, {"out": np.maximum(X, other)}, backend, tmp_path, batch=2)


@BACKENDS
def test_crop_of_every_axis(backend: str, tmp_path: Path) -> None:
    other = draw(2, 3, 1, 4)
    text = layer("Crop", "crop_param { axis: 0 offset: 1 offset: 0 offset: 1 offset: 1 }", "data other")
    check(text, {"data": X, "other": other}, {"out": X[1:3, :3, 1:2, 1:5]}, backend, tmp_path, tolerance=0)
    text = layer("Crop", "crop_param { axis: -1 offset: 1 }", "data other")
    check(text, {"data": X, "other": other}, {"out": X[..., 1:5]}, backend, tmp_path, tolerance=0)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "cuts", "axis"),
    [("axis: -2", [1], 2), ("slice_dim: 1 slice_point: 1", [1], 1), ("slice_dim: 0 slice_point: 2", [2], 0)],
)
def test_slice_axes(parameters: str, cuts: list[int], axis: int, backend: str, tmp_path: Path) -> None:
    parts = dict(zip("ab", np.split(X, cuts, axis)))
    text = f'layer {{ name: "s" type: "Slice" bottom: "data" top: "a" top: "b" slice_param {{ {parameters} }} }}'
    check(text, {"data": X}, parts, backend, tmp_path, tolerance=0)


@BACKENDS
@pytest.mark.parametrize("parameters", ["dilation: 2", "hole: 2", "hole_h: 2 hole_w: 2"])
def test_hole_is_dilation(parameters: str, backend: str, tmp_path: Path) -> None:
    """DeepLab's spelling, against torch."""
    x, weight = draw(3, 2, 7, 8), draw(4, 2, 3, 3, seed=6)
    wanted = {"out": F.conv2d(torch.from_numpy(x), torch.from_numpy(weight), dilation=2).numpy()}
    text = layer("Convolution", f"convolution_param {{ num_output: 4 kernel_size: 3 bias_term: false {parameters} }}")
    check(text, {"data": x}, wanted, backend, tmp_path, weights={"l": [weight]}, batch=2)


@BACKENDS
def test_deconvolution_without_bias(backend: str, tmp_path: Path) -> None:
    x, weight = draw(3, 4, 5, 3), draw(4, 3, 4, 2, seed=6)
    options = {"stride": (2, 1), "padding": (1, 0), "groups": 2}
    wanted = {"out": F.conv_transpose2d(torch.from_numpy(x), torch.from_numpy(weight), **options).numpy()}
    numbers = "num_output: 6 group: 2 kernel_h: 4 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 1 pad_w: 0"
    text = layer("Deconvolution", f"convolution_param {{ {numbers} bias_term: false }}")
    check(text, {"data": x}, wanted, backend, tmp_path, weights={"l": [weight]}, batch=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (layer("LRN", "lrn_param { local_size: 4 }"), "must be odd"),
        (layer("Exp", "exp_param { base: -2 }"), "base -2"),
        (layer("Log", "log_param { base: 1 }"), "base 1"),
        (layer("Dropout", "dropout_param { sample_weights_test: true }"), "draws numbers"),
        (layer("Eltwise"), "takes 2 or more"),
        (layer("Eltwise", "eltwise_param { operation: PROD coeff: 1 coeff: 2 }", "data data"), "not to PROD"),
        (layer("Eltwise", "eltwise_param { operation: MAX coeff: 1 }", "data data"), "give one for each"),
        (layer("Eltwise", "eltwise_param { coeff_blob: true }", "data data"), "Scale layer"),
        (layer("Scale", "scale_param { axis: 3 num_axes: 2 }"), "outside of a blob with 4 axes"),
        (layer("Flatten", "flatten_param { axis: 3 end_axis: 1 }"), "comes after"),
        (layer("Softmax", "softmax_param { axis: -5 }"), "axis -5"),
        (layer("Concat", "concat_param { axis: 1 concat_dim: 1 }"), "both given"),
        (layer("Tile"), "tiles is missing"),
        (layer("Crop", "crop_param { offset: 1 }", "data data"), "does not fit"),
        (
            layer("Convolution", "convolution_param { num_output: 2 kernel_size: 1 hole: 2 dilation: 2 }"),
            "exclude each",
        ),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        converters.to_numpy(net(text, {"data": (3, 4, 2, 5)}), {})


def test_lrn_needs_images() -> None:
    with pytest.raises(CamcompatError, match="LRN needs 4"):
        converters.to_numpy(net(layer("LRN"), {"data": (3, 4)}), {})


@BACKENDS
def test_batch_norm_of_six_axes(backend: str, tmp_path: Path) -> None:
    x, mean = draw(2, 3, 2, 3, 2, 2), draw(3, seed=6)
    variance = np.float32([0.5, 2, 3])
    column = (3, 1, 1, 1, 1)
    wanted = (x.astype(np.float64) - mean.reshape(column)) / np.sqrt(variance.reshape(column) + np.float64(1e-5))
    weights = {"l": [mean, variance, np.ones(1, np.float32)]}
    check(layer("BatchNorm"), {"data": x}, {"out": wanted}, backend, tmp_path, weights=weights, batch=5)


@BACKENDS
def test_crop_by_a_blob_of_more_axes(backend: str, tmp_path: Path) -> None:
    """Caffe reads the second bottom's lengths from the same axes, however many follow."""
    feeds = {"data": X, "like": draw(1, 1, 2, 3, 7)}
    check(
        layer("Crop", "crop_param { offset: 0 offset: 1 }", "data like"),
        feeds,
        {"out": X[:, :, :, 1:4]},
        backend,
        tmp_path,
    )


@BACKENDS
@pytest.mark.parametrize(("alpha", "beta"), [(0, 0.75), (0.5, 0), (0.5, -1), (-0.01, 0.5)])
def test_lrn_of_any_sign(alpha: float, beta: float, backend: str, tmp_path: Path) -> None:
    """onnxruntime's operator takes positive numbers only; Caffe takes all."""
    wide = X.astype(np.float64)
    total = np.stack([(wide[:, max(c - 1, 0) : c + 2] ** 2).sum(axis=1) for c in range(4)], axis=1)
    wanted = wide * (2 + alpha / 3 * total) ** -beta
    text = layer("LRN", f"lrn_param {{ local_size: 3 alpha: {alpha} beta: {beta} k: 2 }}")
    check(text, {"data": X}, {"out": wanted}, backend, tmp_path, batch=1)


@pytest.mark.parametrize(
    ("text", "shape", "message"),
    [
        (layer("Reorg"), (1, 4, 4, 4), "must be positive"),
        (layer("Reorg", "reorg_param { stride: 2 }"), (1, 4, 3, 4), "not a multiple of stride 2"),
        (layer("BatchNorm", "batch_norm_param { eps: -1 }"), (1, 4, 3, 4), "must not be negative"),
    ],
)
def test_numbers_that_no_layer_can_use(text: str, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        converters.to_numpy(net(text, {"data": shape}), converters.Synthetic())


@pytest.mark.parametrize("alpha", [1.0, 1e-3, 1e-4])
@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_lrn_of_channels_that_differ_much(backend: str, alpha: float, tmp_path: Path) -> None:
    """A running sum would lose the small channels behind the large ones; the reference sums each window by itself."""
    x = (np.random.RandomState(0).standard_normal((1, 6, 8, 8)) * 50).astype(np.float32)
    text = f'layer {{ name: "n" type: "LRN" bottom: "data" top: "out" lrn_param {{ local_size: 3 alpha: {alpha} }} }}'
    declared = prototxt.loads('input: "data" input_shape { dim: 1 dim: 6 dim: 8 dim: 8 } ' + text)
    square = np.pad(x.astype(np.float64) ** 2, ((0, 0), (1, 1), (0, 0), (0, 0)))
    total = square[:, :-2] + square[:, 1:-1] + square[:, 2:]
    found = parity.run(backend, declared, {}, [x], ["out"], tmp_path)["out"]
    assert parity.error(found, x / (1 + alpha / 3 * total) ** 0.75) <= parity.SINGLE
