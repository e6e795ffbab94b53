"""`camcompat.load`: files, names of the catalogue, and what is refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

import prototxt
import weights
from camcompat import CamcompatError, load
from camcompat.cam.session import open_session
from camcompat.conversion.converter import convert_model
from weights.models import find

CamFile = Callable[..., Path]
HEADLESS = """
name: "headless"
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer {
  name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: 5 bias_term: false }
}
"""
ENTRY = """
[models.headless]
source = "https://example.org/headless"
licence = "own"
citation = "nobody"
cam = false
input = { crop = [8, 8], mean_values = [1, 2, 3] }
prototxt = { name = "net.prototxt", urls = ["https://example.org/net.prototxt"], min_size = 10 }
caffemodel = { name = "net.caffemodel", urls = ["https://example.org/net.caffemodel"], min_size = 10 }
"""


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


def test_a_catalogue_name_is_converted_on_demand_as_the_command_converts_it(home: Path) -> None:
    model = load("shapes-cam")
    assert model.source == str(home / "shapes-cam" / "shapes-cam.onnx") and model.labels is not None
    loaded = Path(model.source).read_bytes()
    assert model.metadata["provenance"]["verification"]["largest_difference"] < 1e-5
    (artefact,) = convert_model(find("shapes-cam"), home / "converted", formats=("onnx",))
    assert artefact.path.read_bytes() == loaded
    assert [file.name for file in (home / "shapes-cam").iterdir()] == ["shapes-cam.onnx"]


def test_a_catalogue_network_without_a_head_says_what_is_there_instead(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "headless").mkdir(parents=True)
    net = prototxt.loads(HEADLESS)
    blobs = {"fc": [np.ones((5, 192))]}
    weights.write(home / "headless" / "net.caffemodel", net.name, blobs, types={"fc": "InnerProduct"})
    (home / "headless" / "net.prototxt").write_text(HEADLESS)
    (tmp_path / "own.toml").write_text(ENTRY)
    monkeypatch.setenv("CAMCOMPAT_CATALOG", str(tmp_path / "own.toml"))
    with pytest.raises(CamcompatError, match="no class activation mapping head was found: output fc: fc weighs"):
        load("headless")
    assert not (home / "headless" / "headless.onnx").exists()


def test_catalogue_name_that_cannot_be_opened(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "googlenet-cam-imagenet"
    with pytest.raises(CamcompatError, match=f"{name}: is not downloaded; run `camcompat download {name}`"):
        load(name)
    with pytest.raises(CamcompatError, match="'shapes-can'; did you mean shapes-cam"):
        load("shapes-can")
    monkeypatch.setitem(sys.modules, "converters.lowering.build", None)  # importing it raises ImportError
    with pytest.raises(CamcompatError, match=r"the converters cannot run here.*run `camcompat convert shapes-cam`"):
        load("shapes-cam")


def test_a_session_is_opened_from_a_string_and_from_a_path(cam_file: CamFile) -> None:
    path = cam_file()
    names = [[node.name for node in open_session(form).get_outputs()] for form in (path, str(path))]
    assert names[0] == names[1] and "cams" in names[0]
