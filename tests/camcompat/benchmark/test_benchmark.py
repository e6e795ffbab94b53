"""`camcompat bench`: contestants by turns, missing peers said, figures as tables and as the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from camcompat.benchmark import as_markdown
from camcompat.benchmark.contestants import FORWARD, Forms, forward
from camcompat.benchmark.nets import bench_nets, vgg16
from camcompat.benchmark.page import tables
from camcompat.benchmark.race import Contestant, race, run_by_turns
from camcompat.cli import main
from prototxt import CamcompatError


def test_a_race_by_turns_tells_the_slow_from_the_missing() -> None:
    contestants = [
        Contestant("fast", "functools", "partial", (sum, range(10))),
        Contestant("slow", "functools", "partial", (sum, range(300_000))),
        Contestant("absent", "no_such_module", "make"),
    ]
    fast, slow, absent = race(contestants, seconds=0.0, least=3, turn=0)
    assert len(fast.seconds) == len(slow.seconds) == 3
    assert fast.median < slow.median
    assert absent.missing == "ModuleNotFoundError: No module named 'no_such_module'"
    assert not absent.seconds


def test_whole_processes_report_time_and_memory(tmp_path: Path) -> None:
    jobs = {"hold": ("", "x = bytearray(50 << 20)"), "absent": ("import no_such_module", "pass")}
    hold, absent = run_by_turns(jobs, tmp_path / "nothing", turns=1)
    assert 50 <= hold.peak - hold.before < 60
    assert "no_such_module" in absent.missing


def test_nets_to_measure(tmp_path: Path) -> None:
    (net,) = bench_nets(["shapes-cam"], tmp_path)
    assert net.shape == (1, 3, 96, 96) and net.known
    with pytest.raises(CamcompatError, match="no-such-net"):
        list(bench_nets(["no-such-net"], tmp_path))
    small = vgg16(1 / 64, tmp_path)
    assert 0.1e6 < small.caffemodel.stat().st_size < 3e6


def row(contestant: str, **values: object) -> dict[str, object]:
    return {"net": "a", "contestant": contestant, **values}


REPORT = {
    "machine": {"processor": "P", "cores": 2, "load": 0.1, "system": "S", "python": "3", "versions": {"torch": "2"},
                "date": "2026-01-02"},
    "quick": False,
    "forward": [
        row("onnxruntime", batch=1, seconds=0.010),
        row("--no-winograd", batch=1, seconds=0.012),
        row("--dtype int8", batch=1, seconds=0.005),
        row("onnxruntime with CAM", batch=1, seconds=0.0102),
        row("OpenCV", batch=1, seconds=0.025),
        row("OpenCV without Winograd", batch=1, seconds=0.033),
        row("torch", batch=1, missing="ModuleNotFoundError: torch"),
    ],
    "conversion": [
        row("copy the caffemodel", megabytes=553.0, seconds=0.2, peak_private_mb=5.0, before_mb=5.0),
        row("to_onnx", megabytes=553.0, seconds=0.4, peak_private_mb=29.0, before_mb=24.0),
    ],
}  # fmt: skip


def test_ratios_are_peers_over_ours() -> None:
    forward, ratios, conversion = tables(REPORT)
    times = ["10.0 ms", "12.0 ms", "5.0 ms", "25.0 ms", "33.0 ms", "ModuleNotFoundError: torch"]
    assert forward[2] == [["a", "1", *times]]
    assert ratios[2] == [["a", "1", "1.20×", "0.50×", "2.50×", "3.30×", "—", "+2.0 %"]]
    assert conversion[2][1] == ["a", "553", "to_onnx", "0.400", "2.00×", "29 MB", "24 MB"]


def test_another_contestant_is_another_column() -> None:
    rows = [*REPORT["forward"], row("MNN", batch=1, seconds=0.02)]  # type: ignore[misc]
    times, ratios, _ = tables({**REPORT, "forward": rows})
    assert times[1][-2:] == ["torch", "MNN"] and ratios[1][-2:] == ["MNN", "cost of CAM"]
    assert ratios[2][0][-2:] == ["2.00×", "+2.0 %"]


def test_the_page_says_how_to_repeat_it() -> None:
    page = as_markdown(REPORT, "camcompat bench --markdown docs/performance.md")
    for part in ("P, 2 cores", "torch 2", "2026-01-02", "camcompat bench --markdown docs/performance.md", "| 2.50× |"):
        assert part in page


def test_the_command_measures_and_writes(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    words = ["bench", "shapes-cam", "--section", "conversion", "--quick", "--json", "--markdown", str(page)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    figures = {row["contestant"]: row for row in json.loads(done.stdout)["conversion"]}
    assert figures["to_onnx"]["seconds"] > 0
    assert figures["onnxruntime: opening the file"]["seconds"] > 0
    assert "to_onnx" in page.read_text()


def test_a_contestant_runs(tmp_path: Path) -> None:
    import converters

    (net,) = bench_nets(["shapes-cam"], tmp_path)
    path = converters.to_onnx(net.definition, net.caffemodel, tmp_path / "net.onnx")
    forms = Forms(net.definition, net.caffemodel, path, path, path, path)
    prob, *_, cams = forward("onnxruntime with CAM", forms, (2, 3, 96, 96))()
    assert prob.shape == (2, 10) and cams.shape == (2, 5, 12, 12)
    assert next(iter(FORWARD)) == "onnxruntime"
