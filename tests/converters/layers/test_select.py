"""ArgMax, BatchReindex, Embed, Filter, Im2col, Reduction, DummyData, Parameter and SPP beyond the conformance cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from small_nets import check, net
from torch.nn import functional as F

import converters
from prototxt.errors import CamcompatError

BACKENDS = pytest.mark.parametrize("backend", parity.BACKENDS)


def layer(kind: str, parameters: str = "", bottoms: str = "data", tops: str = "out") -> str:
    names = " ".join([f'bottom: "{name}"' for name in bottoms.split()] + [f'top: "{name}"' for name in tops.split()])
    return f'layer {{ name: "l" type: "{kind}" {names} {parameters} }}'


def draw(*shape: int) -> np.ndarray:
    return np.random.RandomState(4).standard_normal(shape).astype(np.float32)


TIES = np.float32([[3, 1, 3, 3, 0], [2, 2, 2, 2, 2]])


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ("", [[[3]], [[4]]]),  # of equal values Caffe's sort of (value, place) pairs takes the last
        ("top_k: 4", [[[3, 2, 0, 1]], [[4, 3, 2, 1]]]),
        ("top_k: 2 out_max_val: true", [[[3, 2], [3, 3]], [[4, 3], [2, 2]]]),
        ("axis: 1 top_k: 2", [[3, 2], [4, 3]]),
        ("axis: -1 top_k: 2 out_max_val: true", [[3, 3], [2, 2]]),
        ("axis: 0", [[0, 1, 0, 0, 1]]),
    ],
)
def test_argmax_of_ties(parameters: str, wanted: list[object], backend: str, tmp_path: Path) -> None:
    text = layer("ArgMax", f"argmax_param {{ {parameters} }}")
    batch = None if "axis: 0" in parameters else 3
    check(text, {"data": TIES}, {"out": np.float32(wanted)}, backend, tmp_path, batch=batch)


@BACKENDS
def test_argmax_of_images(backend: str, tmp_path: Path) -> None:
    """Without an axis a whole image is one list, and the top has as many axes as the bottom."""
    x = draw(3, 2, 4, 5)
    order = np.argsort(-x.reshape(3, -1), 1)[:, :3]
    wanted = np.stack([order, np.take_along_axis(x.reshape(3, -1), order, 1)], 1)[..., None]
    text = layer("ArgMax", "argmax_param { top_k: 3 out_max_val: true }")
    check(text, {"data": x}, {"out": wanted}, backend, tmp_path, batch=2)


@BACKENDS
def test_filter_of_several_blobs(backend: str, tmp_path: Path) -> None:
    x, y, keep = draw(5, 3), draw(5, 2, 2), np.float32([0, -1, 0, 0.5, 2]).reshape(5, 1)
    wanted = {"p": x[[1, 3, 4]], "q": y[[1, 3, 4]]}
    check(layer("Filter", "", "x y keep", "p q"), {"x": x, "y": y, "keep": keep}, wanted, backend, tmp_path, batch=4)


@BACKENDS
def test_filter_that_keeps_nothing(backend: str, tmp_path: Path) -> None:
    x, keep = draw(4, 3), np.zeros(4, np.float32)
    built = net(layer("Filter", "", "x keep"), {"x": x.shape, "keep": keep.shape})
    found = parity.run(backend, built, {}, [x, keep], ["out"], tmp_path)["out"]
    assert found.shape == (0, 3)


@BACKENDS
def test_batch_reindex_of_another_batch(backend: str, tmp_path: Path) -> None:
    x, order = draw(4, 2, 3), np.float32([3, 0, 0, 2, 1, 3, 3])
    feeds = {"x": x, "order": order}
    check(layer("BatchReindex", "", "x order"), feeds, {"out": x[order.astype(int)]}, backend, tmp_path)


@BACKENDS
def test_embed_of_another_batch(backend: str, tmp_path: Path) -> None:
    table, bias, x = draw(6, 4), draw(4), np.float32([[0, 5, 2], [1, 1, 3]])
    text = layer("Embed", "embed_param { num_output: 4 input_dim: 6 }")
    wanted = {"out": table[x.astype(int)] + bias}
    check(text, {"data": x}, wanted, backend, tmp_path, weights={"l": [table, bias]}, batch=5)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "options"),
    [
        (
            "kernel_h: 3 kernel_w: 2 stride_h: 2 stride_w: 1 pad_h: 0 pad_w: 1",
            {"kernel_size": (3, 2), "stride": (2, 1), "padding": (0, 1)},
        ),
        ("kernel_size: 2 kernel_size: 3 dilation: 3 dilation: 2", {"kernel_size": (2, 3), "dilation": (3, 2)}),
        ("kernel_size: 3 hole: 2 pad: 2 stride: 3", {"kernel_size": 3, "dilation": 2, "padding": 2, "stride": 3}),
    ],
)  # fmt: skip
def test_im2col_is_unfold(parameters: str, options: dict[str, int], backend: str, tmp_path: Path) -> None:
    x = draw(3, 2, 9, 8)
    columns = F.unfold(torch.from_numpy(x), **options).numpy()
    built = layer("Im2col", f"convolution_param {{ {parameters} }}")
    shape = converters.to_numpy(net(built, {"data": x.shape}), {})(x).shape
    assert np.prod(shape[2:]) == columns.shape[2]
    wanted = columns.reshape(shape)
    check(built, {"data": x}, {"out": wanted}, backend, tmp_path, batch=2, tolerance=0)


@BACKENDS
def test_im2col_of_one_and_three_spatial_axes(backend: str, tmp_path: Path) -> None:
    """(channel, place in the window) are the channels; `axis` says where the channels are."""
    x = draw(2, 3, 7)
    wanted = np.stack([x[:, :, k : k + 5 : 2] for k in range(3)], 2).reshape(2, 9, 3)
    text = layer("Im2col", "convolution_param { kernel_size: 3 stride: 2 }")
    check(text, {"data": x}, {"out": wanted}, backend, tmp_path, batch=4, tolerance=0)
    x = draw(2, 3, 2, 4, 5)
    wanted = x.reshape(2, 3, 2, 2, 2, 5).transpose(0, 1, 2, 4, 3, 5).reshape(2, 3, 4, 2, 5)
    text = layer("Im2col", "convolution_param { axis: 2 kernel_size: 2 kernel_size: 1 stride: 2 stride: 1 }")
    check(text, {"data": x}, {"out": wanted}, backend, tmp_path, tolerance=0)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "function"),
    [
        ("operation: ASUM axis: 2 coeff: -0.5", lambda x: -0.5 * np.abs(x).sum((2, 3))),
        ("operation: ASUM", lambda x: np.abs(x).sum()),
        ("operation: MEAN coeff: 3", lambda x: 3 * x.mean()),
        ("operation: SUM axis: -4", lambda x: x.sum()),
        ("operation: SUMSQ axis: 3", lambda x: (x * x).sum(3)),
    ],
)
def test_reduction(parameters: str, function, backend: str, tmp_path: Path) -> None:
    x = draw(3, 2, 4, 5)
    wanted = {"out": function(x.astype(np.float64))}
    check(layer("Reduction", f"reduction_param {{ {parameters} }}"), {"data": x}, wanted, backend, tmp_path, batch=2)


@BACKENDS
@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        ("shape { dim: 2 dim: 3 } data_filler { value: 2.5 }", [2.5, 2.5]),
        ("shape { dim: 2 dim: 3 }", [0, 0]),
        ("shape { dim: 2 dim: 3 } data_filler { value: 1 } data_filler { type: 'constant' value: -2 }", [1, -2]),
        ("num: 2 num: 2 channels: 3 height: 1 width: 1 data_filler { value: 4 }", [4, 4]),
    ],
)
def test_dummy_data(parameters: str, values: list[float], backend: str, tmp_path: Path) -> None:
    shape = (2, 3, 1, 1) if "num" in parameters else (2, 3)
    text = layer("DummyData", f"dummy_data_param {{ {parameters} }}", "", "a b")
    wanted = {name: np.full(shape, value) for name, value in zip("ab", values)}
    check(text, {"unused": draw(1, 1)}, wanted, backend, tmp_path, tolerance=0)


@BACKENDS
def test_a_net_of_dummy_data_only(backend: str, tmp_path: Path) -> None:
    text = layer("DummyData", "dummy_data_param { shape { dim: 2 dim: 3 } data_filler { value: 2 } }", "", "k")
    text += 'layer { name: "s" type: "Power" bottom: "k" top: "out" power_param { scale: 3 } }'
    check(text, {}, {"out": np.full((2, 3), 6)}, backend, tmp_path, tolerance=0)


def test_a_parameter_cannot_be_changed_through_a_result() -> None:
    blob = draw(2, 3)
    text = layer("Parameter", "parameter_param { shape { dim: 2 dim: 3 } }", "", "p")
    module = converters.to_torch(net(text, {"unused": (1,)}), {"l": [blob]}, outputs=["p"])
    with torch.no_grad():
        module(torch.zeros(1)).zero_()
        assert np.array_equal(module(torch.zeros(1)).numpy(), blob)


def spp_by_hand(x: np.ndarray, height: int, method: str) -> np.ndarray:
    """Caffe's padding and bins, window by window, for sizes where no window is clipped away."""
    parts = []
    for level in range(height):
        bins = 2**level
        kernel = [int(np.ceil(length / bins)) for length in x.shape[2:]]
        pads = [(size * bins - length + 1) // 2 for size, length in zip(kernel, x.shape[2:])]
        part = np.zeros((*x.shape[:2], bins, bins))
        for i in range(bins):
            for j in range(bins):
                top, left = i * kernel[0] - pads[0], j * kernel[1] - pads[1]
                bottom, right = min(top + kernel[0], x.shape[2] + pads[0]), min(left + kernel[1], x.shape[3] + pads[1])
                window = x[:, :, max(top, 0) : bottom, max(left, 0) : right]
                area = (bottom - top) * (right - left)
                part[:, :, i, j] = window.max((2, 3)) if method == "MAX" else window.sum((2, 3)) / area
        parts.append(part.reshape(len(x), -1))
    return np.concatenate(parts, 1)


@BACKENDS
@pytest.mark.parametrize("method", ["MAX", "AVE"])
@pytest.mark.parametrize("size", [(12, 9), (7, 11), (4, 4)])
def test_spp(method: str, size: tuple[int, int], backend: str, tmp_path: Path) -> None:
    x = draw(3, 2, *size)
    text = layer("SPP", f"spp_param {{ pyramid_height: 3 pool: {method} }}")
    check(text, {"data": x}, {"out": spp_by_hand(x, 3, method)}, backend, tmp_path, batch=2)


@BACKENDS
def test_spp_of_one_level_is_not_flattened(backend: str, tmp_path: Path) -> None:
    x = draw(3, 2, 5, 4)
    text = layer("SPP", "spp_param { pyramid_height: 1 }")
    check(text, {"data": x}, {"out": x.max((2, 3), keepdims=True)}, backend, tmp_path, batch=2)


RANDOM = 'dummy_data_param { shape { dim: 2 } data_filler { type: "gaussian" } }'


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        (layer("ArgMax", "argmax_param { top_k: 7 }"), [(2, 6)], "top_k 7"),
        (layer("ArgMax", "argmax_param { axis: 2 }"), [(2, 6)], "axis 2"),
        (layer("BatchReindex", "", "data other"), [(2, 3), (2, 1)], "one axis"),
        (layer("Embed", "embed_param { num_output: 4 }"), [(2, 3)], "input_dim 0"),
        (layer("Filter", "", "data other", "a b"), [(2, 3), (2,)], r"give 1 top\(s\)"),
        (layer("Filter", "", "data other"), [(2, 3), (2, 2)], "length 1"),
        (layer("Filter", "", "data other"), [(2, 3), (4,)], "items"),
        (layer("Im2col", "convolution_param { kernel_size: 4 }"), [(2, 3, 3, 9)], "does not fit"),
        (layer("Im2col", "convolution_param { axis: 3 kernel_size: 2 }"), [(2, 3, 3, 9)], "no spatial axis"),
        (layer("Im2col"), [(2, 3, 3, 9)], "kernel_size is given 0 times"),
        (layer("Reduction", "reduction_param { axis: 2 }"), [(2, 3)], "axis 2"),
        (layer("SPP", "spp_param { pyramid_height: 3 }"), [(1, 1, 3, 9)], "at most"),
        (layer("SPP"), [(1, 1, 4, 4)], "pyramid_height 0"),
        (layer("DummyData", RANDOM, ""), [(1,)], "draws"),
        (layer("DummyData", "dummy_data_param { num: 2 shape { dim: 2 } }", ""), [(1,)], "both given"),
        (layer("DummyData", "dummy_data_param { num: 2 }", ""), [(1,)], "channels is given 0 times"),
        (layer("DummyData", "", ""), [(1,)], "shape is given 0 times"),
        (layer("Parameter", "parameter_param { shape { dim: 2 } }", ""), [(1,)], "no weights"),
    ],
)  # fmt: skip
def test_refusals(text: str, shapes: list[tuple[int, ...]], message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        converters.to_numpy(net(text, dict(zip(("data", "other"), shapes))), {})
