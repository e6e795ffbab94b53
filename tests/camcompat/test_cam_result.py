"""Results: maps land where the network saw the picture, pictures of them, the text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camcompat.cam import Result, place
from camcompat.preprocess import Box
from prototxt.errors import CamcompatError

BOX = (20.0, 10.0, 180.0, 110.0)


def result(maps: np.ndarray, *, size: tuple[int, int] = (200, 120), box: Box | None = BOX) -> Result:
    count = len(maps)
    scores = np.array([0.98, 0.25, 0.01], np.float32)[:count]
    labels = tuple(["cup", "soup bowl", "alp"][:count])
    return Result(Image.new("RGB", size, "grey"), np.arange(count), scores, maps.astype(np.float32), labels, box)


@pytest.mark.parametrize("size", [(120, 200), (240, 400), (60, 100)])
def test_place_puts_cell_centres_where_the_crop_was(size: tuple[int, int]) -> None:
    """Bicubic reproduces a ramp exactly: the value at x is the (fractional) cell at x, whatever the size asked for."""
    down, across = np.meshgrid(np.arange(10.0), np.arange(16.0), indexing="ij")
    placed = place((100 * down + across).astype(np.float32), BOX, (200, 120), size)
    x = (np.arange(size[1]) + 0.5) * 200 / size[1]
    y = (np.arange(size[0]) + 0.5) * 120 / size[0]
    cells_x, cells_y = (x - 20) / 160 * 16 - 0.5, (y - 10) / 100 * 10 - 0.5
    inside = np.ix_((cells_y > 2) & (cells_y < 7), (cells_x > 2) & (cells_x < 13))
    expected = 100 * cells_y[:, np.newaxis] + cells_x
    assert placed.dtype == np.float32 and placed.shape == size
    assert np.abs(placed - expected)[inside].max() < 1e-3


def test_place_continues_the_edge_outside_of_the_crop() -> None:
    placed = place(np.array([[1, 5], [2, 7]], np.float32), (80.0, 40.0, 120.0, 80.0), (200, 120), (120, 200))
    assert placed[0, 0] == 1 and placed[0, -1] == 5 and placed[-1, 0] == 2 and placed[-1, -1] == 7


def test_place_merges_to_matlabs_ten_crops(shared: Path) -> None:
    """The published demo's merged maps, from ten placed maps each (bicubic, indices clamped at the border)."""
    expected = np.load(shared / "cam" / "expected" / "demo_img1.npz")
    offsets = [(0, 0), (0, 32), (32, 0), (32, 32), (16, 16)]
    for category in range(5):
        canvas = np.zeros((256, 256), np.float32)
        for crop in range(10):
            cam = expected["cam_lowres"][:, :, category, crop].T
            large = place(cam, (0.0, 0.0, 224.0, 224.0), (224, 224), (224, 224))
            x, y = offsets[crop % 5]
            canvas[y : y + 224, x : x + 224] += np.abs(large if crop < 5 else large[:, ::-1])
        merged = expected["merged_matlab_clamp"][..., category]
        assert np.abs(3 * canvas - merged).max() < 1e-5 * merged.max()


def test_heatmaps_are_normalised_per_map() -> None:
    maps = np.random.default_rng(1).normal(0, 50, (3, 10, 16)) * [[[1]], [[1000]], [[-1e-3]]]
    heatmaps = result(maps).heatmaps()
    assert heatmaps.shape == (3, 120, 200) and heatmaps.dtype == np.float32
    assert heatmaps.min((1, 2)).tolist() == [0, 0, 0] and heatmaps.max((1, 2)).tolist() == [1, 1, 1]


def test_heatmaps_of_constant_or_broken_maps_are_zero() -> None:
    maps = np.stack([np.full((4, 4), -3.0), np.full((4, 4), np.nan)])
    assert not result(maps).heatmaps().any()


def test_heatmaps_size_and_outside() -> None:
    one = result(np.ones((1, 10, 16)) * np.arange(16))
    extended, cut = one.heatmaps(), one.heatmaps(outside="zero")
    assert extended[0, 60, 199] > 0.99 and extended[0, 60, 0] < 0.01  # a bicubic ramp overshoots a little
    assert not cut[0, :, :20].any() and not cut[0, :, 180:].any() and not cut[0, :10].any() and not cut[0, 110:].any()
    assert np.array_equal(cut[0, 10:110, 20:180], extended[0, 10:110, 20:180])
    assert one.heatmaps((30, 50)).shape == (1, 30, 50)
    with pytest.raises(CamcompatError, match="outside is 'edge'"):
        one.heatmaps(outside="edge")
    with pytest.raises(CamcompatError, match=r"size is \(0, 5\)"):
        one.heatmaps((0, 5))


def test_maps_without_a_crop_box_cover_the_picture() -> None:
    maps = np.zeros((1, 10, 20))
    maps[0, 2, 15] = 1  # its cell: x 150..160 of 200, y 24..36 of 120
    y, x = np.unravel_index(result(maps, box=None).heatmaps()[0].argmax(), (120, 200))
    assert 24 <= y < 36 and 150 <= x < 160


def test_overlay_is_hot_where_the_map_is() -> None:
    maps = np.zeros((1, 10, 16))
    maps[0, 5, 8] = 1  # centre: x = 20 + 8.5 * 10, y = 10 + 5.5 * 10
    picture = np.asarray(result(maps).overlay(alpha=1))
    assert picture.shape == (120, 200, 3)
    assert picture[65, 105, 0] > 120 and picture[65, 105, 2] == 0
    assert picture[5, 5].tolist() == [0, 0, picture[5, 5, 2]]
    assert result(maps).overlay(0, size=(60, 100)).size == (100, 60)
    with pytest.raises(CamcompatError, match="rank 1 of 1 classes; ask for a larger top"):
        result(maps).overlay(1)


def test_save_shows_the_picture_and_every_map(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(3, 10, 16))
    result(maps).save(tmp_path / "row.png")
    result(maps).save(str(tmp_path / "grid.jpg"), panel=100, columns=2, alpha=0.3)
    with Image.open(tmp_path / "row.png") as row, Image.open(tmp_path / "grid.jpg") as grid:
        assert row.width > 4 * 320 and 192 < row.height < 350
        assert row.getpixel((30, 30)) == (128, 128, 128)
        assert grid.width < row.width and grid.height > 2 * 60
    with pytest.raises(CamcompatError, match="panel is 5"):
        result(maps).save(tmp_path / "x.png", panel=5)


@pytest.mark.parametrize("size", [(8, 3000), (3000, 8), (8, 8)])
def test_save_any_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    result(np.eye(4)[np.newaxis], size=size, box=None).save(tmp_path / "a.png")


def test_text() -> None:
    three = result(np.zeros((3, 2, 2)))
    assert three.table() == str(three) == "0.98 cup\n0.25 soup bowl\n0.01 alp"
    assert repr(three) == "<Result of 200x120: 0.98 cup, 0.25 soup bowl, 0.01 alp>"
    assert len(three) == 3
