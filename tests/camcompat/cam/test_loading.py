"""`camcompat.load`: files, names of the catalogue, and what is refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import helper

from camcompat import CamcompatError, load

CamFile = Callable[..., Path]
LABELS = ["circle", "square", "star", "ring", "cross", "heart", "arrow"]


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x08\x08garbage" * 50])
def test_files_that_are_no_onnx(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(CamcompatError, match=r"net.onnx: onnxruntime .* cannot open it") as caught:
        load(tmp_path / "net.onnx")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no JSON"),
        ("[]", "no JSON object"),
        ('{"format": 2}', "format 2, expected 1"),
        ('{"labels": "a"}', "'labels' is 'a'"),
    ],
)
def test_metadata_that_cannot_be_read(cam_file: CamFile, text: str, message: str) -> None:
    path = cam_file()
    model = onnx.load(path)
    helper.set_model_props(model, {"camcompat": text})
    onnx.save(model, path)
    with pytest.raises(CamcompatError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("net.caffemodel", "is no ONNX file; convert it first"),
        ("deploy.prototxt", "is no ONNX file"),
        ("missing.onnx", "no such file"),
        ("some/where", "no such file"),
        (Path("shapes-cam"), "no such file"),
    ],
)
def test_load_refuses(name: str | Path, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CamcompatError, match=message):
        load(name)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of downloaded models; shapes-cam comes with the package, googlenet-cam-imagenet does not."""
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("CAMCOMPAT_CATALOG", raising=False)
    return tmp_path / "home"


def test_catalogue_name_of_a_converted_network(home: Path, cam_file: CamFile) -> None:
    (home / "shapes-cam").mkdir(parents=True)
    cam_file().rename(home / "shapes-cam" / "shapes-cam.onnx")
    assert load("shapes-cam").source == load("shapes").source == str(home / "shapes-cam" / "shapes-cam.onnx")


def test_catalogue_name_is_converted_on_demand(home: Path, cam_file: CamFile, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, Any]] = []

    def to_onnx(prototxt: Path, caffemodel: Path, path: Path, *, cam: bool, metadata: dict[str, Any]) -> None:
        asked.append((prototxt.name, caffemodel.name, metadata["preprocess"]))
        cam_file(metadata={"labels": LABELS}).rename(path)

    monkeypatch.setitem(sys.modules, "converters", types.SimpleNamespace(to_onnx=to_onnx))
    assert load("shapes-cam").interface.count == 7 and load("shapes-cam").labels == tuple(LABELS)
    recipe = {"resize": [112, 112], "crop": [96, 96], "mean": [104, 117, 123], "scale": 1, "channels": "BGR"}
    assert asked == [("deploy.prototxt", "shapes-cam.caffemodel", recipe)]


def test_catalogue_name_that_cannot_be_opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "googlenet-cam-imagenet"
    with pytest.raises(CamcompatError, match=f"{name}: is not downloaded; run `camcompat download {name}`"):
        load(name)
    with pytest.raises(CamcompatError, match="'shapes-can'; did you mean shapes-cam"):
        load("shapes-can")
    monkeypatch.setitem(sys.modules, "converters", None)  # importing it raises ImportError
    with pytest.raises(CamcompatError, match=r"the converters cannot run here.*run `camcompat convert shapes-cam`"):
        load("shapes-cam")
