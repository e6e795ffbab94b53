"""The plain pipeline: maps land where the crops were, and are averaged where crops overlap."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import converters
from camcompat.cam.model import Model
from camcompat.cam.pipelines.plain import Plain, average, place, stretched
from camcompat.conversion.metadata import description
from camcompat.loading import load
from camcompat.pictures.preprocess import Preprocess
from weights.models import find

BOX = (20.0, 10.0, 180.0, 110.0)


@pytest.mark.parametrize("size", [(120, 200), (240, 400), (60, 100)])
def test_place_puts_cell_centres_where_the_crop_was(size: tuple[int, int]) -> None:
    """Bicubic reproduces a ramp exactly: the value at x is the (fractional) cell at x, whatever the size asked for."""
    down, across = np.meshgrid(np.arange(10.0), np.arange(16.0), indexing="ij")
    placed = place((100 * down + across).astype(np.float32), BOX, (120, 200), size)
    x = (np.arange(size[1]) + 0.5) * 200 / size[1]
    y = (np.arange(size[0]) + 0.5) * 120 / size[0]
    cells_x, cells_y = (x - 20) / 160 * 16 - 0.5, (y - 10) / 100 * 10 - 0.5
    inside = np.ix_((cells_y > 2) & (cells_y < 7), (cells_x > 2) & (cells_x < 13))
    expected = 100 * cells_y[:, np.newaxis] + cells_x
    assert placed.dtype == np.float32 and placed.shape == size
    assert np.abs(placed - expected)[inside].max() < 1e-3


def test_place_continues_the_edge_outside_of_the_crop() -> None:
    placed = place(np.array([[1, 5], [2, 7]], np.float32), (80.0, 40.0, 120.0, 80.0), (120, 200), (120, 200))
    assert placed[0, 0] == 1 and placed[0, -1] == 5 and placed[-1, 0] == 2 and placed[-1, -1] == 7


def test_average_divides_by_coverage_and_continues_the_nearest() -> None:
    """Two constant maps: the left says 2, the right 6, both where they overlap, the nearest where neither is."""
    maps = {(0.0, 0.0, 60.0, 50.0): np.full((3, 3), 2.0), (40.0, 0.0, 80.0, 50.0): np.full((3, 3), 6.0)}
    mean = average(maps, (60, 100), (60, 100))
    assert mean.dtype == np.float32
    assert (mean[:50, :40] == 2).all() and (mean[:50, 40:60] == 4).all() and (mean[:50, 60:80] == 6).all()
    assert (mean[:, 80:] == 6).all() and mean[55, 10] == 2 and mean[55, 50] == 4
    assert np.array_equal(average(maps, (60, 100), (120, 200))[::2, ::2], mean)


def test_stretched() -> None:
    maps = np.random.default_rng(1).normal(0, 50, (3, 10, 16)) * [[[1]], [[1000]], [[-1e-3]]]
    for heatmap in map(stretched, maps):
        assert heatmap.dtype == np.float32 and heatmap.min() == 0 and heatmap.max() == 1
    assert not stretched(np.full((4, 4), -3.0)).any() and not stretched(np.full((4, 4), np.nan)).any()


def test_ten_crops_of_one_scene_give_its_map_back() -> None:
    """Each crop sees its part of one ramp, the mirrored ones from behind: together they are the ramp."""
    recipe = Preprocess.from_mapping({"resize": [112, 112]}, input_shape=("N", 3, 96, 96))
    layout = recipe.layout(10, (224, 224))
    cells = (np.arange(12) + 0.5) * 8
    cams = []
    for crop in layout.crops:
        x = crop.left + cells
        cam = np.tile(x[::-1] if crop.mirrored else x, (12, 1)) + 10 * (crop.top + cells)[:, np.newaxis]
        cams.append(cam.astype(np.float32))
    heat = Plain(recipe, 10).heat(np.stack(cams), (224, 224), (112, 112))
    expected = (np.arange(112) + 0.5) + 10 * (np.arange(112) + 0.5)[:, np.newaxis]
    middle = slice(40, 72)  # where no crop ends within a kernel's reach
    assert np.abs(heat - expected)[middle, middle].max() < 0.01
    assert np.abs(heat - expected).max() < 60  # an edge cell's value is continued for half a cell, 4 pixels of 11 each


def test_a_wide_picture_keeps_its_aspect_and_is_covered_to_the_ends() -> None:
    recipe = Preprocess.from_mapping({"resize": 112}, input_shape=("N", 3, 96, 96))
    layout = recipe.layout(10, (100, 700))
    assert layout.canvas == (112, 784)
    boxes = {layout.box(crop, (100, 700)) for crop in layout.crops}
    assert min(box[0] for box in boxes) == 0 and max(box[2] for box in boxes) == pytest.approx(700)
    heat = Plain(recipe, 10).heat(np.ones((10, 12, 12), np.float32), (100, 700), (100, 700))
    assert np.abs(heat - 1).max() < 1e-6


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Model:
    model, path = find("shapes-cam"), tmp_path_factory.mktemp("shapes") / "shapes-cam.onnx"
    converters.to_onnx(model.path("prototxt"), model.path("caffemodel"), path, cam=True, metadata=description(model))
    return load(path)


@pytest.mark.parametrize(
    ("pipeline", "crops", "right"), [("plain", 1, 60), ("plain", 10, 60), ("matlab", 1, 60), ("matlab", 10, 59)]
)
def test_shapes_cam_knows_and_points(shared: Path, shapes: Model, pipeline: str, crops: int, right: int) -> None:
    """All 60 pictures; Caffe had 60 of 60 with one crop. (Ten crops cut into one shape at the picture's edge.)"""
    folder = shared / "shapes-cam"
    with (folder / "boxes.csv").open() as file:
        rows = list(csv.DictReader(file))
    results = shapes([folder / "pictures" / row["file"] for row in rows], top=1, pipeline=pipeline, crops=crops)
    named = sum(result.labels[0] == row["class"] for result, row in zip(results, rows, strict=True))
    pointed = 0
    for result, row in zip(results, rows, strict=True):
        y, x = np.unravel_index(result.maps[0].argmax(), result.maps[0].shape)
        pointed += int(row["x0"]) <= x <= int(row["x1"]) and int(row["y0"]) <= y <= int(row["y1"])
    assert (named, pointed) == (right, 60)


def test_shapes_cam_gives_caffes_maps(shared: Path, shapes: Model) -> None:
    expected = np.load(shared / "shapes-cam" / "expected.npz")
    pictures = sorted((shared / "shapes-cam" / "pictures").iterdir())
    results = shapes(pictures, top=1)
    for result, prob, cam in zip(results, expected["prob"], expected["cams_top1"], strict=True):
        assert result.classes[0] == prob.argmax() and abs(result.scores[0] - prob.max()) < 5e-6
        assert np.abs(result.cams[0] - cam).max() < 1e-5 * np.abs(cam).max()


def test_the_embedded_pictures(shapes: Model) -> None:
    """What everybody has: the net that comes with the package, on the pictures beside it."""
    folder = find("shapes-cam").folder / "pictures"
    assert len(list(folder.glob("*.jpg"))) == 60
    pictures = [folder / name for name in ("05-star.jpg", "06-arrow.jpg", "12-heart.jpg")]
    for pipeline in ("plain", "matlab"):
        for path, result in zip(pictures, shapes(pictures, top=1, pipeline=pipeline, boxes="paper"), strict=True):
            assert result.labels[0] in path.stem and result.scores[0] > 0.7
            with Image.open(path) as image:
                assert result.maps.shape == (1, image.height, image.width)
            assert len(result.boxes[0]) == 1
