"""What the download tests share: a catalogue entry at will, and the server."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from file_server import FileServer, running

from prototxt.errors import DownloadError
from weights.downloads.fetch import Policy, download
from weights.models import Input, Model, RemoteFile

DATA = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
FAST = Policy(retries=1, backoff=0.01, connect_timeout=2, read_timeout=2, chunk=1 << 14)
SHA256 = {"sha256": hashlib.sha256(DATA).hexdigest()}


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server on 127.0.0.1 that is asked directly, whatever the environment says about proxies."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("CAMCOMPAT_OFFLINE", raising=False)
    with running() as server:
        yield server


def model_of(*files: RemoteFile, name: str = "net") -> Model:
    """A catalogue entry with these files."""
    prepare = Input(crop=(8, 8), resize=None, mean_values=(0.0, 0.0, 0.0), scale=1.0, color="BGR")
    facts: dict[str, Any] = dict.fromkeys(
        ("title", "source", "licence", "citation", "paper", "note", "features", "classifier"), ""
    )
    return Model(name=name, aliases=(), cam=False, input=prepare, labels=(), files=files, **facts)


def weights_at(*urls: str, **facts: Any) -> RemoteFile:
    """A caffemodel published at these addresses."""
    return RemoteFile("caffemodel", "net.caffemodel", urls, **facts)


def fetch(home: Path, file: RemoteFile, **choices: Any) -> Path:
    """Download a model of one file; returns where the file lies."""
    return download(model_of(file), home=home, policy=FAST, **choices).path(file.kind)


def refused(home: Path, file: RemoteFile, **choices: Any) -> str:
    """Download it, which must fail; returns the message, which must be one line that names the place for the file."""
    with pytest.raises(DownloadError) as caught:
        fetch(home, file, **choices)
    message = str(caught.value)
    assert "\n" not in message
    assert str(home / "net" / file.name) in message
    return message


def folder(home: Path) -> set[str]:
    """What lies in the model's folder."""
    return {path.name for path in (home / "net").iterdir()} if (home / "net").exists() else set()


def recorded(home: Path) -> dict[str, object]:
    """What the lock file says about the caffemodel."""
    entry: dict[str, object] = json.loads((home / "camcompat.lock").read_text())["files"]["net/net.caffemodel"]
    return entry
