"""`camcompat cam`: what its options print and write."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import click.testing
import numpy as np
import pytest
from PIL import Image

from camcompat.cli import main
from camcompat.loading import load

LABELS = ["circle", "square", "star", "ring", "cross", "heart", "arrow, bow"]
Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cam_file: Callable[..., Path], noise: np.ndarray) -> Run:
    """Runs `camcompat cam` in a folder with net.onnx, a.png and b.png."""
    monkeypatch.chdir(tmp_path)
    cam_file(metadata={"labels": LABELS, "preprocess": {"resize": [112, 112]}})
    Image.fromarray(noise).save("a.png")
    Image.fromarray(noise[::-1]).save("b.png")
    return lambda *words: click.testing.CliRunner().invoke(main, ["cam", "net.onnx", *map(str, words)])


def test_pictures_and_text(run: Run) -> None:
    done = run("a.png", "b.png", "--top", 2, "--out", "maps")
    assert done.exit_code == 0, done.output
    assert sorted(os.listdir("maps")) == ["a-cam.png", "b-cam.png"]
    lines = done.stdout.splitlines()
    assert len(lines) == 6 and lines[0] == "a.png -> maps/a-cam.png" and lines[3] == "b.png -> maps/b-cam.png"


def test_the_provider_is_passed_on(run: Run) -> None:
    plain, named = run("a.png", "--json", "--no-pictures"), run("a.png", "--json", "--no-pictures", "--provider", "cpu")
    assert plain.exit_code == named.exit_code == 0 and plain.stdout == named.stdout
    refused = run("a.png", "--provider", "abacus")
    assert refused.exit_code == 1 and "this onnxruntime has no 'abacus'; it has " in str(refused.output)


@pytest.mark.parametrize("options", [{}, {"pipeline": "matlab"}, {"crops": 10}, {"pipeline": "matlab", "crops": 1}])
def test_json_is_the_results_own(run: Run, options: dict[str, object]) -> None:
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    done = run("a.png", "b.png", "--json", "--no-pictures", "--boxes", "dt-box", *words)
    assert done.exit_code == 0, done.output
    expected = load("net.onnx")(["a.png", "b.png"], boxes="dt-box", **options)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [entry["picture"] for entry in found] == ["a.png", "b.png"]
    for entry, result in zip(found, expected, strict=True):
        assert entry == result.as_dict()
    assert sorted(os.listdir()) == ["a.png", "b.png", "net.onnx"]


def test_csv_can_be_read_back(run: Run) -> None:
    done = run("a.png", "b.png", "--csv", "--no-pictures", "--boxes", "paper", "--class", 6, "--class", "ring")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["picture"], row["rank"], row["label"]) for row in rows] == [
        ("a.png", "1", "arrow, bow"),
        ("a.png", "2", "ring"),
        ("b.png", "1", "arrow, bow"),
        ("b.png", "2", "ring"),
    ]
    results = load("net.onnx")(["a.png", "b.png"], classes=[6, 3], boxes="paper")
    for row, boxes in zip(rows, [boxes for result in results for boxes in result.boxes], strict=True):
        assert row["boxes"] == ";".join(" ".join(map(str, box)) for box in boxes)


def test_matlab_writes_the_result_picture(run: Run) -> None:
    assert run("a.png", "--pipeline", "matlab", "--border", "clamp", "--out", "result.png").exit_code == 0
    expected = load("net.onnx")("a.png", pipeline="matlab", border="clamp").figure()
    with Image.open("result.png") as picture:
        assert np.array_equal(np.asarray(picture), np.asarray(expected))


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--json", "--csv"], 2, "choose --json or --csv"),
        (["--crops", "5"], 2, "'5' is not one of '1', '10'"),
        (["--border", "clamp"], 1, "only pipeline='matlab' has a border rule"),
        (["--top", "0"], 1, "top is 0"),
        (["--class", "rink"], 1, "did you mean 'ring'"),
    ],
)
def test_refuses(run: Run, words: list[str], status: int, message: str) -> None:
    done = run("a.png", *words)
    assert done.exit_code == status and message in done.stderr
    assert sorted(os.listdir()) == ["a.png", "b.png", "net.onnx"]


def test_a_bad_picture_is_reported_and_does_not_stop_the_others(run: Run) -> None:
    Path("bad.png").write_bytes(b"<html>")
    done = run("a.png", "bad.png", "b.png")
    assert done.exit_code == 1 and "bad.png: is no picture" in done.stderr
    assert Path("a-cam.png").is_file() and Path("b-cam.png").is_file()
    assert run("a.png", "bad.png", "--keep-going").exit_code == 0
    alone = run("bad.png")
    assert alone.exit_code == 1 and alone.stdout == "" and "bad.png: is no picture" in alone.stderr


def test_a_folder_is_a_job_that_goes_on_where_it_stopped(run: Run) -> None:
    Path("photos").mkdir()
    for name in ("a.png", "b.png"):
        Path(name).rename(Path("photos") / name)
    done = run("photos", "--top", "1")
    assert done.exit_code == 0, done.stderr
    (folder,) = Path().glob("*-cam")
    assert done.stdout == f"2 pictures are mapped: {folder}/results.jsonl\n"
    assert sorted(path.name for path in folder.iterdir()) == ["a-cam.png", "b-cam.png", "results.csv", "results.jsonl"]
    (Path("photos") / "bad.png").write_bytes(b"<html>")
    again = run("photos/*.png", "--top", "1", "--out", str(folder), "--csv")
    assert again.exit_code == 1 and len(again.stdout.splitlines()) == 4
    assert "bad.png: is no picture" in again.stderr
    refused = run("photos", "--top", "2")
    assert refused.exit_code == 1 and "top was 1, now 2" in refused.stderr
