"""A whole evaluation: figures worked out from the network's own numbers, restarts, bad pictures, the command."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click.testing
import numpy as np
import pytest
from PIL import Image

import camcompat
from camcompat.boxes import Box
from camcompat.commands.evaluate import command
from camcompat.conversion.converter import convert_model
from camcompat.evaluation import evaluate, ilsvrc_classes, read_predictions
from camcompat.evaluation.findings import Findings, prediction_rows
from converters import to_onnx
from prototxt.errors import CamcompatError
from weights.models import find

CamFile = Callable[..., Path]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The embedded network, converted."""
    model = find("shapes-cam")
    path = tmp_path_factory.mktemp("net") / "shapes-cam.onnx"
    to_onnx(model.path("prototxt"), model.path("caffemodel"), path, cam=True, metadata={"labels": list(model.labels)})
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures of noise, one of them cut off, and boxes for them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    lines = ["file,label,x0,y0,x1,y1"]
    for number in range(4):
        noise = np.random.default_rng(number).integers(0, 256, (60, 80, 3), np.uint8)
        Image.fromarray(noise).resize((160, 120)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{number},0,0,159,119")
    data = (folder / "2.png").read_bytes()
    (folder / "2.png").write_bytes(data[: len(data) // 2])
    (tmp_path / "truth.csv").write_text("\n".join(lines))
    return folder


def found(*classes: int, boxes: tuple[tuple[Box, ...], ...]) -> Findings:
    return Findings(classes, (0.5,) * len(classes), (1, 2), {"dt-box": boxes, "paper": boxes})


def test_rows_of_predictions() -> None:
    one = found(3, 0, 1, boxes=((Box(1, 2, 10, 20), Box(5, 6, -2, 8)), (Box(7, 8, 9, 10),), ()))
    ids = (100, 101, 102, 103)
    none = [-1, 0, 0, 0, 0]
    first = [103, 1, 2, 11, 22, 100, 7, 8, 16, 18, 101, 0, 0, 0, 0, *none, *none]
    second = [103, 3, 6, 5, 14, 100, 7, 8, 16, 18, 101, 0, 0, 0, 0, *none, *none]
    assert prediction_rows([one, None], "dt-box", ids).tolist() == [first, none * 5]
    assert prediction_rows([one], "dt-box", ids, 1).tolist() == [second]
    assert prediction_rows([one], "paper", ids)[0, :10].tolist() == [103, 1, 2, 10, 21, 100, 7, 8, 15, 17]


def test_figures_are_those_of_the_networks_results(cam_file: CamFile, pictures: Path) -> None:
    """One by one: what the model says of each picture, and CAM.md's rules, in plain arithmetic."""
    model = camcompat.load(cam_file())
    report = evaluate(model, [pictures], pictures.parent / "truth.csv", rules={"paper": {"fraction": 0.4}})
    assert [picture for picture, _ in report.bad] == [str(pictures / "2.png")]
    for pipeline, figures in report.figures.items():
        right, located, pointed = np.ones((4, 5)), np.ones((4, 5)), 0
        for number in (0, 1, 3):
            result = model(pictures / f"{number}.png", pipeline=pipeline, boxes=("paper", {"fraction": 0.4}))
            pointed += 1  # every pixel lies in the box
            for rank, (index, boxes) in enumerate(zip(result.classes, result.boxes)):
                if index == number:
                    right[number, rank:] = 0
                    area = boxes[0].width * boxes[0].height
                    if area / (160 * 120) >= 0.5:
                        located[number, rank:] = 0
        assert figures.cls == tuple(right.mean(0))
        assert figures.clsloc == {"paper": tuple(located.mean(0))}
        assert figures.accuracy == 1 - right.mean(0)[0]
        assert figures.pointing == pointed / 4


def test_shapes_cam_as_its_trainers_measured_it(shapes: Path, shared: Path) -> None:
    """shared/README.md: on the 60 pictures 60 are right, and 60 maxima lie in the box."""
    folder = shared / "shapes-cam"
    mapping = {"resize": [112, 112], "crop": [96, 96], "mean": [104, 117, 123]}
    model = camcompat.load(shapes, preprocess=mapping)
    report = evaluate(model, [folder / "pictures"], folder / "boxes.csv", pipelines=["plain"], rules=["paper"])
    assert (report.pictures, report.bad, report.missing, report.unknown) == (60, (), (), ())
    assert (report.figures["plain"].accuracy, report.figures["plain"].pointing) == (1.0, 1.0)


def test_a_stopped_evaluation_goes_on(cam_file: CamFile, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, journal = pictures.parent / "truth.csv", pictures.parent / "journal.jsonl"
    options: dict[str, Any] = {"journal": journal, "pipelines": ["plain"]}
    model = camcompat.load(cam_file())
    whole = evaluate(model, [pictures], truth, pipelines=["plain"])
    evaluate(model, [pictures], truth, limit=2, **options)
    lines = journal.read_text().splitlines()
    assert len(lines) == 3
    journal.write_text("\n".join([*lines, lines[1][:40]]))  # killed while it wrote
    asked: list[str] = []
    stream = camcompat.Model.stream
    monkeypatch.setattr(camcompat.Model, "stream", lambda self, images, **kw: stream(self, _noted(images, asked), **kw))
    again = evaluate(model, [pictures], truth, **options)
    assert again == whole
    assert len(asked) == 1  # 3.png; 2.png cannot be read, 0 and 1 were known
    assert len(journal.read_text().splitlines()) == 4
    Image.new("RGB", (160, 120), "red").save(pictures / "0.png")
    evaluate(model, [pictures], truth, **options)
    assert len(asked) == 2  # 0.png has changed


def _noted(images: list[Any], asked: list[str]) -> list[Any]:
    asked += ["picture"] * len(images)
    return images


@pytest.mark.parametrize("engine", ["local", "ray"])
def test_workers_find_the_same(engine: str, cam_file: CamFile, pictures: Path) -> None:
    """In other processes too the model is the one that was given: with its recipe, labels and providers."""
    if engine == "ray":
        pytest.importorskip("ray")
    truth = pictures.parent / "truth.csv"
    (pictures / os.fsdecode(b"caf\xe9.png")).write_bytes((pictures / "0.png").read_bytes())
    for extra in range(4, 12):
        (pictures / f"{extra}.png").write_bytes((pictures / f"{extra % 2}.png").read_bytes())
        truth.write_text(f"{truth.read_text()}\n{extra}.png,{extra % 7},0,0,159,119")
    model = camcompat.load(cam_file(), preprocess={"scale": 0.5})
    alone = evaluate(model, [pictures], truth, journal=pictures.parent / "one.jsonl")
    several = evaluate(model, [pictures], truth, journal=pictures.parent / "two.jsonl", workers=2, engine=engine)
    assert several == alone and alone.pictures == 12 and len(alone.bad) == 1
    assert alone.unknown == (str(pictures / os.fsdecode(b"caf\xe9.png")),)
    assert (pictures.parent / "one.jsonl").read_bytes() == (pictures.parent / "two.jsonl").read_bytes()
    for options, told in (({"workers": 0}, "workers is 0"), ({"engine": "abacus"}, "engine is 'abacus'; use local or")):
        with pytest.raises(CamcompatError, match=told):
            evaluate(model, [pictures], truth, **options)


def test_journals_of_other_evaluations(cam_file: CamFile, pictures: Path) -> None:
    truth, journal = pictures.parent / "truth.csv", pictures.parent / "journal.jsonl"
    options: dict[str, Any] = {"journal": journal, "pipelines": ["plain"], "rules": ["paper"]}
    path = cam_file()
    evaluate(path, [pictures], truth, **options)
    kept = journal.read_bytes()
    other = cam_file("other.onnx", metadata={"preprocess": {"scale": 0.5}})
    for model, change, told in [
        (
            path,
            {"rules": {"paper": {"fraction": 0.3}}},
            "rules was {'paper': {}}, now it is {'paper': {'fraction': 0.3}}",
        ),
        (path, {"crops": 10}, "crops was None, now it is 10"),
        (path, {"pipelines": ["matlab"]}, "pipelines was"),
        (other, {}, "model was"),
        (camcompat.load(path, preprocess={"scale": 0.5}), {}, "preprocess was"),
    ]:
        with pytest.raises(CamcompatError, match=r"journal\.jsonl: is the journal of another evaluation") as error:
            evaluate(model, [pictures], truth, **{**options, **change})
        assert told in str(error.value)
        assert journal.read_bytes() == kept
    for text in ("hello\n", "{}\n", "[1]\n", '{"picture": 1}'):
        journal.write_text(text)
        with pytest.raises(CamcompatError, match="is no journal of an evaluation"):
            evaluate(path, [pictures], truth, **options)
        assert journal.read_text() == text


def test_what_has_no_partner_is_told(cam_file: CamFile, pictures: Path) -> None:
    truth = pictures.parent / "truth.csv"
    truth.write_text(truth.read_text() + "\ngone.png,1,0,0,5,5\n")
    Image.new("RGB", (90, 90)).save(pictures / "extra.png")
    report = evaluate(cam_file(), [pictures], truth, pipelines=["plain"], rules=["paper"])
    assert (report.pictures, report.missing, report.unknown) == (4, ("gone.png",), (str(pictures / "extra.png"),))
    notes = "\n".join(report.notes())
    assert f"cannot be read, counted as wrong: 1 picture ({pictures / '2.png'})" in notes
    assert f"not there, not counted: 1 picture of {truth} (gone.png)" in notes
    assert f"without ground truth, not counted: 1 picture ({pictures / 'extra.png'})" in notes
    with pytest.raises(CamcompatError, match="nowhere: no such picture or folder"):
        evaluate(cam_file(), [pictures, pictures.parent / "nowhere"], truth)
    truth.write_text("file,label,x0,y0,x1,y1\nnone.png,1,0,0,5,5\n")
    with pytest.raises(CamcompatError, match="none of the pictures is in it"):
        evaluate(cam_file(), [pictures], truth)
    truth.write_text("file,label,x0,y0,x1,y1\n0.png,77,0,0,5,5\n")
    with pytest.raises(CamcompatError, match=r"truth\.csv: 0\.png: has the label 77; expected 0 to 6"):
        evaluate(cam_file(), [pictures], truth)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"pipelines": ["best"]}, "pipelines: found 'best'; use plain and matlab"),
        ({"pipelines": []}, "pipelines: found none"),
        ({"rules": ["best"]}, "rules: found 'best'"),
        ({"rules": {"paper": {"thresholds": (1, 2, 3)}}}, "the rule has no option 'thresholds'"),
        ({"limit": 0}, "limit is 0"),
        ({"crops": 5}, "crops is 5"),
        ({"blacklist": [5]}, "blacklist: names picture 5; expected numbers from 1 to 4"),
    ],
)
def test_options_out_of_range_end_it_before_any_picture(
    options: dict[str, Any], told: str, cam_file: CamFile, pictures: Path
) -> None:
    journal = pictures.parent / "journal.jsonl"
    with pytest.raises(CamcompatError) as error:
        evaluate(cam_file(), [pictures], pictures.parent / "truth.csv", journal=journal, **options)
    assert told in str(error.value)
    assert not journal.exists()


def test_blacklisted_pictures(cam_file: CamFile, pictures: Path) -> None:
    truth = pictures.parent / "truth.csv"
    options: dict[str, Any] = {"pipelines": ["plain"], "rules": ["paper"]}
    # the picture that cannot be read is the third: without it no error is left but the others'
    every = evaluate(cam_file(), [pictures], truth, **options)
    most = evaluate(cam_file(), [pictures], truth, blacklist=[3], **options)
    assert (every.blacklisted, most.blacklisted) == (0, 1)
    assert most.figures["plain"].cls == every.figures["plain"].cls
    expected = tuple((error * 4 - 1) / 3 for error in every.figures["plain"].clsloc["paper"])
    assert most.figures["plain"].clsloc["paper"] == pytest.approx(expected)


Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path / "models"))
    monkeypatch.setenv("CAMCOMPAT_OFFLINE", "1")
    return lambda *words: click.testing.CliRunner().invoke(command, [str(word) for word in words])


def test_the_command_without_arguments(run: Run, tmp_path: Path) -> None:
    result = run("--json", "--out", tmp_path / "rows")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["pictures"] == 60
    assert sorted(report["figures"]) == ["matlab", "plain"]
    for figures in report["figures"].values():
        assert figures["accuracy"] >= 59 / 60 and figures["pointing"] == 1.0
        assert sorted(figures["clsloc"]) == ["dt-box", "dt-box Combine", "dt-box bbox2", "paper"]
    assert read_predictions(tmp_path / "rows" / "plain-paper.txt")[5:13:7, 0].tolist() == [3, 6]  # star, heart
    again = run("--predictions", tmp_path / "rows" / "plain-paper.txt", "--truth", embedded() / "boxes.csv", "--json")
    (scored,) = json.loads(again.stdout)["figures"].values()
    assert scored["clsloc"]["clsloc"] == report["figures"]["plain"]["clsloc"]["paper"]


def embedded() -> Path:
    return find("shapes-cam").path("prototxt").parent


def test_the_command_scores_predictions(run: Run, shared: Path, tmp_path: Path) -> None:
    expected = json.loads((shared / "cam" / "expected" / "ilsvrc_evaluation.json").read_text())
    (tmp_path / "p.json").write_text(json.dumps(expected["pred"]))
    (tmp_path / "b.txt").write_text("\n".join(map(str, expected["blacklist_1based"])))
    truth = shared / "cam" / "evaluation" / "cache_groundtruth.mat"
    words = ["--predictions", tmp_path / "p.json", "--truth", truth, "--limit", 400, "--blacklist", tmp_path / "b.txt"]
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    (figures,) = json.loads(result.stdout)["figures"].values()
    wanted = expected["results_octave"]["eval_clsloc400_blacklist"]
    assert figures["cls"] == wanted["cls_error_top1to5"]
    assert figures["clsloc"] == {"clsloc": wanted["clsloc_error_top1to5"]}


def test_the_command_prints_a_table_and_notes(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,class,x0,y0,x1,y1\na.jpg,cup,0,0,9,9\nb.jpg,mug,0,0,9,9\nc.jpg,cup,0,0,9,9\n")
    (tmp_path / "p.txt").write_text("0 0 0 9 9\n0 0 0 9 9 1 0 0 9 9\n0 50 50 59 59\n")
    (tmp_path / "b.txt").write_text("3\n")
    (tmp_path / "l.txt").write_text("cup\nmug\n")
    words = [word for name in ("truth t.csv", "labels l.txt", "blacklist b.txt") for word in name.split()]
    files = [f"--{word}" if place % 2 == 0 else tmp_path / word for place, word in enumerate(words)]
    result = run("--predictions", tmp_path / "p.txt", *files)
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()[3:]]
    assert lines[0][1:4] == ["66.67%", "cls", "33.33%"]
    assert lines[1] == ["clsloc", "50.00%", *["0.00%"] * 4]
    assert result.stderr == "note: blacklisted, not counted for localisation: 1 picture\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--predictions", "p.txt"], "give the --truth"),
        (["--predictions", "p.txt", "--truth", "t.csv", "--pipeline", "plain"], "--pipeline does not go with"),
        (["--predictions", "p.txt", "--truth", "t.csv", "--workers", "2"], "--workers does not go with"),
        (["net.onnx", "--predictions", "p.txt", "--truth", "t.csv"], "give --predictions, or a MODEL"),
        (["--truth", "t.csv"], "give PICTURES and their --truth"),
        (["--rule", "paper", "--thresholds", "20", "100", "110"], "--thresholds is an option of --rule dt-box"),
        (["--synsets", "s.txt"], "--synsets goes with --ids"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], told: str, run: Run) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert told in result.stderr


def test_ilsvrc_numbers_and_wordnet_ids_lead_to_the_same_figures(cam_file: CamFile, pictures: Path) -> None:
    """Seven classes, whose ILSVRC numbers run against the order of their WordNet ids."""
    folder = pictures.parent
    (folder / "ids.txt").write_text("".join(f"n0000000{8 - number}\n" for number in range(1, 8)))  # 1 is n00000007
    annotations, plain = folder / "xml", (folder / "truth.csv").read_text()
    annotations.mkdir()
    for number in range(4):  # class `number` of the network is n0000000(number + 1)
        box = "<bndbox><xmin>0</xmin><ymin>0</ymin><xmax>159</xmax><ymax>119</ymax></bndbox>"
        text = f"<annotation><object><name>n0000000{number + 1}</name>{box}</object></annotation>"
        (annotations / f"{number}.xml").write_text(text)
    numbers = plain.splitlines()[:1] + [f"{n}.png,{7 - n},0,0,159,119" for n in range(4)]
    (folder / "numbers.csv").write_text("\n".join(numbers))
    options: dict[str, Any] = {"pipelines": ["plain"], "rules": ["paper"]}
    own = evaluate(cam_file(), [pictures], folder / "truth.csv", **options).figures
    classes = ilsvrc_classes(folder / "ids.txt", count=7)
    for truth in (annotations, folder / "numbers.csv"):
        rows = folder / "rows"
        report = evaluate(cam_file(), [pictures], truth, classes=classes, predictions=rows, **options)
        assert report.figures == own
        best = camcompat.load(cam_file())(pictures / "0.png").classes[0]
        assert read_predictions(rows / "plain-paper.txt")[0, 0] == 7 - best


def test_dense_crops(tmp_path: Path) -> None:
    """The figures of a dense file are those of its own results; what it cannot do is said before any picture."""
    net = find("shapes-cam")
    convert_model(net, tmp_path, formats=("onnx",), dense=True)
    dense, truth = tmp_path / "shapes-cam-dense.onnx", net.folder / "boxes.csv"
    report = evaluate(dense, [net.folder / "pictures"], truth, pipelines=["plain"], rules=["paper"], crops="dense")
    pictures = sorted((net.folder / "pictures").glob("*.jpg"))
    best = [result.labels[0] for result in camcompat.load(dense).stream(pictures, crops="dense")]
    right = sum(label == path.stem.split("-", 1)[1] for label, path in zip(best, pictures))
    assert report.figures["plain"].accuracy == right / len(pictures) > 0.9
    with pytest.raises(CamcompatError, match="a dense file does pipeline plain with crops 'dense'"):
        evaluate(dense, [net.folder / "pictures"], truth, pipelines=["matlab"])
    words = [str(dense), str(net.folder / "pictures"), "--truth", str(truth), "--crops", "dense", "--limit", "3"]
    done = click.testing.CliRunner().invoke(command, words)
    assert done.exit_code == 0 and "matlab" not in done.stdout, done.output
