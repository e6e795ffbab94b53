"""ROIPooling, PSROIPooling and Proposal where no case of Caffe's is at hand: edges, other counts, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import parity
import pytest

import converters
import prototxt


def inputs(**shapes: tuple[int, ...]) -> str:
    lines = []
    for name, shape in shapes.items():
        dims = " ".join(f"dim: {dim}" for dim in shape)
        lines.append(f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}')
    return "\n".join(lines)


def psroi(outputs: int, group: int, scale: float = 0.5, channels: int | None = None) -> prototxt.Net:
    channels = outputs * group * group if channels is None else channels
    text = inputs(data=(2, channels, 5, 6), rois=(3, 5))
    parameters = f"output_dim: {outputs} group_size: {group} spatial_scale: {scale}"
    layer = f'type: "PSROIPooling" bottom: "data" bottom: "rois" top: "out" psroi_pooling_param {{ {parameters} }}'
    return prototxt.loads(f'{text} layer {{ name: "p" {layer} }}')


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_psroi_means_and_empty_bins(backend: str, tmp_path: Path) -> None:
    x = np.random.RandomState(0).standard_normal((2, 8, 5, 6)).astype(np.float32)
    # The second region rounds 1.5 away from zero to 2; the third lies outside of the image.
    rois = np.float32([[0, 0, 0, 7, 7], [1, 1.5, 2, 5.4, 5], [0, 40, 40, 50, 50]])
    found = parity.run(backend, psroi(2, 2), {}, [x, rois], ["out"], tmp_path)["out"]
    assert found.shape == (3, 2, 2, 2)
    # 0..7 -> 0..4 in the map, two bins of 2 each.
    for c in range(2):
        for i in range(2):
            for j in range(2):
                bin_ = x[0, c * 4 + i * 2 + j, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                assert found[0, c, i, j] == pytest.approx(bin_.mean(), abs=1e-6)
    # x: 2..6 -> 1..3, y: 2..6 -> 1..3: bins of one pixel.
    assert found[1, 0, 0, 0] == pytest.approx(x[1, 0, 1, 1], abs=1e-6)
    assert found[1, 1, 1, 1] == pytest.approx(x[1, 7, 2, 2], abs=1e-6)
    assert not found[2].any()


def test_regions_may_be_any_number_in_onnx(tmp_path: Path) -> None:
    roi = 'type: "ROIPooling" bottom: "data" bottom: "rois" top: "out" roi_pooling_param { pooled_h: 2 pooled_w: 3 }'
    nets = [
        (psroi(2, 1, 1.0), 2),
        (prototxt.loads(f'{inputs(data=(2, 2, 5, 6), rois=(3, 5))} layer {{ name: "p" {roi} }}'), 2),
    ]
    for net, channels in nets:
        path = converters.to_onnx(net, {}, tmp_path / "net.onnx")
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        x = np.random.RandomState(0).standard_normal((4, channels, 5, 6)).astype(np.float32)
        rois = np.float32([[3, 0, 0, 5, 4]] * 7)
        (found,) = session.run(["out"], {"data": x, "rois": rois})
        assert len(found) == 7
        if found.shape[2:] == (1, 1):
            np.testing.assert_allclose(found[0, :, 0, 0], x[3].mean(axis=(1, 2)), rtol=1e-5)
        else:
            assert found[0, 0, 0, 0] == x[3, 0, :3, :2].max()


def test_regions_refusals() -> None:
    with pytest.raises(prototxt.CamcompatError, match="8 are expected"):
        converters.to_numpy(psroi(2, 2, channels=9), {})
    bottoms = 'bottom: "data" bottom: "rois"'
    zero = f'layer {{ name: "p" type: "ROIPooling" {bottoms} top: "out" roi_pooling_param {{ pooled_h: 2 }} }}'
    with pytest.raises(prototxt.CamcompatError, match="pooled_w 0 must be positive"):
        converters.to_numpy(prototxt.loads(inputs(data=(2, 2, 5, 6), rois=(3, 5)) + zero), {})
    bad = inputs(data=(2, 2, 5, 6), rois=(3, 4)) + zero.replace("pooled_h: 2", "pooled_h: 2 pooled_w: 2")
    with pytest.raises(prototxt.CamcompatError, match="rows of"):
        converters.to_numpy(prototxt.loads(bad), {})


def rpn(layer: str, height: int = 3, width: int = 4, anchors: int = 9, batch: int = 1) -> prototxt.Net:
    shapes = {
        "score": (batch, 2 * anchors, height, width),
        "delta": (batch, 4 * anchors, height, width),
        "info": (1, 3),
    }
    bottoms = 'bottom: "score" bottom: "delta" bottom: "info"'
    return prototxt.loads(f'{inputs(**shapes)} layer {{ name: "p" {bottoms} {layer} }}')


PYTHON = (
    'type: "Python" top: "rois" top: "best" '
    'python_param {{ module: "rpn.proposal_layer" layer: "ProposalLayer" param_str: "{}" }}'
)


def reference(
    score: np.ndarray, delta: np.ndarray, info: np.ndarray, stride: int, scales: tuple[int, ...]
) -> np.ndarray:
    """py-faster-rcnn's proposals, one anchor after another: rows [score, 0, x1, y1, x2, y2]."""
    entries = []
    kinds = [(r, s) for r in (0.5, 1, 2) for s in scales]
    for y in range(score.shape[2]):
        for x in range(score.shape[3]):
            for a, (ratio, scale) in enumerate(kinds):
                base_w = np.round(np.sqrt(256 / ratio))
                w, h = base_w * scale, np.round(base_w * ratio) * scale
                cx, cy = x * stride + 7.5 + 0.5, y * stride + 7.5 + 0.5
                dx, dy, dw, dh = delta[0, 4 * a : 4 * a + 4, y, x].astype(np.float64)
                cx, cy, w, h = cx + dx * w, cy + dy * h, w * np.exp(dw), h * np.exp(dh)
                box = np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])
                box = box.clip(0, [info[0, 1] - 1, info[0, 0] - 1] * 2)
                if min(box[2:] - box[:2]) + 1 >= 16 * info[0, 2]:
                    entries.append([score[0, len(kinds) + a, y, x], 0, *box])
    entries.sort(key=lambda entry: -entry[0])
    kept: list[list[float]] = []
    for entry in entries:
        a = entry[2:]
        for other in kept:
            b = other[2:]
            w, h = min(a[2], b[2]) - max(a[0], b[0]) + 1, min(a[3], b[3]) - max(a[1], b[1]) + 1
            area = sum((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
            if w > 0 and h > 0 and w * h / (area - w * h) > 0.7:
                break
        else:
            kept.append(entry)
    return np.array(kept[:300])


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize(
    ("text", "scales"),
    [
        ("'feat_stride': 16", (8, 16, 32)),
        ("{feat_stride: 16, 'scales': [1, 2, 4]}", (1, 2, 4)),
        ("feat_stride: 16\\nscales: !!python/tuple [2, 3]", (2, 3)),
    ],
)
def test_py_faster_rcnn(text: str, scales: tuple[int, ...], backend: str, tmp_path: Path) -> None:
    rng = np.random.RandomState(0)
    count = 3 * len(scales)
    score = rng.permutation(2 * count * 12).reshape(1, -1, 3, 4).astype(np.float32)
    delta = (0.3 * rng.standard_normal((1, 4 * count, 3, 4))).astype(np.float32)
    info = np.float32([[50, 66, 0.7]])
    net = rpn(PYTHON.format(text), anchors=count)
    found = parity.run(backend, net, {}, [score, delta, info], ["rois", "best"], tmp_path)
    wanted = reference(score, delta, info, 16, scales)
    assert parity.error(found["rois"], wanted[:, 1:]) <= parity.SINGLE
    assert parity.error(found["best"], wanted[:, :1]) == 0


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_no_box_is_large_enough(backend: str, tmp_path: Path) -> None:
    net = rpn('type: "Proposal" top: "rois" proposal_param { ratio: 1 scale: 8 min_size: 90 }', anchors=1)
    arrays = [np.ones((1, 2, 3, 4), np.float32), np.zeros((1, 4, 3, 4), np.float32), np.float32([[50, 66, 1]])]
    assert parity.run(backend, net, {}, arrays, ["rois"], tmp_path)["rois"].shape == (0, 5)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (PYTHON.format("scales: [8]"), "feat_stride is missing"),
        (PYTHON.format("'feat_stride': 16, 'magic': 1"), "unknown magic"),
        (PYTHON.format("feat_stride = 16"), "is not understood"),
        ('type: "Proposal" top: "rois" proposal_param { ratio: 1 }', "ratio and scale are missing"),
        ('type: "Proposal" top: "rois" proposal_param { ratio: 1 scale: 8 max_rois: 9 }', "another fork"),
        ('type: "Proposal" top: "rois" proposal_param { ratio: 1 scale: 8 }', "do not fit 1 anchors"),
    ],
)
def test_proposal_refusals(layer: str, message: str) -> None:
    with pytest.raises(prototxt.CamcompatError, match=message):
        converters.to_numpy(rpn(layer), {})


def test_proposal_takes_one_image() -> None:
    with pytest.raises(prototxt.CamcompatError, match="2 images; Proposal takes one at a time"):
        converters.to_numpy(rpn(PYTHON.format("'feat_stride': 16"), batch=2), {})
