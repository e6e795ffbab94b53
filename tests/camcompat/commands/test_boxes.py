"""`camcompat boxes`: what the original program prints, and more than it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click.testing
import numpy as np
import pytest
from PIL import Image

from camcompat.cli import main

Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return lambda *words: click.testing.CliRunner().invoke(main, ["boxes", *(str(word) for word in words)])


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Two maps: one hill, and none."""
    grey = np.zeros((48, 64), np.uint8)
    grey[10:30, 20:50] = 105
    grey[12:20, 22:40] = 220
    Image.fromarray(grey).save(tmp_path / "hill.png")
    np.save(tmp_path / "flat.npy", np.zeros((48, 64)))
    return tmp_path


def test_the_line_of_the_original(run: Run, shared: Path) -> None:
    folder = shared / "cam" / "bboxgenerator"
    result = run(folder / "heatmap_6.jpg", "--thresholds", 20, 100, 110)
    assert result.stdout == (folder / "heatmap_6.txt").read_text().rstrip("\n") + "\n"
    assert run(folder / "heatmap_6.jpg").stdout == "41 145 362 202 102 188 242 126 \n"
    assert run(folder / "heatmap_6.jpg", "--corners").stdout == "41 145 403 347 102 188 344 314 \n"


def test_a_line_per_map(run: Run, maps: Path) -> None:
    result = run("hill.png", "flat.npy")
    assert (result.exit_code, result.stdout) == (0, "20 10 30 20 22 12 18 8 \n\n")
    assert run("hill.png", "flat.npy", "--rule", "paper").stdout == "20 10 30 20 \n\n"
    assert run("hill.png", "--rule", "paper", "--fraction", "0.5").stdout == "22 12 18 8 \n"


def test_json_and_csv(run: Run, maps: Path) -> None:
    lines = [json.loads(line) for line in run("hill.png", "flat.npy", "--json").stdout.splitlines()]
    assert lines == [
        {"map": "hill.png", "rule": "dt-box", "boxes": [[20, 10, 30, 20], [22, 12, 18, 8]]},
        {"map": "flat.npy", "rule": "dt-box", "boxes": []},
    ]
    table = run("hill.png", "flat.npy", "--csv", "--corners").stdout
    assert table == "map,x1,y1,x2,y2\nhill.png,20,10,50,30\nhill.png,22,12,40,20\n"
    assert run("hill.png", "--csv", "--json").exit_code == 2


def test_a_bad_map_stops_no_other(run: Run, maps: Path) -> None:
    (maps / "page.png").write_text("<html>")
    result = run("page.png", "gone.jpg", "hill.png")
    assert (result.exit_code, result.stdout) == (1, "20 10 30 20 22 12 18 8 \n")
    first, second = result.stderr.splitlines()
    assert first.startswith("camcompat: page.png: cannot be read as a heat map")
    assert second.startswith("camcompat: gone.jpg: no such file")


def test_invalid_thresholds(run: Run, maps: Path) -> None:
    result = run("hill.png", "--thresholds", 110, 100, 20)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("camcompat: thresholds: found 110 100 20; give three whole numbers")
    old = run("hill.png", "--thresholds", 110, 100, 20, "--replace-invalid")
    assert old.stdout == run("hill.png", "--thresholds", 30, 90, 150).stdout != ""


def test_a_photograph_is_told_apart(run: Run, maps: Path) -> None:
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)).save(maps / "photo.png")
    result = run("photo.png")
    assert result.exit_code == 0
    assert result.stderr.startswith("note: photo.png: is a picture in colours; its brightness is taken as the map")
    assert run("hill.png").stderr == ""
