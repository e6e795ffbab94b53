"""Unfinished downloads: what is kept, what is gone on from, and what is asked for anew."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from download_helpers import DATA, FAST, OTHER, SHA256, fetch, folder, model_of, recorded, refused, serving, weights_at
from file_server import Answer, FileServer, Request, breaks_after, plain, ranges, slow, unannounced

from weights.downloads.fetch import download


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving(monkeypatch) as server:
        yield server


def test_web_page_does_not_overwrite_half_a_file(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", breaks_after(DATA, 200_000))
    refused(tmp_path, weights_at(url, hashes=SHA256))
    kept = (tmp_path / "net/net.caffemodel.part").read_bytes()
    server.serve("/a", plain(b"<html>Sign in</html>"))
    assert "a web page" in refused(tmp_path, weights_at(url, hashes=SHA256))
    assert (tmp_path / "net/net.caffemodel.part").read_bytes() == kept


@pytest.mark.parametrize("answer", [plain, unannounced])
def test_too_large_is_refused(server: FileServer, tmp_path: Path, answer: Callable[[bytes], Answer]) -> None:
    message = refused(tmp_path, weights_at(server.serve("/a", answer(DATA)), size=len(DATA) - 1))
    assert "too large" in message
    assert folder(tmp_path) == set()


@pytest.mark.parametrize("answer", [plain, unannounced])
@pytest.mark.parametrize("facts", [{"size": 300_001}, {"min_size": 300_001}])
def test_too_short_is_refused_and_kept_for_resuming(
    server: FileServer, tmp_path: Path, answer: Callable[[bytes], Answer], facts: dict[str, int]
) -> None:
    message = refused(tmp_path, weights_at(server.serve("/a", answer(DATA)), **facts))
    assert "truncated: 300,000 bytes" in message
    assert "300,001 bytes" in message
    assert "net.caffemodel.part" in message
    assert folder(tmp_path) == {"net.caffemodel.part"}


def test_broken_connection_keeps_the_part_and_the_next_run_resumes(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", breaks_after(DATA, 200_000)), min_size=1)
    message = refused(tmp_path, file)
    assert "of 300,000" in message
    assert "kept in net.caffemodel.part" in message
    have = (tmp_path / "net/net.caffemodel.part").stat().st_size
    assert 0 < have <= 200_000
    server.serve("/a", ranges(DATA))
    assert fetch(tmp_path, file).read_bytes() == DATA
    assert server.asked[-1] == ("/a", f"bytes={have}-", '"1"')
    assert folder(tmp_path) == {"net.caffemodel"}
    assert recorded(tmp_path)["sha256"] == SHA256["sha256"]


def test_broken_connection_is_resumed_within_one_run(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", breaks_after(DATA, 200_000), ranges(DATA))
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == DATA
    assert server.asked[1][1].startswith("bytes=")


def start_part(home: Path, data: bytes, url: str = "", validator: str = "") -> None:
    """Leave an unfinished download behind."""
    (home / "net").mkdir(parents=True)
    (home / "net/net.caffemodel.part").write_bytes(data)
    parts = {"net/net.caffemodel": {"url": url, "validator": validator}}
    (home / "camcompat.lock").write_text(json.dumps({"files": {}, "parts": parts}))


def test_server_that_ignores_ranges_sends_everything_anew(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", plain(DATA))
    start_part(tmp_path, DATA[:1000])
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA
    assert server.asked == [("/a", "bytes=1000-", "")]


def test_file_that_changed_meanwhile_comes_whole(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", ranges(OTHER, '"2"'))
    start_part(tmp_path, DATA[:1000], url, '"1"')
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == OTHER


def test_changed_file_from_a_server_that_ignores_if_range(server: FileServer, tmp_path: Path) -> None:
    def tail(request: Request) -> None:
        if "Range" not in request.headers:
            plain(OTHER, ETag='"2"')(request)
            return
        request.head(206, 299_000, ETag='"2"', Content_Range="bytes 1000-299999/300000")
        request.wfile.write(OTHER[1000:])

    url = server.serve("/a", tail)
    start_part(tmp_path, DATA[:1000], url, '"1"')
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == OTHER


def test_nothing_is_resumed_that_could_mix_two_files(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", ranges(DATA))
    start_part(tmp_path, OTHER[:1000], "http://127.0.0.1/elsewhere", '"1"')
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == DATA
    assert server.asked == [("/a", "", "")]


def test_wrong_beginning_is_found_by_the_hash_and_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", ranges(DATA))
    start_part(tmp_path, OTHER[:1000])
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA
    assert [asked[1] for asked in server.asked] == ["bytes=1000-", ""]


def test_server_that_sends_another_range_is_asked_for_everything(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", ranges(DATA, shift=7))
    start_part(tmp_path, DATA[:1000])
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA


@pytest.mark.parametrize(("part", "requests"), [(DATA, 1), (DATA + b"x", 2)])
def test_range_not_satisfiable(server: FileServer, tmp_path: Path, part: bytes, requests: int) -> None:
    url = server.serve("/a", ranges(DATA))
    start_part(tmp_path, part)
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA
    assert len(server.asked) == requests


def test_shorter_answer_does_not_overwrite_a_longer_part(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", plain(DATA[:500]))
    start_part(tmp_path, DATA[:1000])
    assert "truncated: 500 bytes" in refused(tmp_path, weights_at(url, size=len(DATA), hashes=SHA256))
    assert (tmp_path / "net/net.caffemodel.part").read_bytes() == DATA[:1000]


def test_interrupted_download_leaves_only_the_part(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: object, count: int) -> None:
        if count > 100_000:
            raise KeyboardInterrupt

    monkeypatch.setattr("weights.downloads.transfer._Address._refuse_excess", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, weights_at(server.serve("/a", ranges(DATA)), min_size=1))
    assert folder(tmp_path) == {"net.caffemodel.part"}
    part = (tmp_path / "net/net.caffemodel.part").read_bytes()
    assert part
    assert DATA.startswith(part)


def test_two_at_once_ask_the_server_once(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", slow(DATA, 0.3)), hashes=SHA256)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(fetch, tmp_path, file) for _ in range(2)]
        assert [one.result().read_bytes() == DATA for one in running] == [True, True]
    assert len(server.asked) == 1
    assert folder(tmp_path) == {"net.caffemodel"}


def test_one_that_waited_long_enough_fetches_a_copy_of_its_own(server: FileServer, tmp_path: Path) -> None:
    together = threading.Barrier(2, timeout=5)

    def meet(request: Request) -> None:
        together.wait()
        plain(DATA)(request)

    model = model_of(weights_at(server.serve("/a", meet), hashes=SHA256))
    impatient = replace(FAST, patience=0.05)
    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(download, model, home=tmp_path, policy=impatient) for _ in range(2)]
        assert [one.result().path("caffemodel").read_bytes() == DATA for one in running] == [True, True]
    assert len(server.asked) == 2
    assert folder(tmp_path) == {"net.caffemodel"}
