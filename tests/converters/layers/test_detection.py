"""DetectionOutput against a plain loop over boxes written down from SSD's and RefineDet's sources, and its refusals."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import parity
import pytest

import converters
import prototxt

P, C = 7, 4
SIZES = {"loc": 4 * P, "conf": P * C, "arm_conf": 2 * P, "arm_loc": 4 * P}


def net(
    parameters: str, batch: int = 2, bottoms: tuple[str, ...] = ("loc", "conf", "prior"), locations: int = 1
) -> prototxt.Net:
    text = ""
    for name in bottoms:
        size = SIZES.get(name, 0) * (locations if name == "loc" else 1)
        dims = f"dim: 1 dim: 2 dim: {4 * P}" if name == "prior" else f"dim: {batch} dim: {size}"
        text += f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}\n'
    text += 'layer { name: "found" type: "DetectionOutput" top: "out" '
    text += " ".join(f'bottom: "{name}"' for name in bottoms)
    return prototxt.loads(f"{text} detection_output_param {{ num_classes: {C} {parameters} }} }}")


def data(batch: int = 2, locations: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.RandomState(seed)
    corner = rng.rand(P, 2) * 0.5
    boxes = np.concatenate([corner, corner + 0.2 + 0.3 * rng.rand(P, 2)], axis=1)
    prior = np.stack([boxes.reshape(-1), np.tile([0.1, 0.1, 0.2, 0.2], P)])[None]
    conf = rng.rand(batch, P, C)
    arm = {"arm_conf": rng.rand(batch, 2 * P), "arm_loc": rng.randn(batch, 4 * P)}
    arrays = {"loc": rng.randn(batch, P * locations * 4), "conf": conf.reshape(batch, -1), "prior": prior, **arm}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def decoded(prior: np.ndarray, variance: np.ndarray, offset: np.ndarray, code: str, encoded: bool) -> list[float]:
    v = np.ones(4) if encoded else variance
    (x1, y1, x2, y2), d = prior, v * offset
    w, h = x2 - x1, y2 - y1
    if code == "CORNER":
        return [x1 + d[0], y1 + d[1], x2 + d[2], y2 + d[3]]
    if code == "CORNER_SIZE":
        return [x1 + d[0] * w, y1 + d[1] * h, x2 + d[2] * w, y2 + d[3] * h]
    cx, cy = d[0] * w + (x1 + x2) / 2, d[1] * h + (y1 + y2) / 2
    w, h = math.exp(d[2]) * w, math.exp(d[3]) * h
    return [cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2]


def overlap(a: list[float], b: list[float]) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def expected(
    x: dict[str, np.ndarray],
    *,
    background: int = 0,
    shared: bool = True,
    code: str = "CENTER_SIZE",
    encoded: bool = False,
    threshold: float = -math.inf,
    nms: float = 0.3,
    eta: float = 1.0,
    top_k: int = -1,
    keep: int = -1,
    arm: int = 0,
    objectness: float = 0.01,
) -> np.ndarray:
    x = {name: array.astype(np.float64) for name, array in x.items()}
    prior, variance = x["prior"].reshape(2, P, 4)
    batch = len(x["loc"])
    rows = []
    for n in range(batch):
        loc, conf = x["loc"][n].reshape(P, -1, 4), x["conf"][n].reshape(P, C).copy()
        if arm >= 1:
            conf[x["arm_conf"][n].reshape(P, 2)[:, 1] < objectness] = [1] + [0] * (C - 1)
        found = []
        for label in range(C):
            if label == background:
                continue
            boxes = []
            for i in range(P):
                start = prior[i]
                if arm == 2:
                    start = np.array(decoded(start, variance[i], x["arm_loc"][n].reshape(P, 4)[i], code, encoded))
                boxes.append(decoded(start, variance[i], loc[i, 0 if shared else label], code, encoded))
            order = [i for i in sorted(range(P), key=lambda i: -conf[i, label]) if conf[i, label] > threshold]
            limit, kept = nms, []
            for i in order[: top_k if top_k >= 0 else None]:
                if all(overlap(boxes[i], boxes[j]) <= limit for j in kept):
                    kept.append(i)
                    limit *= eta if limit > 0.5 else 1
            found += [(conf[i, label], label, boxes[i]) for i in kept]
        if 0 <= keep < len(found):
            best = sorted(found, key=lambda entry: -entry[0])[:keep]
            found = sorted(best, key=lambda entry: entry[1])
        rows += [[n, label, score, *box] for score, label, box in found]
    return np.array(rows or [[n] + [-1] * 6 for n in range(batch)])[None, None]


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "corner_size": ("code_type: CORNER_SIZE", {"code": "CORNER_SIZE"}),
    "corner turned inside out": ("code_type: CORNER nms_param { nms_threshold: 0.1 }", {"code": "CORNER", "nms": 0.1}),
    "encoded corner_size": (
        "code_type: CORNER_SIZE variance_encoded_in_target: true", {"code": "CORNER_SIZE", "encoded": True},
    ),
    "no background": ("code_type: CENTER_SIZE background_label_id: -1", {"background": -1}),
    "background in the middle": ("code_type: CENTER_SIZE background_label_id: 2", {"background": 2}),
    "location per class": ("code_type: CENTER_SIZE share_location: false", {"shared": False}),
    "location per class, background last": (
        "code_type: CENTER_SIZE share_location: false background_label_id: 3 keep_top_k: 5",
        {"shared": False, "background": 3, "keep": 5},
    ),
    "top_k": ("code_type: CENTER_SIZE nms_param { top_k: 2 nms_threshold: 0.6 }", {"top_k": 2, "nms": 0.6}),
    "eta": ("code_type: CENTER_SIZE nms_param { nms_threshold: 0.9 eta: 0.7 }", {"nms": 0.9, "eta": 0.7}),
    "eta without effect": ("code_type: CENTER_SIZE nms_param { nms_threshold: 0.5 eta: 0.7 }", {"nms": 0.5}),
    "keep_top_k": ("code_type: CENTER_SIZE keep_top_k: 3 confidence_threshold: 0.2", {"keep": 3, "threshold": 0.2}),
    "nothing found": ("code_type: CENTER_SIZE confidence_threshold: 1.5", {"threshold": 1.5}),
    "nothing kept": ("code_type: CENTER_SIZE keep_top_k: 0", {"keep": 0}),
    "one image without": ("code_type: CENTER_SIZE confidence_threshold: 0.985", {"threshold": 0.985}),
    "before nms_param": ("code_type: CENTER_SIZE nms_threshold: 0.6 top_k: 3", {"nms": 0.6, "top_k": 3}),
}  # fmt: skip


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("name", list(CASES))
def test_parameters(name: str, backend: str, tmp_path: Path) -> None:
    parameters, options = CASES[name]
    locations = 1 if options.get("shared", True) else C
    x = data(locations=locations)
    inputs = [x["loc"], x["conf"], x["prior"]]
    found = parity.run(backend, net(parameters, locations=locations), {}, inputs, ["out"], tmp_path)["out"]
    assert parity.error(found, expected(x, **options)) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("arm", [1, 2])
def test_refinedet_reads_its_first_stage(arm: int, backend: str, tmp_path: Path) -> None:
    x = data(seed=3)
    bottoms = ("loc", "conf", "prior", "arm_conf", "arm_loc")[: 3 + arm]
    layer = net("code_type: CENTER_SIZE objectness_score: 0.4 confidence_threshold: 0.1", bottoms=bottoms)
    found = parity.run(backend, layer, {}, [x[name] for name in bottoms], ["out"], tmp_path)["out"]
    caffe = expected(x, arm=arm, objectness=0.4, threshold=0.1)
    assert parity.error(found, caffe) <= parity.SINGLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_equal_scores_keep_the_order_of_the_priors(backend: str, tmp_path: Path) -> None:
    x = data()
    x["conf"][:] = 0.5
    inputs = [x["loc"], x["conf"], x["prior"]]
    layer = net("code_type: CENTER_SIZE nms_param { nms_threshold: 0.4 top_k: 5 } keep_top_k: 7")
    found = parity.run(backend, layer, {}, inputs, ["out"], tmp_path)["out"]
    assert parity.error(found, expected(x, nms=0.4, top_k=5, keep=7)) <= parity.SINGLE


@pytest.mark.parametrize("eta", ["", "eta: 0.8"])
def test_one_onnx_file_takes_any_batch(eta: str, tmp_path: Path) -> None:
    layer = net(f"code_type: CENTER_SIZE nms_param {{ nms_threshold: 0.8 {eta} }} keep_top_k: 6", batch=2)
    path = converters.to_onnx(layer, {}, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        x = data(batch)
        (found,) = session.run(["out"], {name: x[name] for name in ("loc", "conf", "prior")})
        assert parity.error(found, expected(x, nms=0.8, eta=0.8 if eta else 1.0, keep=6)) <= parity.SINGLE


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("nms_param { eta: 0 }", "eta 0.0 must be above 0"),
        ("nms_param { nms_threshold: -1 }", "nms_threshold -1.0 must not be negative"),
        ("share_location: false", "7 priors x 16 = 112 per image are expected"),
    ],
)
def test_refusals(parameters: str, message: str) -> None:
    with pytest.raises(prototxt.CamcompatError, match=message):
        converters.to_numpy(net(parameters), {})


def test_what_caffe_writes_beside_is_no_news() -> None:
    parameters = 'save_output_param { output_directory: "x" } visualize: true visualize_threshold: 0.3 save_file: "y"'
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converters.to_numpy(net(parameters), {})
