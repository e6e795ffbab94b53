"""The command line: what it prints and writes."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Run, refused

import converters
import prototxt
import weights
from camcompat.conversion.converter import convert_model
from camcompat.conversion.proof import Proof
from converters import CamcompatWarning
from weights.models import find, tagged


def test_convert_writes_and_proves(run: Run, files: tuple[Path, Path]) -> None:
    result = run("convert", *files, "--out", "out")
    assert result.exit_code == 0, result.output
    assert sorted(os.listdir("out")) == ["net.onnx", "net.py", "net.safetensors"]
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert "onnxruntime = numpy within" in lines[0]
    assert "torch = numpy within" in lines[1]


def test_convert_takes_the_two_files_in_either_order(run: Run, files: tuple[Path, Path]) -> None:
    assert run("convert", *reversed(files), "--format", "onnx").exit_code == 0
    assert "net.onnx" in os.listdir()


def test_convert_of_a_catalogue_name_goes_to_its_folder(run: Run) -> None:
    assert run("convert", "shapes-cam", "--format", "onnx").exit_code == 0
    assert os.listdir("models/shapes-cam") == ["shapes-cam.onnx"]


def test_a_catalogued_caffemodel_without_its_prototxt_converts(tmp_path: Path) -> None:
    """The authors' repository lost one of the five prototxts: the net inside the weights serves."""
    model = dataclasses.replace(find("shapes-cam"), embedded=None, root=tmp_path)
    model.folder.mkdir()
    shutil.copy(find("shapes-cam").path("caffemodel"), model.folder)
    with pytest.warns(CamcompatWarning, match="training definition"):
        (made,) = convert_model(model, formats=["onnx"])
    assert made.path == tmp_path / "shapes-cam" / "shapes-cam.onnx"


def test_convert_options(run: Run, files: tuple[Path, Path]) -> None:
    import onnxruntime

    options = ("--output", "conv1", "--input-shape", "data=1,3,64,80", "--name", "small", "--format", "onnx")
    result = run("convert", *files, *options)
    assert result.exit_code == 0, result.output
    session = onnxruntime.InferenceSession("small.onnx", providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == ["N", 3, 64, 80]
    assert [x.name for x in session.get_outputs()] == ["conv1"]


def test_convert_of_a_caffemodel_alone(run: Run, files: tuple[Path, Path]) -> None:
    """Its embedded net: the training definition, read as the net to deploy, which is said."""
    result = run("convert", files[1], "--out", "alone.onnx")
    assert result.exit_code == 0, result.output
    assert "training definition" in result.stderr
    assert sorted(os.listdir()) == ["alone.onnx", "deploy.prototxt", "net.caffemodel"]
    refused(run("convert", files[0]), "deploy.prototxt", "give the caffemodel")


def test_inspect(run: Run, files: tuple[Path, Path]) -> None:
    text = run("inspect", *files).stdout
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["conv2"] == ["conv2", "Convolution", "Nx64x24x24", "9,280", "5,308,416"]
    assert rows["total"] == ["total", "99,184", "23,077,824"]
    assert "CAM" in text
    data = json.loads(run("inspect", files[0], "--json").stdout)
    assert data["parameters"] == 99184
    assert data["batch"] == "N"


def test_inspect_shows_what_is_not_supported_and_goes_on(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 4 }\n'
        'layer { name: "x" type: "Convolutoin" bottom: "data" top: "x" }\n'
        'layer { name: "y" type: "ReLU" bottom: "x" top: "y" }\n'
        'layer { name: "z" type: "ReLU" bottom: "data" top: "z" }\n'
    )
    result = run("inspect", "a.prototxt")
    assert result.exit_code == 0
    assert 'a.prototxt:2: layer "x" (Convolutoin)' in result.stdout
    assert 'did you mean "Convolution"' in result.stdout
    assert "Nx3x4x4" in result.stdout


def test_cam_writes_a_picture_per_image(run: Run) -> None:
    run("convert", "shapes-cam", "--format", "onnx")
    pictures = sorted((find("shapes-cam").folder / "pictures").glob("1*.jpg"))
    result = run("cam", "shapes-cam", *pictures, "--top", 2, "--out", "maps")
    assert result.exit_code == 0, result.output
    assert len(os.listdir("maps")) == len(pictures)
    assert "heart" in result.stdout


def test_cam_of_a_class_by_name(run: Run) -> None:
    run("convert", "shapes-cam", "--format", "onnx")
    picture = next((find("shapes-cam").folder / "pictures").glob("*.jpg"))
    result = run("cam", "shapes-cam", picture, "--class", "ring", "--out", "ring.png")
    assert result.exit_code == 0, result.output
    assert "ring" in result.stdout
    refused(run("cam", "shapes-cam", picture, "--class", "rink"), "rink")


def test_two_pictures_never_go_into_one_file(run: Run) -> None:
    run("convert", "shapes-cam", "--format", "onnx")
    one, two = sorted((find("shapes-cam").folder / "pictures").glob("*.jpg"))[:2]
    for folder, picture in (("a", one), ("b", two)):
        Path(folder).mkdir()
        shutil.copy(picture, Path(folder) / "x.jpg")
    before = sorted(os.listdir())
    refused(run("cam", "shapes-cam", "a/x.jpg", "b/x.jpg"), "x-cam.png", "a/x.jpg and b/x.jpg")
    refused(run("cam", "shapes-cam", one, two, "--out", "map.png"), "map.png", "name a folder")
    assert sorted(os.listdir()) == before


def test_no_folder_is_left_where_no_picture_was_mapped(run: Run) -> None:
    run("convert", "shapes-cam", "--format", "onnx")
    refused(run("cam", "shapes-cam", "nowhere.jpg", "--out", "maps/deep"), "nowhere.jpg", "no such file")
    assert not Path("maps").exists()
    picture = next((find("shapes-cam").folder / "pictures").glob("*.jpg"))
    assert run("cam", "shapes-cam", picture, "--out", "maps/deep").exit_code == 0
    assert len(os.listdir("maps/deep")) == 1


def test_a_file_is_no_folder_for_results(run: Run) -> None:
    run("convert", "shapes-cam", "--format", "onnx")
    folder = find("shapes-cam").folder
    sources = (folder / "deploy.prototxt", folder / "shapes-cam.caffemodel")
    Path("taken").write_text("mine")
    for words in (
        ("cam", "shapes-cam", folder / "pictures" / "06-arrow.jpg"),
        ("cam", "shapes-cam", folder / "pictures"),
        ("evaluate",),
        ("verify", *sources),
        ("convert", *sources),
    ):
        refused(run(*words, "--out", "taken"), "taken", "choose another folder")
    assert Path("taken").read_text() == "mine"


def test_list(run: Run) -> None:
    text = run("list").stdout
    entries = {entry["name"]: entry for entry in json.loads(run("list", "--json").stdout)}
    for name in (*tagged("cam-models"), "open_nsfw", "bvlc_googlenet"):
        assert name in text
        assert entries[name]["licence"]
        assert entries[name]["citation"]


def test_download_is_strict_and_names_the_place(run: Run, tmp_path: Path) -> None:
    result = run("download", "vgg16-cam-imagenet")
    assert result.exit_code == 1
    assert str(tmp_path / "models/vgg16-cam-imagenet") in result.stdout
    assert "vgg16CAM_train_iter_90000.caffemodel" in result.stdout
    assert "72,400,032" in result.stdout


def test_make_download_and_convert_report_and_go_on(run: Run) -> None:
    """What `make download convert` runs, without a network: everything is reported, the embedded net is converted."""
    downloaded = run("download", "--cam-models", "--keep-going")
    assert downloaded.exit_code == 0
    assert "1 of 6 models are here" in downloaded.stdout
    converted = run("convert", "--cam-models", "--keep-going", "--format", "onnx")
    assert converted.exit_code == 0, converted.output
    assert "shapes-cam.onnx" in converted.stdout
    assert converted.stderr.count("not downloaded") == 5
    assert "1 of 6 models are converted" in converted.stdout


def test_files_put_by_hand_are_checked_against_the_net(run: Run, tmp_path: Path, shared: Path) -> None:
    """The right prototxt with another net's weights of a plausible size is refused, with the layer."""
    folder = tmp_path / "models" / "alexnetplus-cam-places205"
    folder.mkdir(parents=True)
    shutil.copy(shared / "cam/models/deploy_alexnetplusCAM_places205.prototxt", folder)
    big = np.zeros((3000, 1600), np.float32)
    weights.write(folder / "alexnetplusCAM_places205.caffemodel", "x", {"conv1": [big]}, types={"conv1": "Convolution"})
    result = run("download", "alexnetplus-cam-places205")
    assert result.exit_code == 1
    assert "does not pass the check" in result.stdout
    assert "conv1" in result.stdout


# Bad input: one line, a remedy, exit status 1, nothing left behind.


def test_fields_that_are_not_used_are_said(run: Run, files: tuple[Path, Path]) -> None:
    text = files[0].read_text().replace("local_size: 5", "local_size: 5 local_siez: 7")
    files[0].write_text(text)
    result = run("convert", *files, "--format", "onnx")
    assert result.exit_code == 0
    (note,) = [line for line in result.stderr.splitlines() if "local_siez" in line]
    assert note.startswith("note: deploy.prototxt:9")
    assert "did you mean local_size?" in note


def test_debug_shows_the_traceback(run: Run) -> None:
    result = run("--debug", "convert", "missing.prototxt", "missing.caffemodel")
    assert isinstance(result.exception, prototxt.CamcompatError)


def test_the_proof_is_not_taken_from_a_saturated_softmax(run: Run, tmp_path: Path) -> None:
    """Weights so large that a picture's noise gives plain 0 and 1: a smaller input is taken."""
    text = 'input: "x" input_shape { dim: 1 dim: 4 } layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" '
    text += (
        'inner_product_param { num_output: 3 bias_term: false } } layer { type: "Softmax" bottom: "ip" top: "prob" }'
    )
    Path("a.prototxt").write_text(text)
    steep = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32) * 4
    weights.write("a.caffemodel", "a", {"ip": [steep]}, types={"ip": "InnerProduct"})
    reference = Proof(converters.lower(prototxt.load("a.prototxt"), converters.FileBlobs(weights.read("a.caffemodel"))))
    assert 1e-6 < reference.expected["prob"].max() < 1 - 1e-6
    assert run("convert", "a.prototxt", "a.caffemodel", "--format", "onnx").exit_code == 0


def test_version(run: Run) -> None:
    assert run("--version").output.startswith("camcompat")


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
@pytest.mark.parametrize(
    "words", [["list"], ["inspect", "shapes-cam"], ["list", "--json"], ["verify", "shapes-cam", "--out", "r"]]
)
def test_a_reader_that_has_seen_enough(words: list[str], run: Run) -> None:
    """`camcompat ... | head -1`: no message, no traceback."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONPATH": str(Path(converters.__file__).parents[1])}
    command = [sys.executable, "-m", "camcompat", *words]
    with os.fdopen(write, "wb") as closed:
        done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE, env=environment, check=False)
    assert done.stderr == b"" and done.returncode == 1
