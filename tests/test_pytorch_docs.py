"""Each example of docs/pytorch.md runs, in order, in a folder with a net."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from weights.models import find

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "pytorch.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("user")
    model = find("shapes-cam")
    shutil.copy(model.path("prototxt"), path / "deploy.prototxt")
    shutil.copy(model.path("caffemodel"), path / "net.caffemodel")
    return path


def _run(command: list[str], cwd: Path) -> str:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_examples_run(folder: Path) -> None:
    assert len(EXAMPLES) >= 7
    for example in EXAMPLES:
        told = _run([sys.executable, "-c", example], folder)
        if "loss.backward()" in example:
            losses = [float(line.split()[1]) for line in told.splitlines()]
            assert losses[-1] < losses[0]
    assert (folder / "patched.caffemodel").stat().st_size == (folder / "net.caffemodel").stat().st_size


def test_the_command_runs(folder: Path) -> None:
    (line,) = re.findall(r"`(camcompat convert [^`]*)`", PAGE)
    _run([sys.executable, "-m", *line.split()], folder)
    assert (folder / "net.py").exists()
    assert (folder / "net.safetensors").exists()
