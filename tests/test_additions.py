"""What CONTRIBUTING.md promises of additions: a rule, a pipeline or a command is one file, found by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camcompat.boxes.rule import RULES, BoxRule
from camcompat.registry import Registry

ROOT = Path(__file__).resolve().parent.parent

RULE = """
from camcompat.boxes.rule import RULES, Box, BoxRule, Option


def middle(heatmap, share):
    height, width = heatmap.shape
    return [Box(0, 0, int(width * share), int(height * share))]


RULES.add(BoxRule("corner", "a share of both sides", middle, (Option("share", float, 0.5, "Of each side."),)))
"""

PIPELINE = """
from dataclasses import dataclass
from typing import ClassVar

from camcompat.cam.pipelines.base import PIPELINES
from camcompat.cam.pipelines.plain import Plain


@dataclass(frozen=True, eq=False)
class Dark(Plain):
    name: ClassVar[str] = "dark"
    title: ClassVar[str] = "the other way round"

    def normalised(self, heat):
        return 1 - super().normalised(heat)


PIPELINES.add(Dark)
"""

COMMAND = """
import click

ORDER = 99


@click.command("hello")
def command():
    \"\"\"Say hello.\"\"\"
    click.echo("hello")
"""


def _camcompat(addition: str, room: str, folder: Path, *arguments: str, name: str = "addition") -> str:
    """Run the command line with one more file in a room of the package; what it prints."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(addition)
    code = f"import {room} as room; room.__path__.append({str(folder)!r})\n"
    code += f"import sys; sys.argv[1:] = {list(arguments)!r}\nfrom camcompat.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_box_rule_is_one_file(tmp_path: Path) -> None:
    grey = tmp_path / "map.png"
    Image.fromarray(np.full((40, 60), 200, np.uint8)).save(grey)
    room = "camcompat.boxes.rules"
    assert _camcompat(RULE, room, tmp_path / "a", "boxes", "--rule", "corner", str(grey)) == "0 0 30 20 \n"
    given = ("boxes", "--rule", "corner", "--share", "0.1", str(grey))
    assert _camcompat(RULE, room, tmp_path / "b", *given) == "0 0 6 4 \n"
    text = " ".join(_camcompat(RULE, room, tmp_path / "c", "cam", "--help").split())
    assert "--boxes [dt-box|corner|paper]" in text and "or a share of both sides" in text
    table = _camcompat(
        RULE, room, tmp_path / "d", "evaluate", "--rule", "corner", "--limit", "2", "--pipeline", "plain"
    )
    assert "corner" in table


def test_a_pipeline_is_one_file(tmp_path: Path) -> None:
    picture = str(ROOT / "weights" / "embedded" / "shapes-cam" / "pictures" / "12-heart.jpg")
    arguments = ("cam", "shapes-cam", picture, "--top", "1", "--pipeline", "dark", "--no-pictures")
    assert "heart" in _camcompat(PIPELINE, "camcompat.cam.pipelines", tmp_path / "a", *arguments)
    text = " ".join(_camcompat(PIPELINE, "camcompat.cam.pipelines", tmp_path / "b", "evaluate", "--help").split())
    assert "--pipeline [plain|dark|matlab] [all]" in text


def test_a_command_is_one_file(tmp_path: Path) -> None:
    assert _camcompat(COMMAND, "camcompat.commands", tmp_path / "a", "hello", name="hello") == "hello\n"
    assert "hello" in _camcompat(COMMAND, "camcompat.commands", tmp_path / "b", "--help", name="hello")


def test_two_entries_of_one_name_are_an_error() -> None:
    registry: Registry[BoxRule] = Registry("camcompat.boxes.rules", order=lambda rule: rule.name)
    registry.add(BoxRule("own", "of a test", find=lambda heatmap: []))
    with pytest.raises(ValueError, match=r"camcompat\.boxes\.rules: two entries are called 'own'"):
        registry.add(BoxRule("own", "of a test", find=lambda heatmap: []))
    assert RULES.names() == ("dt-box", "paper")
