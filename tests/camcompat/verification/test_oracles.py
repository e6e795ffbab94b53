"""An oracle is one registered object: its file is found by itself, and every report has it under its one name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from camcompat.cli import main
from camcompat.verification import OracleResult, Report, verify
from camcompat.verification.compare import BlobError
from camcompat.verification.oracles import registry
from camcompat.verification.oracles.registry import Inquiry, NotAtHand, Oracle, oracle, oracles
from weights.models import find

MODEL = find("shapes-cam")
FILES = (str(MODEL.path("prototxt")), str(MODEL.path("caffemodel")))
NAMES = [
    "Caffe's stored outputs",
    "the release's cached activations",
    "pycaffe",
    "OpenCV 4",
    "each layer alone, in float64",
    "the whole net, in float64",
    "torch",
    "the caffemodel's blobs, bit for bit",
]


@pytest.fixture(autouse=True)
def own_oracles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a test registers is gone after it; and no folder of references is at hand."""
    monkeypatch.setattr(registry.ORACLES, "_entries", {entry.name: entry for entry in oracles()})
    monkeypatch.setenv("CAMCOMPAT_SHARED", str(tmp_path / "nothing"))


def test_each_file_is_found_and_has_its_place() -> None:
    assert [entry.name for entry in oracles()] == NAMES
    assert len({entry.place for entry in oracles()}) == len(NAMES)
    assert [entry.name for entry in oracles() if entry.authority] == ["Caffe's stored outputs", "pycaffe"]


def test_one_that_is_registered_now_stands_in_every_report(tmp_path: Path) -> None:
    name = "an abacus [1]"  # rich would read the brackets as markup

    @oracle(name, place=55)
    def abacus(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
        ours = inquiry.case.ours
        result = inquiry.judged(self.reference("bronze", {"prob": ours["prob"], "pool2": ours["pool2"] * 1.5}))
        yield result

    words = ["verify", *FILES, "--out", str(tmp_path)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 1, done.output
    assert f"{name}  " in done.output
    entry = json.loads((tmp_path / "shapes-cam.json").read_text("utf-8"))
    assert [each["name"] for each in entry["oracles"]] == [*NAMES[:5], name, *NAMES[5:]]
    said = entry["oracles"][5]
    assert said["status"] == "differs" and said["version"] == "bronze" and len(said["blobs"]) == 2
    assert f"differs from {name} by" in said["finding"]["words"]
    page = (tmp_path / "shapes-cam.html").read_text("utf-8")
    assert page.count(f"<b>{name}</b>") == 1  # the table of oracles
    assert f"</i>{name}</span>" in page and f"found by: {name}" in page and f"<summary>{name}: 2 blobs" in page


def test_one_that_cannot_be_asked_says_why_and_is_named_before(tmp_path: Path) -> None:
    @oracle("an abacus", place=5)
    def abacus(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
        raise NotAtHand("its beads are lost")

    asked: list[str] = []
    report: Report = verify(*FILES, progress=asked.append)
    first = report.oracles[0]
    assert (first.name, first.status, first.reason) == ("an abacus", "not run", "its beads are lost")
    assert report.ok and asked[:2] == ["onnxruntime", "an abacus"] and set(NAMES) < set(asked)


def test_one_that_confirms_ours_is_believed_against_another(tmp_path: Path) -> None:
    """An oracle may say in words that Caffe agrees: then one that differs at a layer is explained by that."""

    @oracle("a witness", place=5)
    def witness(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
        inquiry.confirmed = "a witness agrees with ours"
        result = self.result()
        result.blobs.append(BlobError("prob", "prob", "Softmax", 0, (1,), 0.0, 0.0, 1.0, 1e-5))
        yield result

    @oracle("a liar", place=6)
    def liar(self: Oracle, inquiry: Inquiry) -> Iterator[OracleResult]:
        ours = dict(inquiry.case.ours)
        ours["pool2"] = ours["pool2"] * 1.5
        yield inquiry.judged(self.reference("", ours))

    report = verify(*FILES)
    said = report.oracles[1]
    assert report.ok and said.status == "explained" and said.reason == "a witness agrees with ours"
    assert said.finding is not None and said.finding.layer == "pool2"


def test_a_name_stands_once() -> None:
    with pytest.raises(ValueError, match="two entries are called 'torch'"):
        oracle("torch", place=99)(lambda self, inquiry: ())
