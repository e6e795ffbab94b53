"""The bytes of an HTTP answer as they come: unpacked where a server compresses unasked, given up where they drip."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from prototxt.errors import DownloadError

if TYPE_CHECKING:
    import requests
    import urllib3

__all__ = ["Pace", "TransientError", "chunks", "encoding", "inflated"]

_SMALL = 1024


class TransientError(Exception):
    """Worth another try."""


class Pace:
    """Gives up on a server that keeps the connection open but hardly sends anything.

    A read timeout cannot see it: every byte starts that clock anew.

    Args:
        least: bytes per second.
        window: seconds over which they are averaged.

    >>> pace = Pace(least=1e6, window=0.0)
    >>> pace.passed(1)
    Traceback (most recent call last):
    weights.downloads.body.TransientError: it sends less than 1,000,000 bytes per second
    """

    def __init__(self, least: float, window: float) -> None:
        self.least, self.window = least, window
        self._start, self._count = time.monotonic(), 0

    def passed(self, count: int) -> None:
        """So many bytes have come; raises TransientError if they are too few for the time."""
        self._count += count
        taken = time.monotonic() - self._start
        if taken < self.window:
            return
        if self._count < self.least * max(taken, 1e-3):
            raise TransientError(f"it sends less than {self.least:,.0f} bytes per second")
        self._start, self._count = time.monotonic(), 0


def encoding(response: requests.Response) -> str:
    """How the body is compressed: "" or "gzip".

    Raises:
        DownloadError: in another way, which nobody has asked for.
    """
    named = response.headers.get("Content-Encoding", "").strip().lower()
    if named in ("", "identity"):
        return ""
    if named in ("gzip", "x-gzip"):
        return "gzip"
    raise DownloadError(f"the server compresses it as {named!r}, though asked not to")


def chunks(response: requests.Response, size: int, pace: Pace) -> Iterator[bytes]:
    """The body as it is on the wire, as soon as it comes (waiting for `size` bytes would hide a server that drips).

    Raises:
        urllib3.exceptions.HTTPError: the connection broke or went silent.
        TransientError: it is too slow.
    """
    while data := _read(response.raw, size):
        pace.passed(len(data))
        yield data


def _read(raw: urllib3.HTTPResponse, size: int) -> bytes:
    if hasattr(raw, "read1"):  # urllib3 2
        return bytes(raw.read1(size, decode_content=False))
    return bytes(raw.read(min(size, _SMALL), decode_content=False))


def inflated(packed: Iterable[bytes], size: int) -> Iterator[bytes]:
    """What gzip made small, at most `size` bytes at a time: a bomb is refused by the file's limit before it goes off.

    Raises:
        TransientError: it is damaged, or ends too early.

    >>> import gzip
    >>> list(inflated([gzip.compress(b"abc"), gzip.compress(b"de")], 2))
    [b'ab', b'c', b'de']
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for data in packed:
            rest = data
            while rest:
                if unpacker.eof:  # another member follows
                    unpacker = zlib.decompressobj(wbits=31)
                if plain := unpacker.decompress(rest, size):
                    yield plain
                rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        while plain := b"" if unpacker.eof else unpacker.decompress(b"", size):
            yield plain
    except zlib.error as error:
        raise TransientError(f"what the server compressed cannot be unpacked ({error})") from error
    if not unpacker.eof:
        raise TransientError("what the server compressed ends too early")
