"""Running a CAM needs neither torch nor onnx nor protobuf, and importing the package loads next to nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[3]

FORBID = """
import sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx", "converters") or name.startswith("google.protobuf"):
            raise ImportError(f"{name} is forbidden here")
sys.meta_path.insert(0, Forbid())
"""


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_importing_camcompat_is_light() -> None:
    done = python(
        "import camcompat, sys\n"
        "heavy = {'torch', 'onnx', 'google.protobuf', 'onnxruntime', 'PIL', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert done.returncode == 0, done.stderr


def test_a_cam_runs_without_torch_onnx_and_protobuf(
    cam_file: Callable[..., Path], noise: np.ndarray, tmp_path: Path
) -> None:
    Image.fromarray(noise).save(tmp_path / "noise.png")
    code = (
        FORBID + "import camcompat\n"
        "model = camcompat.load(sys.argv[1])\n"
        "result = model(sys.argv[2], top=3)\n"
        "result.save(sys.argv[3])\n"
        "print(len(result), result.maps.shape)\n"
        "assert not {'torch', 'onnx', 'google.protobuf', 'converters'} & set(sys.modules)\n"
    )
    done = python(code, cam_file(), tmp_path / "noise.png", tmp_path / "cam.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "3 (3, 150, 200)" and not done.stderr
    with Image.open(tmp_path / "cam.png") as picture:
        assert picture.width > 4 * 320


def test_forbidding_works() -> None:
    assert "torch is forbidden here" in python(FORBID + "import torch").stderr
