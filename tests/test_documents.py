"""The documents are true: every block of the README runs, every command is documented."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click import Context
from PIL import Image

from camcompat.cli import main
from weights.models import find

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: the files that the README speaks of."""
    path = tmp_path_factory.mktemp("user")
    model = find("shapes-cam")
    shutil.copy(model.path("prototxt"), path / "deploy.prototxt")
    shutil.copy(model.path("caffemodel"), path / "net.caffemodel")
    pictures = sorted((model.folder / "pictures").glob("*.jpg"))
    shutil.copy(pictures[0], path / "picture.jpg")
    (path / "pictures").mkdir()
    for picture in pictures[1:3]:
        shutil.copy(picture, path / "pictures")
    Image.radial_gradient("L").save(path / "heatmap.png")
    _run(
        [
            sys.executable,
            "-c",
            "from converters import to_onnx; to_onnx('deploy.prototxt', 'net.caffemodel', 'net.onnx')",
        ],
        path,
    )
    return path


def _run(command: list[str], cwd: Path, **variables: str) -> str:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    env = {
        **os.environ,
        "PYTHONPATH": paths,
        "CAMCOMPAT_HOME": str(cwd / "models"),
        "CAMCOMPAT_OFFLINE": "1",
        **variables,
    }
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_blocks_run(number: int, folder: Path) -> None:
    _run([sys.executable, "-c", blocks("python")[number]], folder)


def test_commands_run(folder: Path) -> None:
    """Lines starting with `camcompat` run as they stand, in order."""
    lines = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("camcompat ")]
    assert len(lines) >= 4
    for line in lines:
        _run([sys.executable, "-m", *line.split("#")[0].split()], folder)
    assert (folder / "picture-cam.png").stat().st_size > 10_000
    assert {path.suffix for path in (folder / "converted").iterdir()} == {".onnx", ".py", ".safetensors"}


def test_make_targets_exist() -> None:
    """Each `make` command in the documents names a target, and each target has its line of help."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    documented = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    assert {"help", "setup", "demo", "download", "convert", "test", "lint", "bench", "clean"} <= documented
    for text in (README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")):
        for line in re.findall(r"^make ([a-z ]+?)\s*(?:#|$)", text, re.MULTILINE):
            assert set(line.split()) <= documented, line


def test_ci_runs_the_readmes_test_command() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make test" in README
    assert re.search(r"^make test$", script, re.MULTILINE)
    assert re.search(r"^make lint$", script, re.MULTILINE)


@pytest.mark.parametrize("command", main.list_commands(Context(main)))
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"camcompat {command}\b", README) or f"`{command}`" in README or f"make {command}" in README
    found = main.get_command(Context(main), command)
    assert found is not None and found.help


def test_the_plugin_of_the_guide_works(folder: Path) -> None:
    guide = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = next(block for block in blocks("python", guide) if "my_layers.py" in block)
    (folder / "my_layers.py").write_text(source)
    (folder / "twice.prototxt").write_text(
        'input: "data" input_shape { dim: 1 dim: 4 }\n'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3 } }\n'
        'layer { name: "t" type: "Twice" bottom: "ip" top: "twice" }\n'
    )
    code = (
        "import numpy as np, weights;"
        "weights.write('twice.caffemodel', 'n', {'ip': [np.eye(3, 4), np.zeros(3)]}, types={'ip': 'InnerProduct'})"
    )
    _run([sys.executable, "-c", code], folder)
    command = "camcompat convert --plugin my_layers.py twice.prototxt twice.caffemodel --out twice"
    assert "twice.onnx" in _run([sys.executable, "-m", *command.split()], folder)
