"""weights.download against a server on 127.0.0.1: what is accepted, refused and said."""

from __future__ import annotations

import hashlib
import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from download_helpers import DATA, FAST, OTHER, SHA256, fetch, folder, model_of, recorded, refused, serving, weights_at
from file_server import Answer, FileServer, plain, redirect, slow, status, unannounced

from prototxt.errors import DownloadError, WeightsError
from weights.downloads.fetch import download, download_all
from weights.models import RemoteFile

PROTOTXT = b'name: "net"\ninput: "data"\n'


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with serving(monkeypatch) as server:
        yield server


HASHES = {
    "sha1": hashlib.sha1(DATA).hexdigest(),
    "sha256": hashlib.sha256(DATA).hexdigest(),
    "sha384": hashlib.sha384(DATA).hexdigest(),
    "gitblob": hashlib.sha1(b"blob 300000\0" + DATA).hexdigest(),
}


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("answer", [plain, unannounced])
def test_right_hash_is_accepted_and_wrong_hash_refused(
    server: FileServer, tmp_path: Path, algorithm: str, answer: Callable[[bytes], Answer]
) -> None:
    url = server.serve("/a", answer(DATA))
    path = fetch(tmp_path / "good", weights_at(url, hashes={algorithm: HASHES[algorithm]}))
    assert path.read_bytes() == DATA
    assert folder(tmp_path / "good") == {"net.caffemodel"}
    wrong = HASHES[algorithm][:-1] + ("0" if HASHES[algorithm][-1] != "0" else "1")
    message = refused(tmp_path / "bad", weights_at(url, hashes={algorithm: wrong}))
    assert HASHES[algorithm] in message
    assert wrong in message
    assert folder(tmp_path / "bad") == set()


def test_all_kinds_of_files_and_the_order_prototxt_first(server: FileServer, tmp_path: Path) -> None:
    files = (
        RemoteFile("prototxt", "deploy.prototxt", (server.serve("/p", plain(PROTOTXT)),), size=len(PROTOTXT)),
        weights_at(server.serve("/w", plain(DATA)), size=len(DATA)),
        RemoteFile("labels", "labels.txt", (server.serve("/l", plain(b"cat\ndog\n")),), min_size=1),
    )
    model = download(model_of(*files), home=tmp_path, policy=FAST)
    assert [path for path, _, _ in server.asked] == ["/p", "/w", "/l"]
    assert model.path("labels").read_text() == "cat\ndog\n"
    assert model.present()
    assert not model_of(*files).at(tmp_path / "elsewhere").present()


def test_only_the_kinds_asked_for(server: FileServer, tmp_path: Path) -> None:
    prototxt = RemoteFile("prototxt", "deploy.prototxt", (server.serve("/p", plain(PROTOTXT)),), size=len(PROTOTXT))
    model = model_of(prototxt, weights_at("http://127.0.0.1:9/never", size=1))
    download(model, home=tmp_path, kinds=["prototxt"], policy=FAST)
    assert folder(tmp_path) == {"deploy.prototxt"}


def test_second_download_asks_nobody(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", plain(DATA)), min_size=1)
    fetch(tmp_path, file)
    fetch(tmp_path, file)
    assert len(server.asked) == 1
    fetch(tmp_path, file, force=True)
    assert len(server.asked) == 2


def test_addresses_are_tried_in_order_and_every_reason_is_told(server: FileServer, tmp_path: Path) -> None:
    missing, forbidden = server.serve("/missing", status(404)), server.serve("/forbidden", status(403))
    good = server.serve("/good", plain(DATA))
    assert fetch(tmp_path / "good", weights_at(missing, good, hashes=SHA256)).read_bytes() == DATA
    message = refused(tmp_path / "bad", weights_at(missing, forbidden, min_size=1234))
    assert f"{missing} (HTTP 404" in message
    assert f"{forbidden} (HTTP 403" in message
    assert "at least 1,234 bytes" in message


def test_error_of_the_server_is_tried_again(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", status(500), plain(DATA))
    assert fetch(tmp_path / "good", weights_at(url, hashes=SHA256)).read_bytes() == DATA
    url = server.serve("/b", status(503))
    assert "HTTP 503" in refused(tmp_path / "bad", weights_at(url, hashes=SHA256))
    assert [path for path, _, _ in server.asked].count("/b") == FAST.retries + 1


def test_redirect_is_followed(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", redirect(server.serve("/b", plain(DATA))))
    assert fetch(tmp_path, weights_at(url, hashes=SHA256)).read_bytes() == DATA
    assert recorded(tmp_path)["url"] == url


def test_slow_server_is_given_up(server: FileServer, tmp_path: Path) -> None:
    policy = replace(FAST, retries=0, read_timeout=0.2)
    late, good = server.serve("/late", slow(DATA, 1.0)), server.serve("/good", plain(DATA))
    with pytest.raises(DownloadError, match=r"no data for 0\.2 s"):
        download(model_of(weights_at(late, min_size=1)), home=tmp_path, policy=policy)
    second = good.replace("127.0.0.1", "localhost")  # the silent host is not asked again, another one is
    download(model_of(weights_at(late, second, min_size=1)), home=tmp_path, policy=policy)
    assert (tmp_path / "net/net.caffemodel").read_bytes() == DATA


def test_refused_connection_is_named_and_not_waited_for_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{closed.getsockname()[1]}"
    message = refused(tmp_path, weights_at(f"{base}/one", f"{base}/two", min_size=1))
    host = base.removeprefix("http://")
    assert message.count(f"{host} (the connection was refused)") == 1  # both addresses, one host


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        (b"<html><body>Sign in</body></html>", "text/html; charset=utf-8", "a web page"),
        (b"\n<!DOCTYPE html><title>404</title>", "application/octet-stream", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 33383584\n", "text/plain", "LFS pointer"),
        (b"", "application/octet-stream", "empty"),
        (b"\x1f\x8b\x08" + DATA, "application/octet-stream", "an archive, which is never unpacked"),
        (b"PK\x03\x04" + DATA, "application/zip", "an archive, which is never unpacked"),
    ],
)
def test_what_is_no_weight_file_is_named_and_leaves_nothing(
    server: FileServer, tmp_path: Path, body: bytes, content_type: str, reason: str
) -> None:
    url = server.serve("/a", plain(body, content_type=content_type))
    assert reason in refused(tmp_path, weights_at(url, min_size=1))
    assert folder(tmp_path) == set()


def test_unpublished_hash_is_recorded_and_later_downloads_must_equal_it(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", plain(DATA)), min_size=1)
    path = fetch(tmp_path, file)
    entry = recorded(tmp_path)
    assert (entry["sha256"], entry["size"], entry["url"]) == (SHA256["sha256"], 300_000, file.urls[0])
    assert str(entry["date"]).endswith("Z")
    path.unlink()
    assert fetch(tmp_path, file).read_bytes() == DATA
    path.unlink()
    server.serve("/a", plain(OTHER))
    message = refused(tmp_path, file)
    assert SHA256["sha256"] in message
    assert hashlib.sha256(OTHER).hexdigest() in message
    assert str(tmp_path / "camcompat.lock") in message
    assert folder(tmp_path) == set()


def test_forced_download_that_differs_leaves_the_old_file(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", plain(DATA)), min_size=1)
    path = fetch(tmp_path, file)
    server.serve("/a", plain(OTHER))
    refused(tmp_path, file, force=True)
    assert path.read_bytes() == DATA


def test_damaged_lock_file_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "camcompat.lock").write_text("{")
    file = weights_at(server.serve("/a", plain(DATA)), min_size=1)
    with pytest.raises(DownloadError, match=r"camcompat\.lock: is not JSON"):
        fetch(tmp_path, file)
    two = model_of(RemoteFile("prototxt", "deploy.prototxt", (server.serve("/p", plain(b"p")),), min_size=1), file)
    (outcome,) = download_all([two], home=tmp_path, policy=FAST)
    assert outcome.detail.startswith(f"{tmp_path / 'camcompat.lock'}: is not JSON")  # not "deploy.prototxt is not JSON"


def by_hand(home: Path, data: bytes) -> None:
    """Place the file without downloading."""
    (home / "net").mkdir(parents=True)
    (home / "net/net.caffemodel").write_bytes(data)


@pytest.mark.parametrize("by", ["argument", "environment"])
def test_offline(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    if by == "environment":
        monkeypatch.setenv("CAMCOMPAT_OFFLINE", "1")
    file = weights_at(server.serve("/a", plain(DATA)), size=len(DATA), hashes=SHA256)
    message = refused(tmp_path / "empty", file, offline=by == "argument")
    assert "300,000 bytes" in message
    assert not (tmp_path / "empty").exists()
    by_hand(tmp_path / "filled", DATA)
    assert fetch(tmp_path / "filled", file, offline=by == "argument").read_bytes() == DATA
    assert recorded(tmp_path / "filled")["url"] == ""
    assert server.asked == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [(OTHER, "published"), (DATA[:-1], "truncated"), (DATA + b"x", "too large"), (b"<html></html>", "web page")],
)
def test_wrong_file_placed_by_hand_is_refused_and_left_alone(tmp_path: Path, data: bytes, reason: str) -> None:
    by_hand(tmp_path, data)
    assert reason in refused(tmp_path, weights_at("http://127.0.0.1:9/", size=len(DATA), hashes=SHA256))
    assert (tmp_path / "net/net.caffemodel").read_bytes() == data


def test_file_that_changed_on_disk_is_noticed(server: FileServer, tmp_path: Path) -> None:
    file = weights_at(server.serve("/a", plain(DATA)), min_size=1)
    path = fetch(tmp_path, file)
    path.write_bytes(OTHER)
    os.utime(path, ns=(1, 1))
    assert "the first one accepted" in refused(tmp_path, file)


def test_check_decides_before_the_file_gets_its_name(server: FileServer, tmp_path: Path) -> None:
    bad, good = server.serve("/bad", plain(OTHER)), server.serve("/good", plain(DATA))
    seen = []

    def check(path: Path) -> None:
        seen.append((path.name, (path.parent / "net.caffemodel").exists()))
        if path.read_bytes() != DATA:
            raise WeightsError('layer "fc" is missing', where=path.name)

    assert fetch(tmp_path / "two", weights_at(bad, good, min_size=1), check=check).read_bytes() == DATA
    assert seen == [("net.caffemodel.part", False)] * 2
    assert 'layer "fc" is missing' in refused(tmp_path / "one", weights_at(bad, min_size=1), check=check)
    assert folder(tmp_path / "one") == set()


def test_download_all_goes_on_after_a_failure(server: FileServer, tmp_path: Path) -> None:
    good = model_of(weights_at(server.serve("/a", plain(DATA)), hashes=SHA256), name="good")
    bad = model_of(weights_at(server.serve("/b", status(404)), min_size=10), name="bad")
    first, second, third = download_all([bad, good, "no such model"], home=tmp_path, policy=FAST)
    assert (first.name, first.ok, second.name, second.ok, third.ok) == ("bad", False, "good", True, False)
    assert "HTTP 404" in first.detail
    assert str(tmp_path / "bad" / "net.caffemodel") in first.remedy
    assert str(tmp_path / "good") in second.detail
    assert "no such model" in third.detail


def test_plain_http_without_a_published_hash_is_told(server: FileServer, tmp_path: Path) -> None:
    url = server.serve("/a", plain(DATA))
    without, known = weights_at(url, min_size=1), weights_at(url, hashes=SHA256)
    first, second = download_all(
        [model_of(without, name="without"), model_of(known, name="known")], home=tmp_path, policy=FAST
    )
    assert second.notes == ()
    (note,) = first.notes
    assert note.startswith("net.caffemodel came over plain http and no hash of it is published")
    assert SHA256["sha256"] in note
    assert (without.checked_by, known.checked_by) == ("plain http, no hash", "hash")
    assert weights_at("https://a/b", min_size=1).checked_by == "https, no hash"


def test_one_failing_file_does_not_keep_the_others_away(server: FileServer, tmp_path: Path) -> None:
    missing = RemoteFile("prototxt", "deploy.prototxt", (server.serve("/p", status(404)),), min_size=1)
    model = model_of(missing, weights_at(server.serve("/a", plain(DATA)), hashes=SHA256))
    with pytest.raises(DownloadError, match=r"deploy\.prototxt could not be downloaded"):
        download(model, home=tmp_path, policy=FAST)
    assert folder(tmp_path) == {"net.caffemodel"}


def test_several_missing_files_are_told_in_one_line(tmp_path: Path) -> None:
    files = (RemoteFile("prototxt", "deploy.prototxt", size=26), weights_at(min_size=1000))
    with pytest.raises(DownloadError) as caught:
        download(model_of(*files), home=tmp_path, offline=True)
    assert str(caught.value) == (
        "net: deploy.prototxt, net.caffemodel missing, and this is offline; "
        f"put the files by hand into {tmp_path / 'net'}: deploy.prototxt (26 bytes), "
        "net.caffemodel (at least 1,000 bytes); and run again"
    )


class Terminal(io.StringIO):
    """A stderr that people watch."""

    def isatty(self) -> bool:
        return True


def test_address_that_fails_is_told_before_the_next_is_asked(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    missing, good = server.serve("/missing", status(404)), server.serve("/good", plain(DATA))
    fetch(tmp_path, weights_at(missing, good, min_size=1), progress=True)
    assert f"net: {missing} (HTTP 404 Not Found); asking the next address\n" in shown.getvalue()


@pytest.mark.parametrize("progress", [True, False])
def test_progress_goes_to_a_terminal_only_if_wanted(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, progress: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = sys.stderr
    fetch(tmp_path, weights_at(server.serve("/a", plain(DATA)), min_size=1), progress=progress)
    assert isinstance(shown, Terminal)
    assert ("net caffemodel" in shown.getvalue()) == progress


def test_importing_loads_neither_requests_nor_protobuf_nor_rich() -> None:
    code = (
        "import sys, weights.downloads.fetch, weights.models; weights.catalog();"
        "print([name for name in ('requests', 'google.protobuf', 'rich', 'numpy') if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
