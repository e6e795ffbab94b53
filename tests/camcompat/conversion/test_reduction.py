"""`camcompat convert --dtype` and `--dense`: what is written, what is noted in it, what is refused; and running it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import camcompat
from camcompat.cli import main
from camcompat.conversion.reduction import agreement
from prototxt import CamcompatError
from weights.models import find

PICTURES = find("shapes-cam").path("prototxt").parent / "pictures"
HEART = PICTURES / "12-heart.jpg"


def convert(*words: str) -> Result:
    return CliRunner().invoke(main, ["convert", "shapes-cam", "--format", "onnx", *words], catch_exceptions=False)


@pytest.mark.parametrize(("dtype", "least"), [("fp16", 0.9999), ("int8", 0.9)])
def test_smaller_numbers_say_how_they_agree(dtype: str, least: float, tmp_path: Path) -> None:
    done = convert("--dtype", dtype, "--calibrate", str(PICTURES), "--out", str(tmp_path))
    assert done.exit_code == 0 and f"{dtype} against float32, 60 pictures: top1 1" in done.output
    assert [path.name for path in tmp_path.iterdir()] == [f"shapes-cam-{dtype}.onnx"]
    model = camcompat.load(tmp_path / f"shapes-cam-{dtype}.onnx")
    found = model.metadata["agreement"]
    assert model.metadata["dtype"] == dtype and found["compared_on"] == "pictures"
    assert found["maps"] >= found["worst_map"] > least
    assert model(HEART).labels[0] == "heart"


def test_an_int8_file_records_that_it_is_not_in_winograds_form(tmp_path: Path) -> None:
    """The quantiser takes plain convolutions, whatever was asked for."""
    words = ["--dtype", "int8", "--calibrate", str(PICTURES), "--winograd"]
    assert convert(*words, "--out", str(tmp_path)).exit_code == 0
    metadata = camcompat.load(tmp_path / "shapes-cam-int8.onnx").metadata
    assert metadata["provenance"]["options"] == {"winograd": False} and "winograd" not in metadata


def test_a_dense_file_runs_dense_only(tmp_path: Path) -> None:
    done = convert("--dense", "--out", str(tmp_path))
    assert done.exit_code == 0 and "two passes against ten crops, 20 pictures: top1 1" in done.output
    plain, dense = (camcompat.load(tmp_path / f"shapes-cam{kind}.onnx") for kind in ("", "-dense"))
    result, ten = dense(HEART, crops="dense"), plain(HEART, crops=10)
    assert result.labels[0] == ten.labels[0] == "heart"
    assert result.stack.shape == ten.stack.shape == (5, 10, 12, 12)
    assert np.corrcoef(result.heatmap().ravel(), ten.heatmap().ravel())[0, 1] > 0.9
    chosen = dense(HEART, classes=["star", "heart"])
    assert chosen.labels == ("star", "heart") and np.allclose(chosen.stack[1], result.stack[0])
    three = [PICTURES / name for name in ("05-star.jpg", "06-arrow.jpg", "12-heart.jpg")]
    assert [r.labels[0] for r in dense.stream(three)] == ["star", "arrow", "heart"]
    with pytest.raises(CamcompatError, match="use the file beside it"):
        dense(HEART, crops=10)
    with pytest.raises(CamcompatError, match="camcompat convert --dense"):
        plain(HEART, crops="dense")
    assert json.loads(json.dumps(dense.metadata))["agreement"]["with"] == "ten crops"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dtype", "int8"], "int8 needs pictures to calibrate on"),
        (["--dtype", "fp16", "--dense"], "a dense file is float32"),
        (["--dtype", "int8", "--calibrate", "no-such-folder"], "no such folder"),
    ],
)
def test_what_is_refused_leaves_nothing(words: list[str], message: str, tmp_path: Path) -> None:
    done = convert(*words, "--out", str(tmp_path))
    assert done.exit_code == 1 and message in done.output
    assert not list(tmp_path.iterdir())


def test_agreement_is_measured_class_by_class() -> None:
    maps = np.random.RandomState(0).standard_normal((6, 4, 4))
    a = {"prob": np.array([0.3, 0.25, 0.2, 0.15, 0.07, 0.03]), "cams": maps}
    b = {"prob": np.array([0.25, 0.3, 0.2, 0.15, 0.03, 0.07]), "cams": np.concatenate([-maps[:1], maps[1:]])}
    found = agreement([a], [b])
    assert (found["top1"], found["top5"]) == (0.0, 0.8)
    assert found["scores"] == pytest.approx(0.05)
    assert found["worst_map"] == pytest.approx(-1)
    assert found["maps"] == pytest.approx(0.6)
