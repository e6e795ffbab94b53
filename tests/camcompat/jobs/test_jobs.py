"""Many pictures: which ones, in which order, what is left where one is bad, and going on where a job stopped."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import camcompat
from camcompat.conversion.metadata import description
from camcompat.jobs.job import Worker
from camcompat.jobs.mapping import map_pictures
from camcompat.jobs.pictures import find_pictures
from converters import to_onnx
from prototxt.errors import CamcompatError
from weights.models import find

MODEL = find("shapes-cam")


@pytest.fixture(scope="module")
def onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "shapes-cam.onnx"
    return to_onnx(MODEL.path("prototxt"), MODEL.path("caffemodel"), path, metadata=description(MODEL))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eleven pictures in two folders, one of them broken, and what is no picture."""
    place = tmp_path / "photos"
    (place / "more").mkdir(parents=True)
    sources = sorted((MODEL.folder / "pictures").glob("*.jpg"))
    for number in range(10):
        shutil.copy(sources[number % len(sources)], place / ("more" if number % 2 else ".") / f"img{number}.jpg")
    (place / "img4.jpg").write_bytes((place / "img4.jpg").read_bytes()[:500])
    (place / "notes.txt").write_text("no picture")
    (place / ".hidden.jpg").write_bytes(b"")
    return place


def entries(folder: Path) -> list[dict[str, object]]:
    lines = (folder / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines[1:]]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_folders_patterns_and_files_in_the_order_that_people_count(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "img2.jpg", "sub/img2.png", "raw.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_pictures([tmp_path])
    assert [picture.name for picture in found] == ["img2.jpg", "img2.png", "img10", "sub/img2"]
    assert [picture.name for picture in find_pictures([tmp_path], recursive=False)] == ["img2.jpg", "img2.png", "img10"]
    assert [picture.name for picture in find_pictures([tmp_path / "**" / "*2.png"])] == ["img2", "sub/img2"]
    assert [picture.name for picture in find_pictures([tmp_path / "raw.bin", tmp_path / "raw.bin"])] == ["raw"]
    with pytest.raises(CamcompatError, match="matches no picture"):
        find_pictures([tmp_path / "*.webp"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(CamcompatError, match=r"holds no picture; expected \.jpg"):
        find_pictures([tmp_path / "empty"])
    with pytest.raises(CamcompatError, match="would get one name, img2"):
        find_pictures([tmp_path / "img2.png", tmp_path / "sub" / "img2.png"])


def test_a_bad_picture_is_reported_and_stops_nothing(onnx: Path, folder: Path, tmp_path: Path) -> None:
    done = map_pictures(onnx, [folder, tmp_path / "missing.jpg"], tmp_path / "out", top=1, batch_size=4)
    assert (done.mapped, done.before) == (9, 0)
    assert [path.name for path, _ in done.bad] == ["img4.jpg", "missing.jpg"]
    names = [Path(str(entry["picture"])).name for entry in entries(tmp_path / "out")]
    assert names == [f"img{i}.jpg" for i in (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)] + ["missing.jpg"]
    assert len(list((tmp_path / "out").rglob("*-cam.png"))) == 9
    assert not (tmp_path / "out" / "results.jsonl.part").exists()
    with (tmp_path / "out" / "results.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 11
    assert [row["picture"] for row in rows if row["error"]] == [str(path) for path, _ in done.bad]
    result = camcompat.load(onnx)(folder / "img6.jpg", top=1)
    (row,) = (row for row in rows if row["picture"].endswith("img6.jpg"))
    assert (row["label"], float(row["score"])) == (result.labels[0], pytest.approx(float(result.scores[0]), rel=1e-5))


def test_a_stopped_job_goes_on_and_a_changed_picture_is_mapped_again(
    onnx: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    map_pictures(onnx, [folder], whole, top=2, batch_size=1, maps=True)
    work, calls = Worker.__call__, []

    def stopping(self: Worker, chunk: object) -> object:
        calls.append(chunk)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return work(self, chunk)

    monkeypatch.setattr(Worker, "__call__", stopping)
    with pytest.raises(KeyboardInterrupt):
        map_pictures(onnx, [folder], out, top=2, batch_size=1, maps=True)
    assert (out / "results.jsonl.part").exists() and not (out / "results.jsonl").exists()
    with (out / "results.jsonl.part").open("a") as stream:
        stream.write('{"picture": "cut off')
    again = map_pictures(onnx, [folder], out, top=2, batch_size=1, maps=True)
    assert (again.mapped, again.before) == (6, 3)  # the fourth of the first run was bad: tried again
    assert everything(out) == everything(whole)
    Image.new("RGB", (40, 30)).save(folder / "img0.jpg")
    (out / "more" / "img1-cam.png").unlink()
    third = map_pictures(onnx, [folder], out, top=2, batch_size=1, maps=True)
    assert (third.mapped, third.before, len(third.bad)) == (2, 7, 1)


def test_a_folder_holds_one_kind_of_results(onnx: Path, folder: Path, tmp_path: Path) -> None:
    map_pictures(onnx, [folder], tmp_path / "out", top=1, draw=False)
    with pytest.raises(CamcompatError, match="another run: top was 1, now 2; choose"):
        map_pictures(onnx, [folder], tmp_path / "out", top=2, draw=False)
    assert map_pictures(onnx, [folder], tmp_path / "out", top=2, draw=False, force=True).mapped == 9
    (tmp_path / "out" / "results.jsonl").write_text("something else\n")
    with pytest.raises(CamcompatError, match="is no list of results"):
        map_pictures(onnx, [folder], tmp_path / "out", top=2, draw=False)


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_workers_give_the_same_bytes(engine: str, onnx: Path, folder: Path, tmp_path: Path) -> None:
    if engine == "ray":
        pytest.importorskip("ray")
    map_pictures(onnx, [folder], tmp_path / "one", batch_size=3, maps=True, boxes="paper")
    map_pictures(onnx, [folder], tmp_path / "two", batch_size=3, maps=True, boxes="paper", engine=engine, workers=2)
    assert everything(tmp_path / "two") == everything(tmp_path / "one")
    maps = np.load(tmp_path / "one" / "img0-maps.npz")["maps"]
    assert maps.shape == (5, 128, 128) and maps.dtype == np.float32


def test_what_is_out_of_range_is_said(onnx: Path, folder: Path, tmp_path: Path) -> None:
    for options, message in (
        ({"engine": "spark"}, "engine is 'spark'"),
        ({"workers": 0}, "workers is 0"),
        ({"pipeline": "octave"}, "octave"),
    ):
        with pytest.raises(CamcompatError, match=message):
            map_pictures(onnx, [folder], tmp_path / "out", **options)
    assert not list(tmp_path.glob("out/*"))


def test_another_provider_is_another_job(onnx: Path, folder: Path, tmp_path: Path) -> None:
    """It rounds otherwise, so its results are not mixed with those of another; each worker gets it."""
    done = map_pictures(onnx, [folder], tmp_path / "out", workers=2, batch_size=3, providers="cpu", draw=False)
    assert done.mapped == 9
    again = map_pictures(onnx, [folder], tmp_path / "out", providers=["cpu"], draw=False)
    assert again.before == 9
    with pytest.raises(CamcompatError, match="providers"):
        map_pictures(onnx, [folder], tmp_path / "out", draw=False)
    with pytest.raises(CamcompatError, match="this onnxruntime has no 'abacus'"):
        map_pictures(onnx, [folder], tmp_path / "other", providers=["abacus"])
    assert not (tmp_path / "other").exists()


STRANGE = [
    b"caf\xe9.jpg",
    b"\xff\xfe.jpg",
    "é ü.jpg".encode(),
    b"two\nlines.jpg",
    b'tab\t"quoted", comma.jpg',
    b"-dash.jpg",
]
STRANGE += [b"x" * 250 + b".jpg", b"x" * 249 + b"y.jpg", rb"back\xe9slash.jpg"]


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Pictures whose names are all that a file system takes."""
    place = tmp_path / "strange"
    place.mkdir()
    source = next((MODEL.folder / "pictures").glob("*.jpg"))
    for name in STRANGE:
        try:
            shutil.copy(source, os.fsencode(place) + b"/" + name)
        except OSError:
            pytest.skip("this file system takes no such names")
    return place


def test_any_name_of_a_file_is_mapped_listed_and_found_again(onnx: Path, strange: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = map_pictures(onnx, [strange], out, top=1)
    assert (done.mapped, done.bad) == (len(STRANGE), ())
    paths = {os.fsencode(str(entry["picture"])) for entry in entries(out)}
    assert paths == {os.fsencode(strange) + b"/" + name for name in STRANGE}
    assert len(list(out.glob("*-cam.png"))) == len(STRANGE)
    with (out / "results.csv").open(encoding="utf-8", newline="") as stream:
        names = [Path(row["picture"]).name for row in csv.DictReader(stream)]
    assert "caf\\udce9.jpg" in names and "two\nlines.jpg" in names and 'tab\t"quoted", comma.jpg' in names
    again = map_pictures(onnx, [strange], out, top=1)
    assert (again.mapped, again.before) == (0, len(STRANGE))
    two = map_pictures(onnx, [strange], tmp_path / "two", top=1, workers=2, batch_size=2)
    assert two.mapped == len(STRANGE) and everything(tmp_path / "two") == everything(out)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_any_name_of_a_file_goes_through_the_terminal(
    form: list[str], encoding: str, onnx: Path, strange: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "CAMCOMPAT_OFFLINE": "1"}
    pictures = [os.fsencode(strange) + b"/" + name for name in STRANGE[:7]]
    for targets in ([os.fsencode(strange)], pictures, [b"--", b"missing\xe9.jpg", pictures[0]]):
        place = tmp_path / f"out{len(targets)}"
        words = [sys.executable, "-m", "camcompat", "cam", str(onnx), "--top", "1", "-o", str(place), *form, *targets]
        done = subprocess.run(words, env=environment, capture_output=True, timeout=120)
        assert b"Traceback" not in done.stderr and done.returncode == (b"--" in targets), done.stderr.decode()
        if targets == pictures and form == ["--json"]:
            lines = done.stdout.decode().splitlines()
            assert [os.fsencode(json.loads(line)["picture"]) for line in lines] == pictures
        if targets == pictures and not form:
            assert rb"caf\udce9.jpg" in done.stdout
    assert rb"missing\udce9.jpg" in done.stderr
