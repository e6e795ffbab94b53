"""Faults of the disk and of the process: full, read-only, interrupted, killed, two at once."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from download_helpers import DATA, SHA256, fetch, folder, recorded, refused, serving, weights_at
from file_server import FileServer, Request, breaks_after, plain, ranges

from prototxt.errors import DownloadError
from weights.models import RemoteFile

ROOT = Path(__file__).resolve().parents[3]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and limits of POSIX")

CHILD = """
import sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from download_helpers import fetch, weights_at
{before}
print(fetch(Path({home!r}), weights_at({url!r}, {facts})).read_bytes() == Path({data!r}).read_bytes())
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving(monkeypatch) as server:
        yield server


def child(
    home: Path, url: str, facts: str = "min_size=1", before: str = "", prefix: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """Download in another process; it prints True when the file is right."""
    data = home.with_name(f"{home.name}.data")
    data.write_bytes(DATA)
    names = {"root": str(ROOT), "tests": str(ROOT / "tests"), "home": str(home), "data": str(data)}
    code = CHILD.format(**names, url=url, facts=facts, before=before)
    pipe = subprocess.PIPE
    return subprocess.Popen([*prefix, sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True)


def stalls_after(data: bytes, count: int, seconds: float = 20.0) -> Any:
    """The beginning of the file, then nothing for a while."""

    def answer(request: Request) -> None:
        request.head(200, len(data), ETag='"1"')
        request.wfile.write(data[:count])
        request.wfile.flush()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not request.server.asked_to_stop:
            time.sleep(0.01)

    return answer


def until(condition: Any, seconds: float = 20.0) -> None:
    """Wait for what another process will do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.01)


# The disk.


def test_disk_that_fills_up_keeps_the_part_and_the_next_run_resumes(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = weights_at(server.serve("/a", ranges(DATA)), min_size=1)

    class Full:
        """A file on a disk with room for 100,000 bytes."""

        def __init__(self, stream: Any) -> None:
            self.stream, self.room = stream, 100_000

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            self.stream.close()

        def write(self, data: bytes) -> None:
            self.stream.write(data[: self.room])
            if len(data) > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(data)

    ordinary = Path.open
    with monkeypatch.context() as patched:

        def opened(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
            stream = ordinary(self, mode, *args, **options)
            return Full(stream) if self.suffix == ".part" and mode in ("wb", "ab") else stream

        patched.setattr(Path, "open", opened)
        assert "No space left" in refused_by_disk(tmp_path, file)
    assert folder(tmp_path) == {"net.caffemodel.part"}
    assert (tmp_path / "net/net.caffemodel.part").read_bytes() == DATA[:100_000]
    assert fetch(tmp_path, file).read_bytes() == DATA
    assert server.asked[-1][1] == "bytes=100000-"


def refused_by_disk(home: Path, file: RemoteFile) -> str:
    """The message of a download that fails for a reason of this machine."""
    with pytest.raises(DownloadError) as caught:
        fetch(home, file)
    assert "make room or set CAMCOMPAT_HOME" in str(caught.value)
    return str(caught.value)


@posix
def test_file_size_limit_of_the_system(server: FileServer, tmp_path: Path) -> None:
    """A real refusal of the kernel in the middle of writing."""
    url = server.serve("/a", ranges(DATA))
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))"
    process = child(tmp_path / "home", url, before=limit)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "File too large; make room" in told
    assert folder(tmp_path / "home") == {"net.caffemodel.part"}
    assert fetch(tmp_path / "home", weights_at(url, min_size=1)).read_bytes() == DATA
    assert server.asked[-1][1].startswith("bytes=1")


def test_full_disk_is_told_before_anything_is_written(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    message = refused_by_disk(tmp_path, weights_at(server.serve("/a", plain(DATA)), min_size=1))
    assert "300,000 bytes are to come, 1,000 are free" in message
    assert folder(tmp_path) == set()


def test_home_that_is_no_folder(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    refused_by_disk(tmp_path / "home", weights_at(server.serve("/a", plain(DATA)), min_size=1))
    assert (tmp_path / "home").read_text() == "a file"


@posix
def test_folder_that_may_not_be_written(server: FileServer, tmp_path: Path) -> None:
    prefix: list[str] = []
    if os.getuid() == 0:  # whom no mode stops, unless the privilege is given up
        if shutil.which("setpriv") is None:
            pytest.skip("runs as root, and there is no setpriv")
        prefix = ["setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"]
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o555)
    url = server.serve("/a", plain(DATA))
    _, told = child(home, url, prefix=prefix).communicate(timeout=60)
    assert "Permission denied; make room or set CAMCOMPAT_HOME" in told
    assert list(home.iterdir()) == []
    # One that holds the files already serves, although nothing can be recorded there.
    home.chmod(0o755)
    (home / "net").mkdir()
    (home / "net/net.caffemodel").write_bytes(DATA)
    home.chmod(0o555)
    out, told = child(home, url, f"hashes={SHA256!r}", prefix=prefix).communicate(timeout=60)
    assert out == "True\n", told
    assert not (home / "camcompat.lock").exists()


# The process.


@posix
def test_killed_download_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    url = server.serve("/a", stalls_after(DATA, 200_000), ranges(DATA))
    process = child(home, url)
    part = home / "net/net.caffemodel.part"
    until(lambda: part.exists() and part.stat().st_size > 50_000)
    process.kill()
    process.communicate()
    have = part.stat().st_size
    assert 0 < have <= 200_000
    assert (home / "net/.net.caffemodel.lock").exists()  # what is left of the lock holds nobody up
    assert fetch(home, weights_at(url, min_size=1)).read_bytes() == DATA
    assert server.asked[-1][1] == f"bytes={have}-"
    assert folder(home) == {"net.caffemodel"}


@posix
def test_second_process_waits_for_the_first(server: FileServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    slow = stalls_after(DATA, 100_000, seconds=1.0)
    url = server.serve("/a", slow, ranges(DATA))
    first = child(home, url)
    until(lambda: (home / "net/net.caffemodel.part").exists())
    second = child(home, url)
    for process in (first, second):
        assert process.communicate(timeout=60)[0] == "True\n"
    # The first resumed its broken connection; the second asked nobody.
    assert len(server.asked) == 2
    assert folder(home) == {"net.caffemodel"}
    assert recorded(home)["url"] == url


@posix
def test_second_process_takes_over_from_one_that_dies(server: FileServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    url = server.serve("/a", stalls_after(DATA, 200_000), ranges(DATA))
    first = child(home, url)
    part = home / "net/net.caffemodel.part"
    until(lambda: part.exists() and part.stat().st_size > 50_000)
    second = child(home, url)
    time.sleep(0.3)
    first.kill()
    first.communicate()
    assert second.communicate(timeout=60)[0] == "True\n"
    assert server.asked[-1][1].startswith("bytes=")


CATALOGUE = """
[models.slow]
source = "http://127.0.0.1/"
licence = "none"
citation = "none"
cam = false
input = {{ crop = [8, 8], mean_values = [0.0, 0.0, 0.0] }}
prototxt = {{ name = "deploy.prototxt", urls = ["{prototxt}"], min_size = 1 }}
caffemodel = {{ name = "net.caffemodel", urls = ["{caffemodel}"], min_size = 1 }}
"""


@posix
def test_ctrl_c_says_one_line_ends_with_130_and_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    prototxt = server.serve("/p", plain(b'name: "net"\n'))
    caffemodel = server.serve("/a", stalls_after(DATA, 200_000))
    (tmp_path / "own.toml").write_text(CATALOGUE.format(prototxt=prototxt, caffemodel=caffemodel))
    names = {"CAMCOMPAT_HOME": str(tmp_path / "home"), "CAMCOMPAT_CATALOG": str(tmp_path / "own.toml")}
    command = [sys.executable, "-m", "camcompat", "download", "slow"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **names}, stdout=pipe, stderr=pipe, text=True)
    part = tmp_path / "home/slow/net.caffemodel.part"
    with contextlib.ExitStack() as cleaning:
        cleaning.callback(process.kill)
        until(lambda: part.exists() and part.stat().st_size > 50_000)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert told.startswith("camcompat: interrupted")
    assert told.count("\n") == 1
    assert DATA.startswith(part.read_bytes())
    assert not (part.parent / "net.caffemodel").exists()
    parts = json.loads((tmp_path / "home/camcompat.lock").read_text())["parts"]
    assert parts == {"slow/net.caffemodel": {"url": caffemodel, "validator": '"1"'}}


def test_file_systems_without_locks_still_serve(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("weights.locks._locked", unsupported)
    file = weights_at(server.serve("/a", breaks_after(DATA, 200_000)), min_size=1)
    assert "kept" not in refused(tmp_path, file)  # without a lock, a part could be another process's
    server.serve("/a", plain(DATA))
    assert fetch(tmp_path, file).read_bytes() == DATA
    assert folder(tmp_path) == {"net.caffemodel", ".net.caffemodel.lock"}
