"""Results: what they hold, say and save, and where boxes are drawn."""

from __future__ import annotations

import json
import os
import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camcompat.boxes import find_boxes
from camcompat.boxes.rule import ChosenRule
from camcompat.cam.pipelines.base import make_pipeline
from camcompat.cam.result import Result
from camcompat.commands.cam import CSV_HEADER, csv_lines
from camcompat.pictures.preprocess import Preprocess
from prototxt.errors import CamcompatError


def result(maps: np.ndarray, *, size: tuple[int, int] = (200, 120), boxes: Any = None, source: str = "") -> Result:
    """A plain result of one crop that covers the whole picture."""
    recipe = Preprocess.from_mapping({"resize": None}, input_shape=(1, 3, 96, 96))
    count = len(maps)
    scores = np.array([0.98, 0.25, 0.01], np.float32)[:count]
    labels = tuple(["cup", "soup, bowl", "<alp>"][:count])
    image = Image.new("RGB", size, "grey")
    stack = maps.astype(np.float32)[:, np.newaxis]
    way = make_pipeline("plain", recipe)
    return Result(image, np.arange(count) + 5, scores, labels, stack, way, source, ChosenRule.of(boxes))


def blob(rows: slice, columns: slice) -> np.ndarray:
    heat = np.zeros((12, 20))
    heat[rows, columns] = 1
    return heat


def test_text() -> None:
    three = result(np.zeros((3, 2, 2)))
    assert three.table() == str(three) == "0.98 cup\n0.25 soup, bowl\n0.01 <alp>"
    assert repr(three) == "<Result of 200x120: 0.98 cup, 0.25 soup, bowl, 0.01 <alp>>"
    assert len(three) == 3


def test_arrays_are_made_once() -> None:
    maps = np.random.default_rng(0).normal(size=(3, 10, 16)).astype(np.float32)
    three = result(maps)
    assert np.array_equal(three.cams, maps) and three.cams.shape == (3, 10, 16)
    assert three.maps is three.maps and three.maps.shape == (3, 120, 200) and three.maps.dtype == np.float32
    assert np.array_equal(three.maps[2], three.heatmap(2)) and np.array_equal(three.maps[2], three.heatmap(-1))
    assert three.heatmap(1, (30, 50)).shape == (30, 50)
    for arguments, message in (
        ((3,), "rank 3 of 3 classes; ask for a larger top"),
        ((0, (0, 5)), r"size is \(0, 5\)"),
        ((0, (5,)), r"size is \(5,\)"),
    ):
        with pytest.raises(CamcompatError, match=message):
            three.heatmap(*arguments)


def test_boxes_are_found_before_the_minimum_is_subtracted() -> None:
    """20 % of the maximum, from zero: a background of 0.1 stays outside, though a deep negative corner is there."""
    heat = np.full((12, 20), 0.1)
    heat[3:9, 5:15], heat[0, 0] = 1, -5
    one = result(heat[np.newaxis])
    ((box,),) = one.boxes
    assert abs(box.x - 50) <= 8 and abs(box.y - 30) <= 8 and abs(box.width - 100) <= 16 and abs(box.height - 60) <= 16
    (worse,) = find_boxes(one.maps[0], "paper")
    assert (worse.width, worse.height) == (200, 120)


@pytest.mark.parametrize("boxes", ["dt-box", ("dt-box", {"thresholds": (20, 100, 110)}), {"rule": "dt-box"}])
def test_boxes_of_each_class(boxes: Any) -> None:
    two = result(np.stack([blob(slice(2, 8), slice(3, 9)), blob(slice(5, 11), slice(12, 18))]), boxes=boxes)
    assert len(two.boxes) == 2
    for found, (x, y) in zip(two.boxes, [(30, 20), (120, 50)], strict=True):
        assert abs(found[0].x - x) <= 10 and abs(found[0].y - y) <= 10


def test_overlay_is_hot_where_the_map_is() -> None:
    two = result(np.stack([blob(slice(5, 6), slice(8, 9)), np.zeros((12, 20))]))
    picture = np.asarray(two.overlay(alpha=1)).astype(int)
    assert picture.shape == (120, 200, 3)
    assert picture[55, 85].sum() > 500 and picture[5, 5].sum() < 120
    assert two.overlay(0, size=(60, 100)).size == (100, 60)
    half = np.asarray(two.overlay(1)).astype(int)  # a map of zeros: the darkest colour everywhere
    assert np.abs(half - (128 + np.asarray(two.overlay(1, alpha=1)).astype(int)) / 2).max() <= 1
    for arguments, message in (({"rank": 2}, "rank 2 of 2"), ({"alpha": 2}, "alpha is 2"), ({"alpha": -1}, "alpha")):
        with pytest.raises(CamcompatError, match=message):
            two.overlay(**arguments)


def test_boxes_are_drawn_where_they_were_asked_for() -> None:
    heat = blob(slice(3, 9), slice(5, 15))[np.newaxis]
    without, drawn = (np.asarray(result(heat, boxes=boxes).overlay(size=(240, 400))) for boxes in (None, "paper"))
    ((box,),) = result(heat).boxes
    changed = (without != drawn).any(-1)
    rows, columns = np.nonzero(changed)
    assert abs(columns.min() - 2 * box.x) <= 3 and abs(columns.max() - 2 * (box.x + box.width)) <= 3
    assert abs(rows.min() - 2 * box.y) <= 3 and abs(rows.max() - 2 * (box.y + box.height)) <= 3
    assert not changed[110:130, 180:220].any()


def test_save_shows_the_picture_and_every_map(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).normal(size=(3, 10, 16))
    result(maps).save(tmp_path / "row.png")
    result(maps).save(str(tmp_path / "grid.jpg"), panel=100, columns=2, alpha=0.3)
    with Image.open(tmp_path / "row.png") as row, Image.open(tmp_path / "grid.jpg") as grid:
        assert row.width > 4 * 320 and 192 < row.height < 350
        assert row.getpixel((30, 30)) == (128, 128, 128)
        assert grid.width < row.width and grid.height > 2 * 60
    for style, message in (({"panel": 5}, "panel is 5"), ({"columns": 0}, "columns 0"), ({"panel": 0}, "panel is 0")):
        with pytest.raises(CamcompatError, match=message):
            result(maps).save(tmp_path / "x.png", **style)
    assert not (tmp_path / "x.png").exists()


def test_json_and_csv() -> None:
    plain = result(np.zeros((2, 2, 2)), source="a/cup.jpg")
    assert json.loads(plain.to_json()) == plain.as_dict()
    assert plain.as_dict() == {
        "picture": "a/cup.jpg",
        "width": 200,
        "height": 120,
        "pipeline": "plain",
        "crops": 1,
        "boxes": None,
        "classes": [
            {"rank": 1, "class": 5, "label": "cup", "score": 0.98},
            {"rank": 2, "class": 6, "label": "soup, bowl", "score": 0.25},
        ],
    }
    boxed = result(np.stack([blob(slice(2, 8), slice(3, 9)), -np.ones((12, 20))]), boxes="paper", source="cup.jpg")
    found = json.loads(boxed.to_json(indent=1))
    box = boxed.boxes[0][0]
    assert found["boxes"] == "paper" and "\n" in boxed.to_json(indent=1)
    assert found["classes"][0]["boxes"] == [[box.x, box.y, box.width, box.height]] and not found["classes"][1]["boxes"]
    lines = csv_lines(boxed).splitlines()
    assert len(CSV_HEADER.split(",")) == 6
    assert lines == [
        f"cup.jpg,1,5,cup,0.98,{box.x} {box.y} {box.width} {box.height}",
        'cup.jpg,2,6,"soup, bowl",0.25,',
    ]


def test_json_names_any_file_that_there_is() -> None:
    """A name whose bytes are no UTF-8 stands as escapes: the text can be written, and gives the name back."""
    maps = np.ones((1, 2, 2))
    text = result(maps, source=os.fsdecode(b"caf\xe9.jpg")).to_json().encode("utf-8").decode("utf-8")
    assert os.fsencode(json.loads(text)["picture"]) == b"caf\xe9.jpg"
    assert "é" in result(maps, source="é.jpg").to_json()


def test_notebooks_show_the_figure() -> None:
    three = result(np.random.default_rng(0).normal(size=(3, 4, 4)))
    with Image.open(BytesIO(three._repr_png_())) as picture:
        assert picture.size == three.figure().size
    html = three._repr_html_()
    assert "soup, bowl" in html and "&lt;alp&gt;" in html and "<alp>" not in html and "data:image/png;base64," in html


def test_results_can_be_sent_to_another_process() -> None:
    three = result(np.random.default_rng(0).normal(size=(3, 4, 4)), boxes="paper")
    again = pickle.loads(pickle.dumps(three))
    assert again.to_json() == three.to_json() and np.array_equal(again.maps, three.maps)
