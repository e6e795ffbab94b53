"""One file from one address into a ``.part`` file: retries, resuming, and what is refused on the way.

Resuming follows RFC 9110: ``Range`` with ``If-Range``, so that a file that changed meanwhile comes whole (200) instead
of as a wrong tail (206).
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from prototxt.errors import DownloadError
from weights.downloads.body import Pace, TransientError, chunks, encoding, inflated
from weights.downloads.verify_file import Digests, TruncatedError, content, digests_of
from weights.models import RemoteFile

if TYPE_CHECKING:
    import requests

__all__ = ["Advance", "Policy", "Received", "SilentHostError", "Transfer"]

Advance = Callable[[int, "int | None"], None]
"""Called with the bytes there now and the bytes expected in all (None: unknown)."""


@dataclass(frozen=True)
class Policy:
    """How patient a download is; times in seconds.

    Attributes:
        retries: how often an address is tried again after a broken connection or an error of the server (429, 5xx).
        backoff: the pause before the first retry; it doubles every time. A server's Retry-After may lengthen it.
        longest_pause: no pause is longer, whatever a server asks for.
        connect_timeout, read_timeout: how long to wait for the connection, and for the next bytes.
        min_speed, min_speed_time: bytes per second, on average over so many seconds, below which a server is given up.
        chunk: bytes per write.
        patience: how long to wait for another process that is fetching the same file.

    >>> Policy().read_timeout
    60.0
    """

    retries: int = 2
    backoff: float = 0.5
    longest_pause: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    min_speed: float = 1000.0
    min_speed_time: float = 60.0
    chunk: int = 1 << 16
    patience: float = 600.0

    @classmethod
    def of_environment(cls) -> Policy:
        """The defaults, with $CAMCOMPAT_TIMEOUT as both timeouts and $CAMCOMPAT_RETRIES as the retries, where set.

        Raises:
            DownloadError: one of them is not a number.
        """
        policy, timeout, retries = cls(), _number("CAMCOMPAT_TIMEOUT"), _number("CAMCOMPAT_RETRIES")
        if timeout is not None:
            policy = replace(policy, connect_timeout=timeout, read_timeout=timeout)
        return policy if retries is None else replace(policy, retries=int(retries))


def _number(variable: str) -> float | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # A timeout of 0 would forbid every connection, and sockets know no infinity.
    if not (0 if variable == "CAMCOMPAT_RETRIES" else 0.001) <= value <= 1e6:
        raise DownloadError(f"{text!r} is no such number", where=f"${variable}", remedy="set it to a number above 0")
    return value


@dataclass(frozen=True)
class Received:
    """A complete transfer: the hashes of the part file, and whether it was put together from several answers."""

    digests: dict[str, str]
    resumed: bool


class SilentHostError(DownloadError):
    """A host that does not answer at all; it is asked once in a run."""


@dataclass
class Transfer:
    """The connections of one run; remembers hosts that did not answer, so that they are not waited for twice.

    Attributes:
        policy: see :class:`Policy`.
    """

    policy: Policy
    _silent: dict[str, str] = field(default_factory=dict)
    _session: requests.Session | None = None

    def receive(
        self,
        url: str,
        part: Path,
        file: RemoteFile,
        *,
        known: dict[str, str],
        remember: Callable[[dict[str, str]], None],
        advance: Advance,
    ) -> Received:
        """Fetch ``url`` into ``part``, resuming from what is there if that is safe.

        Args:
            known: ``url`` and ``validator`` that belong to the bytes in ``part``, or {}.
            remember: called with the same for the answer that is about to be written.
            advance: called with (bytes there, bytes in all or None).

        Raises:
            TruncatedError: the connection broke; ``part`` is kept.
            DownloadError: the address has no such file, or something else.
        """
        host = urlsplit(url).netloc
        if host in self._silent:
            raise SilentHostError(self._silent[host], where=host)
        address = _Address(self, url, part, file, dict(known), remember, advance)
        for attempt in range(self.policy.retries + 1):
            if attempt:
                pause = max(self.policy.backoff * 2 ** (attempt - 1), address.asked_pause)
                time.sleep(min(pause, self.policy.longest_pause))
            try:
                return address.attempt()
            except TransientError as error:
                failure = str(error)
        if not address.answered:
            self._silent[host] = failure
        size = part.stat().st_size if part.exists() else 0
        if address.answered:
            raise TruncatedError(failure) if size else DownloadError(failure)
        raise SilentHostError(failure, where=host)

    def get(self, url: str, headers: dict[str, str]) -> requests.Response:
        """Ask for the file; raises TransientError or DownloadError where no answer comes."""
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.headers["User-Agent"] = "camcompat"
            # A compressed answer would have another length than the file, and could not be resumed.
            self._session.headers["Accept-Encoding"] = "identity"
        timeout = (self.policy.connect_timeout, self.policy.read_timeout)
        try:
            return self._session.get(url, headers=headers, stream=True, timeout=timeout)
        except (requests.exceptions.ConnectionError, requests.exceptions.Timeout) as error:
            raise TransientError(self.explain(error)) from error
        except requests.exceptions.TooManyRedirects as error:
            raise DownloadError(f"it redirects in a circle ({self._session.max_redirects} times)") from error
        except (requests.exceptions.RequestException, ValueError) as error:  # ValueError: an address that is not one
            raise DownloadError(f"{type(error).__name__}: {error}") from error

    def explain(self, error: Exception) -> str:
        """What went wrong with a connection, in a few words."""
        text = str(error)
        for pattern, meaning in (
            (r"ProxyError|Cannot connect to proxy", "the proxy failed"),
            (r"NameResolution|getaddrinfo|Name or service", "the host name is not known"),
            (r"unreachable", "the network is unreachable"),
            (r"refused", "the connection was refused"),
            (r"ConnectTimeout|connect timeout", f"no connection within {self.policy.connect_timeout:g} s"),
            (r"[Rr]ead timed out", f"no data for {self.policy.read_timeout:g} s"),
            (r"SSL|certificate", "the TLS connection failed"),
            (r"IncompleteRead|reset|aborted|without response", "the connection broke"),
        ):
            if re.search(pattern, text):
                return meaning
        return f"the connection failed ({type(error).__name__})"


@dataclass
class _Address:
    """The attempts at one address."""

    transfer: Transfer
    url: str
    part: Path
    file: RemoteFile
    known: dict[str, str]
    remember: Callable[[dict[str, str]], None]
    advance: Advance
    answered: bool = False
    asked_pause: float = 0.0

    def attempt(self) -> Received:
        """One request; a part that turns out not to fit is thrown away and everything asked for once more."""
        have = self._resumable()
        with self.transfer.get(self.url, self._headers(have)) as response:
            self.answered = True
            start, total = self._refuse_or_locate(response, have)
            if start is not None:
                return self._store(response, start, total)
        if total == have:  # nothing is missing: an earlier run ended between the last byte and the check
            return Received(digests_of(self.part, self.file.hashes), resumed=True)
        self.part.unlink()
        return self.attempt()

    def _resumable(self) -> int:
        """How many bytes to resume from: some only where a hash, or the same address's validator, can tell a mix-up."""
        if not self.part.exists():
            return 0
        have = self.part.stat().st_size
        same = self.known.get("url") == self.url and self.known.get("validator")
        return have if (same or self.file.hashes) and have <= self.file.limit else 0

    def _headers(self, have: int) -> dict[str, str]:
        if not have:
            return {}
        headers = {"Range": f"bytes={have}-"}
        if self.known.get("url") == self.url and self.known.get("validator"):
            headers["If-Range"] = self.known["validator"]
        return headers

    def _refuse_or_locate(self, response: requests.Response, have: int) -> tuple[int | None, int | None]:
        """(first byte that comes, bytes in all); (None, bytes in all or None) where the part cannot be resumed."""
        status = response.status_code
        if status == 416 and have:
            return None, _total(response)
        if status == 429 or status >= 500:
            self.asked_pause = _retry_after(response)
            raise TransientError(f"HTTP {status} {response.reason}")
        if status not in (200, 206):
            raise DownloadError(f"HTTP {status} {response.reason}")
        if response.headers.get("Content-Type", "").lower().startswith(("text/html", "application/xhtml")):
            raise DownloadError(f"it answers with a web page (HTML), not {self.file.name}")
        self._refuse_downgrade(response)
        packed = encoding(response)
        start, total = _first(response) if status == 206 else 0, _total(response)
        # (A range of a compressed answer counts other bytes than the part's.)
        if status == 206 and (packed or start != have or self._changed(response)):
            if not have:
                raise DownloadError("the server sends another range than was asked for")
            return None, None
        if total is not None and total > self.file.limit:
            raise DownloadError(f"it is too large: {total:,} bytes, expected {self.file.expected_size}")
        least = self.file.size or self.file.min_size or 0
        if total is not None and total < least and self.part.exists() and self.part.stat().st_size > total:
            # Writing it would throw away more of the true file than it brings.
            raise DownloadError(f"it is truncated: {total:,} bytes, expected {self.file.expected_size}")
        return start, total

    def _refuse_downgrade(self, response: requests.Response) -> None:
        """Without a published hash, https is what vouches for a file; a redirect must not take it away."""
        plain = not (response.url or self.url).startswith("https:")
        if self.url.startswith("https:") and plain and not self.file.hashes:
            raise DownloadError("it redirects from https to plain http, and no hash is published")

    def _changed(self, response: requests.Response) -> bool:
        """Whether the tail belongs to another version of the file than the part (a server that ignores If-Range)."""
        if self.known.get("url") != self.url or not self.known.get("validator"):
            return False
        new = _validator(response)
        return bool(new) and new != self.known["validator"]

    def _store(self, response: requests.Response, start: int, total: int | None) -> Received:
        _refuse_full_disk(self.part, total or 0)
        digests = Digests(self.file.hashes, total)
        if start:
            for chunk in _chunks(self.part, self.transfer.policy.chunk):
                digests.update(chunk)
        body = self._body(response, digests, total)
        first = next(body, b"")
        if not start and (first or not total):
            self._refuse_content(first)  # before the part is opened: a web page must not overwrite half a true file
        try:
            with self.part.open("ab" if start else "wb") as stream:
                # The validator of a compressed answer names other bytes than these.
                validator = "" if encoding(response) else _validator(response)
                self.known = {"url": self.url, "validator": validator}
                self.remember(self.known)
                for chunk in itertools.chain([first], body):
                    digests.update(chunk)
                    self._refuse_excess(digests.count)
                    if total is not None and digests.count > total:
                        raise DownloadError(f"it goes on after the {total:,} bytes that the server announced")
                    stream.write(chunk)
                    self.advance(digests.count, total)
        except DownloadError:
            self.part.unlink()
            raise
        if total is not None and digests.count < total:
            raise TransientError(f"the connection broke after {digests.count:,} of {total:,} bytes")
        return Received(digests.hexdigests(), resumed=start > 0)

    def _body(self, response: requests.Response, digests: Digests, total: int | None) -> Iterator[bytes]:
        import urllib3

        policy = self.transfer.policy
        wire = chunks(response, policy.chunk, Pace(policy.min_speed, policy.min_speed_time))
        try:
            yield from inflated(wire, policy.chunk) if encoding(response) else wire
        except (urllib3.exceptions.HTTPError, TransientError) as error:
            of = f" of {total:,}" if total is not None else ""
            reason = str(error) if isinstance(error, TransientError) else self.transfer.explain(error)
            raise TransientError(f"{reason} after {digests.count:,}{of} bytes") from error

    def _refuse_content(self, head: bytes) -> None:
        try:
            content(head, self.file, where=self.url)
        except DownloadError as error:
            raise DownloadError(error.message) from error  # the caller adds the address

    def _refuse_excess(self, count: int) -> None:
        if count > self.file.limit:
            raise DownloadError(f"it is too large: it goes on after {self.file.limit:,} bytes")


def _validator(response: requests.Response) -> str:
    """What names this version of the file: a strong ETag, else the date of the last change, else ""."""
    etag = response.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")


def _first(response: requests.Response) -> int | None:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _total(response: requests.Response) -> int | None:
    """The size of the whole file as announced, or None."""
    match = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
    if match:
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    if response.status_code != 200 or not length.isdigit() or response.headers.get("Content-Encoding"):
        return None
    return int(length)


def _retry_after(response: requests.Response) -> float:
    """The seconds that the server asks to wait; 0 where it names none (or a date)."""
    text = response.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else 0.0


def _refuse_full_disk(part: Path, total: int) -> None:
    """Say so before the disk is full, not after; the part's own bytes are kept or written over."""
    missing = total - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(part.parent).free
    if missing > free:
        raise OSError(errno.ENOSPC, f"{missing:,} bytes are to come, {free:,} are free", str(part.parent))


def _chunks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while chunk := stream.read(size):
            yield chunk
