"""dt-box: the original program's boxes, and an independent form of it by OpenCV on random maps."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image
from scipy import ndimage

from camcompat.boxes import Box, find_boxes, read_map
from camcompat.boxes.rules.dt_box import contour_boxes
from prototxt.errors import CamcompatError

SMALL = 16  # boxes up to which std::sort is stable


def _distance(mask: np.ndarray) -> np.ndarray:
    """To the nearest background pixel, by trying them all."""
    here, there = np.argwhere(mask), np.argwhere(~mask)
    distance = np.zeros(mask.shape)
    if len(here) and len(there):
        distance[mask] = np.sqrt(((here[:, None] - there[None]) ** 2).sum(2).min(1))
    return distance


def _peer_candidates(grey: np.ndarray, thresholds: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The boxes before sorting and merging, from CAM.md with OpenCV 4 after zeroing the frame."""
    height, width = grey.shape
    found = []
    for threshold in thresholds:
        mask = grey > threshold
        image = np.where(mask, 255, 0).astype(np.uint8)
        if mask.any() and not mask.all():
            distance = _distance(mask)
            image = np.clip(np.trunc(distance * (255.0 / distance.max()) + 0.5), 0, 255).astype(np.uint8)
        image = np.where(image > 10, 255, 0).astype(np.uint8)
        image[[0, -1]] = 0
        image[:, [0, -1]] = 0
        contours, _ = cv2.findContours(image, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        for x, y, w, h in map(cv2.boundingRect, contours):
            right, low = width - x - 5, height - y - 5
            found.append((min(x, width - 5), min(y, height - 5), min(w, right), min(h, low)))
    return found


def _peer(grey: np.ndarray, thresholds: tuple[int, ...]) -> list[tuple[int, ...]] | None:
    """The boxes, or None where more than 16 make the order libstdc++'s affair."""
    found = _peer_candidates(grey, thresholds)
    if len(found) > SMALL:
        return None
    found.sort(key=lambda box: -box[2] * box[3])
    for i in range(len(found)):  # the original's two loops over a vector that shrinks
        j = i + 1
        while j < len(found):
            a, b = found[i], found[j]
            across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
            down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
            if max(0, across) * max(0, down) > int(max(a[2] * a[3], b[2] * b[3]) * 0.5):
                found.pop(j)
            j += 1
    return found


def _blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Smooth hills, some with holes cut into them."""
    hills = ndimage.gaussian_filter(rng.standard_normal((height, width)), rng.uniform(0.5, 5))
    hills = np.abs(hills) if rng.random() < 0.5 else hills - hills.min()
    grey = (hills / max(hills.max(), 1e-9) * 255).astype(np.uint8)
    for _ in range(rng.integers(0, 4)):
        y, x = rng.integers(0, height), rng.integers(0, width)
        grey[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = rng.integers(0, 256)
    return grey


def test_all_boxes_of_the_original_program(shared: Path) -> None:
    cases = json.loads((shared / "cam" / "expected" / "dt_box.json").read_text())["maps"]
    count = 0
    for name, case in cases.items():
        path = shared / "cam" / "expected" / "heatmaps" / f"{name}.png"
        if name == "__heatmap_6.jpg__":
            path = shared / "cam" / "bboxgenerator" / "heatmap_6.jpg"
        grey = read_map(path)
        for thresholds, expected in case["boxes"].items():
            boxes = find_boxes(grey, "dt-box", thresholds=tuple(map(int, thresholds.split())))
            assert boxes == [tuple(box) for box in expected["original_elf"]], (name, thresholds)
            count += 1
    assert count == 103


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_random_maps_as_opencv_has_them(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    grey = _blobs(rng, height, width) if rng.random() < 0.7 else rng.integers(0, 256, (height, width), np.uint8)
    thresholds = tuple(sorted(rng.choice(np.arange(1, 255), 3, replace=False).tolist()))
    expected = _peer(grey, thresholds)
    boxes = find_boxes(grey, "dt-box", thresholds=thresholds)
    if expected is not None:
        assert boxes == expected
    else:
        assert boxes and set(boxes) <= set(_peer_candidates(grey, thresholds))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (3, 3), (3, 40), (4, 4), (5, 5), (40, 4), (6, 7)])
@pytest.mark.parametrize("value", [0, 60, 255])
def test_tiny_and_flat_maps(shape: tuple[int, int], value: int) -> None:
    grey = np.full(shape, value, np.uint8)
    assert find_boxes(grey, "dt-box") == _peer(grey, (20, 100, 110))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 50))
def test_contours_and_their_order_as_opencv_has_them(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < rng.random()
    if rng.random() < 0.5:
        mask = ndimage.gaussian_filter(rng.standard_normal((height, width)), rng.uniform(0.4, 2)) > 0
    framed = np.where(mask, 255, 0).astype(np.uint8)
    framed[[0, -1]] = 0
    framed[:, [0, -1]] = 0
    contours, _ = cv2.findContours(framed, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    assert contour_boxes(mask) == [cv2.boundingRect(contour) for contour in contours]


def test_maps_of_real_numbers_are_divided_by_their_maximum() -> None:
    heat = np.zeros((40, 50))
    heat[5:20, 10:30] = 3.0
    heat[25:35, 30:40] = 3.0 * 20.4 / 255  # rounds to grey 20: not above 20
    heat[0, 0] = -4
    twice = [Box(10, 5, 20, 15)] * 2  # one box per threshold: the second is dropped, the third passed over
    assert find_boxes(heat, "dt-box") == twice
    assert find_boxes(heat.astype(np.float32) / 1000, "dt-box") == twice
    heat[25:35, 30:40] = 3.0 * 20.5 / 255
    assert Box(30, 25, 10, 10) in find_boxes(heat, "dt-box")
    assert find_boxes(-np.ones((9, 9)), "dt-box") == []


def test_maps_that_have_been_jpegs(tmp_path: Path) -> None:
    grey = _blobs(np.random.default_rng(3), 120, 160)
    Image.fromarray(grey).save(tmp_path / "map.jpg", quality=75)
    boxes = find_boxes(grey, "dt-box", jpeg_quality=75)
    assert boxes == find_boxes(read_map(tmp_path / "map.jpg"), "dt-box")
    assert boxes != find_boxes(grey, "dt-box")
    with pytest.raises(CamcompatError, match="jpeg_quality is 0"):
        find_boxes(grey, "dt-box", jpeg_quality=0)


@pytest.mark.parametrize("bad", [(0, 100, 110), (20, 20, 30), (110, 100, 20), (20, 100, 255), (-5, 3, 7)])
def test_thresholds_out_of_order(bad: tuple[int, int, int], shared: Path) -> None:
    grey = read_map(shared / "cam" / "expected" / "heatmaps" / "blob00_n1.png")
    with pytest.raises(CamcompatError, match=r"thresholds: found .*; give three whole numbers with 0 < t0 < t1 < t2"):
        find_boxes(grey, "dt-box", thresholds=bad)
    assert find_boxes(grey, "dt-box", thresholds=bad, replace_invalid=True) == [(116, 145, 66, 106), (132, 175, 34, 61)]


@pytest.mark.parametrize("bad", [(), (20, 100), (20.5, 100, 110), (20, 100, 110, 120), (20, 100, float("nan"))])
def test_thresholds_that_are_none(bad: tuple[int, ...]) -> None:
    with pytest.raises(CamcompatError, match="three whole numbers"):
        find_boxes(np.zeros((9, 9)), "dt-box", thresholds=bad, replace_invalid=True)
