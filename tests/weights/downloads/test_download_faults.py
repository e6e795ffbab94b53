"""Faults of servers on the way: every one ends in the right file, or in a line that names it and no file."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from download_helpers import DATA, FAST, OTHER, SHA256, fetch, folder, model_of, recorded, refused, serving, weights_at
from file_server import (
    Answer,
    FileServer,
    Request,
    breaks_after,
    chunked,
    compressed,
    drips,
    partial,
    plain,
    ranges,
    redirect,
    status,
)

from prototxt.errors import DownloadError
from weights.downloads.fetch import download
from weights.downloads.transfer import Policy


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving(monkeypatch) as server:
        yield server


PACKABLE = DATA[:5000] * 60  # 300,000 bytes that gzip makes small


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize("data", [DATA, PACKABLE])
def test_compressed_transfer_is_unpacked_before_size_and_hash_are_compared(
    server: FileServer, tmp_path: Path, data: bytes, name: str
) -> None:
    url = server.serve("/a", compressed(data, name=name))
    assert fetch(tmp_path, weights_at(url, size=len(data))).read_bytes() == data
    assert recorded(tmp_path)["size"] == len(data)


def test_compressed_transfer_cut_off_is_noticed_and_its_tail_never_appended(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", compressed(DATA, keep=0.5)), min_size=1)
    assert "ends too early" in refused(tmp_path, file)
    # The part holds unpacked bytes: a range of the packed ones would not fit.
    server.serve("/a", compressed(DATA))
    server.asked.clear()
    assert fetch(tmp_path, file).read_bytes() == DATA
    assert server.asked == [("/a", "", "")]


def test_range_of_a_compressed_answer_is_not_appended(server: FileServer, tmp_path: Path) -> None:
    tail = gzip.compress(DATA)[1000:]
    answer = partial(tail, f"bytes 200000-{200_000 + len(tail) - 1}/300000", Content_Encoding="gzip")
    url = server.serve("/a", breaks_after(DATA, 200_000))
    refused(tmp_path, weights_at(url, hashes=SHA256))
    have = (tmp_path / "net/net.caffemodel.part").stat().st_size

    def odd(request: Request) -> None:
        (answer if "Range" in request.headers else plain(DATA))(request)

    server.serve("/a", odd)
    server.asked.clear()
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA
    assert [asked[1] for asked in server.asked] == [f"bytes={have}-", ""]


def test_compression_bomb_ends_at_the_limit(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", compressed(DATA[:100] + bytes(50_000_000)))
    assert "too large" in refused(tmp_path, weights_at(url, size=100_000))
    assert folder(tmp_path) == set()


def test_other_compression_is_refused(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", compressed(DATA, name="br"))
    assert "compresses it as 'br'" in refused(tmp_path, weights_at(url, min_size=1))


def test_damaged_compression_is_named(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", plain(DATA, Content_Encoding="gzip"))
    assert "cannot be unpacked" in refused(tmp_path, weights_at(url, min_size=1))


@pytest.mark.parametrize("whole", [True, False])
def test_chunked_transfer(server: FileServer, tmp_path: Path, whole: bool) -> None:
    file = weights_at(server.serve("/a", chunked(DATA, whole=whole)), min_size=1)
    if whole:
        assert fetch(tmp_path, file).read_bytes() == DATA
    else:
        assert "the connection broke" in refused(tmp_path, file)
        assert folder(tmp_path) == {"net.caffemodel.part"}


def test_redirect_loop_is_named(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", redirect("/b"))
    server.serve("/b", redirect("/a"))
    assert "it redirects in a circle" in refused(tmp_path, weights_at(url, min_size=1))


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://[::1", "//"])
def test_redirect_elsewhere_than_the_web_is_refused(server: FileServer, tmp_path: Path, to: str) -> None:
    refused(tmp_path, weights_at(server.serve("/a", redirect(to)), min_size=1))
    assert folder(tmp_path) == set()


@pytest.mark.parametrize("code", [204, 304, 400, 401, 403, 404, 410, 451])
def test_refusals_are_told_and_not_repeated(server: FileServer, tmp_path: Path, code: int) -> None:
    assert f"HTTP {code}" in refused(tmp_path, weights_at(server.serve("/a", status(code)), min_size=1))
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_troubles_of_the_server_are_waited_out(server: FileServer, tmp_path: Path, code: int) -> None:
    url = server.serve("/a", status(code), plain(DATA))
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA


def test_retry_after_is_honoured_up_to_a_limit(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)

    def busy(seconds: str) -> Answer:
        return lambda request: request.head(503, 0, Retry_After=seconds)

    answers = [busy("7"), busy("100000"), busy("Fri, 31 Dec 1999 23:59:59 GMT"), plain(DATA)]
    url = server.serve("/a", *answers)
    policy = Policy(retries=3, backoff=1.0, longest_pause=20.0)
    download(model_of(weights_at(url, hashes=SHA256)), home=tmp_path, policy=policy)
    assert [pause for pause in pauses if pause >= 1] == [7.0, 20.0, 4.0]


def test_server_that_drips_is_given_up_and_the_mirror_asked(server: FileServer, tmp_path: Path) -> None:
    slow = server.serve("/slow", drips(DATA, 0.02))
    policy = replace(FAST, retries=0, min_speed=10_000, min_speed_time=0.3)
    with pytest.raises(DownloadError, match=r"less than 10,000 bytes per second after \d+ of 300,000 bytes"):
        download(model_of(weights_at(slow, min_size=1)), home=tmp_path, policy=policy)
    assert folder(tmp_path) == {"net.caffemodel.part"}
    good = server.serve("/good", plain(DATA))
    download(model_of(weights_at(slow, good, hashes=SHA256)), home=tmp_path, policy=policy)
    assert (tmp_path / "net/net.caffemodel").read_bytes() == DATA


RANGES = [
    None,
    "",
    "bytes",
    "bytes */300000",
    "bytes 0-299999/300000",
    "bytes 999-1000/1001",
    "bytes 9999999999999999999999-99999999999999999999999/1",
    "lines 5-6/7",
]


@pytest.mark.parametrize("content_range", RANGES)
def test_wrong_content_range_starts_anew(server: FileServer, tmp_path: Path, content_range: str | None) -> None:
    url = server.serve("/a", breaks_after(DATA, 200_000))
    refused(tmp_path, weights_at(url, min_size=1))

    def odd(request: Request) -> None:
        (partial(OTHER[:100_000], content_range) if "Range" in request.headers else plain(DATA))(request)

    server.serve("/a", odd)
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == DATA


@pytest.mark.parametrize("code", [206, 416])
def test_answers_about_ranges_that_nobody_asked_for_are_refused(server: FileServer, tmp_path: Path, code: int) -> None:
    answer = partial(DATA[5:], "bytes 5-299999/300000") if code == 206 else status(416)
    refused(tmp_path, weights_at(server.serve("/a", answer), min_size=1))
    assert folder(tmp_path) == set()


def test_range_in_pieces_is_put_together(server: FileServer, tmp_path: Path) -> None:
    """A server that sends less than the whole rest: each piece is progress, and every try goes on from it."""

    def piece(request: Request) -> None:
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        part = DATA[start : start + 100_000]
        content_range = f"bytes {start}-{start + len(part) - 1}/300000"
        (partial(part, content_range, ETag='"1"') if start else breaks_after(DATA, 100_000))(request)

    url = server.serve("/a", piece)
    policy = replace(FAST, retries=4)
    download(model_of(weights_at(url, min_size=1)), home=tmp_path, policy=policy)
    assert (tmp_path / "net/net.caffemodel").read_bytes() == DATA


def test_rest_longer_than_announced_is_refused(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", breaks_after(DATA, 200_000))
    refused(tmp_path, weights_at(url, min_size=1))
    have = (tmp_path / "net/net.caffemodel.part").stat().st_size
    rest = DATA[have:] + b"more"
    answer = partial(rest, f"bytes {have}-299999/300000", ETag='"1"')
    server.serve("/a", answer)
    assert "goes on after the 300,000 bytes" in refused(tmp_path, weights_at(url, min_size=1))
    assert folder(tmp_path) == set()


def test_date_of_the_last_change_serves_where_there_is_no_etag(server: FileServer, tmp_path: Path) -> None:
    old, new = "Wed, 21 Oct 2015 07:28:00 GMT", "Thu, 22 Oct 2015 07:28:00 GMT"

    def broken(request: Request) -> None:
        request.head(200, len(DATA), Last_Modified=old)
        request.wfile.write(DATA[:200_000])
        request.close_connection = True

    url = server.serve("/a", broken)
    refused(tmp_path, weights_at(url, min_size=1))
    server.serve("/a", plain(OTHER, Last_Modified=new))  # what RFC 9110 wants where If-Range does not hold
    server.asked.clear()
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == OTHER
    assert server.asked[0][1].startswith("bytes=")
    assert server.asked[0][2] == old


def test_nothing_is_resumed_on_the_word_of_a_weak_etag(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", breaks_after(DATA, 200_000, 'W/"1"'))
    refused(tmp_path, weights_at(url, min_size=1))
    server.serve("/a", ranges(OTHER, 'W/"1"'))
    server.asked.clear()
    assert fetch(tmp_path, weights_at(url, min_size=1)).read_bytes() == OTHER
    assert server.asked == [("/a", "", "")]


def test_proxy_of_the_environment_is_asked(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", server.serve("", status(404)))
    server.serve("http://models.example/net.caffemodel", plain(DATA))
    file = weights_at("http://models.example/net.caffemodel", hashes=SHA256)
    assert fetch(tmp_path, file).read_bytes() == DATA
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    message = refused(tmp_path / "second", file)
    assert "the proxy failed" in message
    assert "secret" not in message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_redirect_from_https_to_plain_http_needs_a_published_hash(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """The address is http in this test; what the answer says it came from decides."""
    import requests

    url = server.serve("/a", plain(DATA))
    ask = requests.Session.get

    def redirected(self: requests.Session, address: str, **options: Any) -> requests.Response:
        response = ask(self, address.replace("https:", "http:"), **options)
        response.url = f"{scheme}://elsewhere.example/a"
        return response

    monkeypatch.setattr(requests.Session, "get", redirected)
    secure = url.replace("http:", "https:")
    fetch(tmp_path / "hash", weights_at(secure, hashes=SHA256))
    if scheme == "https":
        fetch(tmp_path / "none", weights_at(secure, min_size=1))
    else:
        assert "plain http" in refused(tmp_path / "none", weights_at(secure, min_size=1))


def test_timeouts_and_retries_can_be_set_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_TIMEOUT", "2.5")
    monkeypatch.setenv("CAMCOMPAT_RETRIES", "0")
    policy = Policy.of_environment()
    assert (policy.connect_timeout, policy.read_timeout, policy.retries) == (2.5, 2.5, 0)
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("CAMCOMPAT_TIMEOUT", wrong)
        with pytest.raises(DownloadError, match=r"\$CAMCOMPAT_TIMEOUT"):
            Policy.of_environment()
