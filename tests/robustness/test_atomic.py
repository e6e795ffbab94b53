"""Files are whole or not there: atomic writing, killed processes, two conversions at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from robustness import kill

from weights import atomic
from weights.atomic import PREFIX, publish, replacing, staged, staging
from weights.locks import exclusive, take

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="kill and /dev are POSIX's")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this process had not swept any folder yet."""
    monkeypatch.setattr(atomic, "_swept", set())


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def broken() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("durable", [False, True])
def test_new_file_has_the_mode_of_ordinary_files(tmp_path: Path, durable: bool) -> None:
    (tmp_path / "ordinary").write_text("")
    with replacing(tmp_path / "a.txt", durable=durable) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").read_text() == "new"
    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_folder_in_the_place_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "precious").write_text("")
    with pytest.raises(IsADirectoryError), replacing(tmp_path / "a") as temporary:
        temporary.write_text("new")
    with staging(tmp_path) as stage:
        for name in ("a", "b"):
            (stage / name).write_text("new")
        with pytest.raises(IsADirectoryError):
            publish([stage / "b", stage / "a"], tmp_path)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "precious"]


@posix
def test_device_in_the_place_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"), replacing(tmp_path / "pipe") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "pipe").is_fifo()


def test_files_that_belong_together_come_together_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("net.safetensors", "net.py"):
        (tmp_path / name).write_text("old")
    moves: list[tuple[str, str]] = []
    move = os.replace

    def counted(source: Path, target: Path) -> None:
        moves.append((Path(source).name, Path(target).name))
        if len(moves) == stop:
            raise OSError("the disk broke")
        move(source, target)

    monkeypatch.setattr(os, "replace", counted)
    for stop in range(1, 6):
        moves.clear()
        with staging(tmp_path) as stage:
            for name in ("net.safetensors", "net.py"):
                (stage / name).write_text(f"new {stop}")
            files = [stage / "net.safetensors", stage / "net.py"]
            assert staged(stage) == sorted(files)
            if stop <= 4:  # two old files away, two new ones in
                with pytest.raises(OSError, match="the disk broke"):
                    publish(files, tmp_path)
            else:
                publish(files, tmp_path)
        found = {path.name: path.read_text() for path in tmp_path.iterdir()}
        wanted = "old" if stop <= 4 else "new 5"
        assert found == {"net.safetensors": wanted, "net.py": wanted}
    # The source goes first and comes last: killed in between, it is missing rather than beside foreign weights.
    assert [move[0] for move in moves] == ["net.py", "net.safetensors", "net.safetensors", "net.py"]


@posix
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_holds_is_not(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from weights.atomic import staging\n"
        f"with staging(Path({str(tmp_path)!r})) as stage:\n"
        "    (stage / 'half.onnx').write_bytes(bytes(1000))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(PREFIX)
    started, done = threading.Event(), threading.Event()

    def hold() -> None:
        with staging(tmp_path) as stage:
            (stage / "mine").write_text("")
            started.set()
            done.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    assert started.wait(10)
    assert not left.exists()
    atomic._swept.clear()
    with staging(tmp_path) as mine:
        assert {len(list(stage.iterdir())) for stage in tmp_path.glob(f"{PREFIX}*")} == {1, 2}
        assert mine.is_dir()
    done.set()
    thread.join()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_one_process_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "busy") as first, exclusive(tmp_path / "busy", wait=0.05) as second:
        assert (first, second) == (True, False)
        assert take(tmp_path / "busy") is None
    assert list(tmp_path.iterdir()) == []


@posix
def test_killed_conversions_leave_no_broken_artefact(tmp_path: Path) -> None:
    kill.conversions(tmp_path, kills=3, seed=11, longest=1.0)


@posix
@pytest.mark.parametrize("hashed", [False, True])
def test_killed_downloads_leave_no_broken_file(tmp_path: Path, hashed: bool) -> None:
    kill.downloads(tmp_path, kills=6, seed=12, hashed=hashed)


@posix
def test_two_conversions_at_once_do_not_clash(tmp_path: Path) -> None:
    ready = kill.forks().Event()
    running = [kill.forks().Process(target=kill.convert_for_ever, args=(str(tmp_path), ready, 2)) for _ in range(2)]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
        assert process.exitcode == 0
    kill.check_conversion(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"net.onnx", "net.py", "net.safetensors"}


@posix
def test_publishing_waits_for_another_process_and_then_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_PATIENCE", 0.05)
    with staging(tmp_path) as stage, exclusive(tmp_path / atomic._BUSY) as held:
        for name in ("a", "b"):
            (stage / name).write_text("new")
        assert held
        with pytest.raises(BlockingIOError, match="another process is writing there"):
            publish([stage / "a", stage / "b"], tmp_path)
        assert not (tmp_path / "a").exists()
