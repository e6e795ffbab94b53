"""The paper's rule, the door to both rules, corners, and heat map files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from camcompat.boxes import Box, find_boxes, read_map, release_corners
from prototxt.errors import CamcompatError


def test_the_largest_component_not_the_hottest() -> None:
    heat = np.zeros((12, 20))
    heat[1:3, 1:3] = 10  # the maximum, 4 pixels
    heat[5:9, 8:18] = 2.1  # just above a fifth of it, 40 pixels
    heat[10:12, 0:20] = 2.0  # not above a fifth
    assert find_boxes(heat, "paper") == [Box(8, 5, 10, 4)]
    assert find_boxes(heat, "paper", fraction=0.5) == [Box(1, 1, 2, 2)]


def test_pixels_that_touch_at_a_corner_belong_together() -> None:
    assert find_boxes(np.eye(5), "paper") == [Box(0, 0, 5, 5)]


@pytest.mark.parametrize("order", ["C", "F"])
def test_of_equal_components_the_first_in_raster_order(order: str) -> None:
    heat = np.zeros((9, 9))
    heat[6:8, 0:2] = heat[1:3, 6:8] = 1
    assert find_boxes(np.asarray(heat, order=order), "paper") == [Box(6, 1, 2, 2)]


def test_nothing_above_zero_has_no_box() -> None:
    assert find_boxes(np.zeros((4, 4)), "paper") == []
    assert find_boxes(np.full((4, 4), -3.0), "paper") == []
    assert find_boxes(np.full((4, 4), 0.1), "paper") == [Box(0, 0, 4, 4)]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(1, 30))
def test_random_maps_as_opencv_has_them(seed: int, height: int, width: int) -> None:
    heat = np.random.default_rng(seed).standard_normal((height, width)).astype(np.float32)
    mask = (heat > 0.2 * float(heat.max())).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    (box,) = find_boxes(heat, "paper") or [None]
    if box is None:
        assert heat.max() <= 0
    else:
        largest = stats[1:, cv2.CC_STAT_AREA].max()
        assert tuple(box) in [tuple(row[:4]) for row in stats[1:] if row[cv2.CC_STAT_AREA] == largest]


def test_what_is_no_map_or_rule() -> None:
    heat = np.zeros((4, 4))
    for bad, told in [
        (np.zeros((2, 3, 3)), r"shape \(2, 3, 3\), expected \(H, W\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.array([[np.nan]]), "NaN"),
        (np.array([["a"]]), "real numbers"),
    ]:
        for rule in ("dt-box", "paper"):
            with pytest.raises(CamcompatError, match=told):
                find_boxes(bad, rule)
    with pytest.raises(CamcompatError, match="'best' is no rule for boxes; use dt-box or paper"):
        find_boxes(heat, "best")
    with pytest.raises(CamcompatError, match="paper: the rule has no option 'thresholds'; it has fraction"):
        find_boxes(heat, "paper", thresholds=(20, 100, 110))
    with pytest.raises(CamcompatError, match=r"fraction is 1\.5"):
        find_boxes(heat, "paper", fraction=1.5)


def test_corners() -> None:
    assert Box(3, 4, 10, 20).corners == (3, 4, 12, 23)
    # generate_bbox.m on the program's output for heatmap_6.jpg, and on sizes below zero
    boxes = [Box(41, 145, 362, 202), Box(102, 188, 242, 126), Box(-2, 0, -1, 0), Box(3, 9, 4, -5)]
    assert release_corners(boxes) == [(41, 145, 403, 347), (102, 188, 344, 314), (-3, 0, -2, 0), (3, 4, 7, 9)]


@pytest.mark.filterwarnings("ignore:.*is a picture in colours")
@pytest.mark.parametrize("name", ["a.png", "a.bmp", "colour.jpg", "deep.png", "one.png", "alpha.png"])
def test_files_are_read_as_opencv_reads_them(name: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 47, 3), np.uint8)
    grey = pixels[..., 0]
    picture = {
        "colour.jpg": Image.fromarray(pixels),
        "deep.png": Image.fromarray(grey.astype(np.uint16) * 256 + pixels[..., 1]),
        "one.png": Image.fromarray(grey > 99),
        "alpha.png": Image.fromarray(np.dstack([grey] * 4)),
    }.get(name, Image.fromarray(grey))
    picture.save(tmp_path / name)
    assert np.array_equal(read_map(tmp_path / name), cv2.imread(str(tmp_path / name), cv2.IMREAD_GRAYSCALE))


def test_arrays_in_files(tmp_path: Path) -> None:
    heat = np.random.default_rng(1).standard_normal((5, 6)).astype(np.float32)
    np.save(tmp_path / "map.npy", heat)
    assert np.array_equal(read_map(tmp_path / "map.npy"), heat)
    np.save(tmp_path / "maps.npy", heat[None])
    with pytest.raises(CamcompatError, match=r"maps\.npy: found an array of shape \(1, 5, 6\)"):
        read_map(tmp_path / "maps.npy")


@pytest.mark.parametrize("name", ["text.png", "text.npy", "empty.jpg", "empty.npy"])
def test_files_that_are_no_maps(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("" if name.startswith("empty") else "<html>not found</html>")
    with pytest.raises(CamcompatError, match=f"{name}: cannot be read as a heat map") as told:
        read_map(tmp_path / name)
    assert "\n" not in str(told.value)
