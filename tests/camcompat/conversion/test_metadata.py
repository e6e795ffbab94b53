"""A network of one's own: names and preprocessing given to `convert` are in the file, and fit it or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import camcompat
from camcompat.cli import main
from weights.models import find

MODEL = find("shapes-cam")
PICTURES = sorted((MODEL.folder / "pictures").glob("0*.jpg"))[:3]


def convert(folder: Path, *words: object) -> Result:
    files = [MODEL.path("prototxt"), MODEL.path("caffemodel")]
    return CliRunner().invoke(main, list(map(str, ["convert", *files, "--to", "onnx", "--out", folder, *words])))


def test_the_file_is_then_complete(tmp_path: Path) -> None:
    words = ("--labels", MODEL.path("labels"), "--mean", "104,117,123", "--resize", "112x112")
    assert convert(tmp_path, *words).exit_code == 0
    assert (
        CliRunner().invoke(main, ["convert", "shapes-cam", "--to", "onnx", "--out", str(tmp_path / "c")]).exit_code == 0
    )
    own, known = (camcompat.load(path)(PICTURES, top=3) for path in tmp_path.rglob("*.onnx"))
    for ours, theirs in zip(own, known, strict=True):
        assert ours.labels == theirs.labels
        assert np.array_equal(ours.scores, theirs.scores) and np.array_equal(ours.cams, theirs.cams)


def test_a_mean_image(tmp_path: Path) -> None:
    image = np.random.default_rng(0).uniform(90, 130, (3, 112, 112)).astype(np.float32)
    np.save(tmp_path / "mean.npy", image)
    assert convert(tmp_path, "--mean", tmp_path / "mean.npy", "--resize", "112x112", "--scale", "0.5").exit_code == 0
    model = camcompat.load(tmp_path / "shapes-cam.onnx")
    assert np.array_equal(model.preprocess.mean, image) and model.preprocess.scale == 0.5


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--mean", "104,117"), "mean of shape (2,)"),
        (("--mean", "nowhere.npy"), "mean is 'nowhere.npy'"),
        (("--resize", "50"), "resize 50 is smaller than crop [96, 96]"),
        (("--resize", "2.5"), "resize is '2.5'"),
        (("--channels", "GRAY"), "channels 1 differs from the network's input"),
        (("--labels", MODEL.path("prototxt")), "labels for a network of 10 classes"),
        (("--labels", "nowhere.txt"), "nowhere.txt"),
    ],
)
def test_what_does_not_fit_is_refused(words: tuple[object, ...], told: str, tmp_path: Path) -> None:
    result = convert(tmp_path / "out", *words)
    assert result.exit_code == 1 and told in result.stderr
    assert not list(tmp_path.glob("out/*"))
