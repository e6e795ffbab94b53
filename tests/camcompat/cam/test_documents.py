"""docs/cam.md is true: its code runs, its commands run, its pictures exist and are what the code draws today."""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
from importlib.util import find_spec
from pathlib import Path

import click.testing
import numpy as np
import pytest
from PIL import Image

import converters
from camcompat.cli import main
from camcompat.conversion.metadata import description
from docs.pictures import FOLDER, draw
from weights.models import find

PAGE = (FOLDER.parent / "cam.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    model = find("shapes-cam")
    files = model.path("prototxt"), model.path("caffemodel"), tmp_path / "net.onnx"
    converters.to_onnx(*files, cam=True, metadata=description(model))
    pictures = sorted((model.folder / "pictures").glob("*.jpg"))[:3]
    shutil.copy(pictures[0], tmp_path / "picture.jpg")
    (tmp_path / "photos").mkdir()
    for picture in pictures:
        shutil.copy(picture, tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_runs(folder: Path) -> None:
    assert len(blocks("python")) == 2
    for code in blocks("python"):
        (folder / "block.py").write_text(code, encoding="utf-8")
        runpy.run_path(str(folder / "block.py"))
    assert {"picture-cam.png", "first.png", "result.jpg"} <= {path.name for path in folder.iterdir()}


def test_commands_run(folder: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) == 8
    for line in lines:
        if "--engine ray" in line and find_spec("ray") is None:
            continue  # an extra; where it is missing, test_jobs says so
        done = click.testing.CliRunner().invoke(main, shlex.split(line, comments=True)[1:])
        assert done.exit_code == 0, done.output


def test_pictures_are_current(tmp_path: Path) -> None:
    shown = set(re.findall(r"\(images/([a-z-]+\.png)\)", PAGE))
    drawn = draw(tmp_path)
    assert shown == {path.name for path in drawn} == {path.name for path in FOLDER.glob("*.png")}
    for path in drawn:
        kept, now = (np.asarray(Image.open(at).convert("RGB")).astype(int) for at in (FOLDER / path.name, path))
        assert kept.shape == now.shape, "run `python -m docs.pictures`"
        assert np.abs(kept - now).mean() < 2, "run `python -m docs.pictures`"  # fonts and palettes may differ a little


def test_links_lead_somewhere() -> None:
    titles = {re.sub(r"[^a-z ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^#+ (.*)", PAGE, re.M)}
    assert set(re.findall(r"\(#([a-z-]+)\)", PAGE)) <= titles
