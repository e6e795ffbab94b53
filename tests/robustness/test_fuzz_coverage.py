"""Fuzzing guided by coverage sees the readers' branches: a target that is not instrumented looks as well fuzzed."""

from __future__ import annotations

import subprocess
from types import FunctionType

import pytest

from fuzz import coverage


class Recorder:
    """Takes the place of atheris."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def instrument_func(self, function: FunctionType) -> None:
        self.seen.add(f"{function.__module__}.{function.__qualname__}")


def test_every_reader_is_instrumented() -> None:
    recorder = Recorder()
    coverage._instrument(recorder)
    assert {
        "camcompat.pictures.images.read_image",
        "prototxt.foreign.kind_of",
        "prototxt.net.dumps",
        "prototxt.text_format.fields.read_value",
        "prototxt.text_format.files.check_text",
        "prototxt.text_format.parser.parse",
        "prototxt.text_format.tokens.Tokens.reach",
        "prototxt.training.deployment.deploy",
        "prototxt.wiring.included",
        "prototxt.wiring.wire",
        "weights.files.blob.read_blob",
        "weights.files.caffemodel.Weights.net",
        "weights.files.reader.read",
        "weights.files.wire.fields",
    } <= recorder.seen


def test_fuzzing_blindly_is_a_failure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = "WARNING: no interesting inputs were found so far. Is the code instrumented for coverage?\nstat::runs: 5"

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0, "", told)

    monkeypatch.setattr(subprocess, "run", run)
    assert coverage.fuzz_all(("picture",), 1) == 1
    assert "Is the code instrumented" in capsys.readouterr().out
