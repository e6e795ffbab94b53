"""A web server on 127.0.0.1 for the download tests: good, odd and broken ways to serve one file."""

from __future__ import annotations

import contextlib
import gzip
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[["Request"], None]
"""Answers one request, through the handler that it gets."""


class Request(BaseHTTPRequestHandler):
    """One request; the answers below use its two verbs."""

    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        """Look the answer up, and log what was asked."""
        self.server.asked.append((self.path, self.headers.get("Range", ""), self.headers.get("If-Range", "")))
        answers = self.server.answers.get(self.path, [status(404)])
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        with contextlib.suppress(ConnectionError):
            answer(self)

    def head(self, code: int, length: int | None, **headers: str) -> None:
        """The status line and headers; a header's name is written with _ for -."""
        self.send_response(code)
        if length is None:
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


class FileServer(ThreadingHTTPServer):
    """Answers per path; the last one of a path repeats.

    Attributes:
        answers: path → answers, in order.
        asked: (path, Range, If-Range) of every request.
        asked_to_stop: that the test is over; answers that wait should end.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[tuple[str, str, str]] = []
        self.asked_to_stop = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests; anything else is printed, as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def serve(self, path: str, *answers: Answer) -> str:
        """Answer that path so; returns its address."""
        self.answers[path] = list(answers)
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@contextlib.contextmanager
def running() -> Iterator[FileServer]:
    """A server that runs while the block does."""
    with FileServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.asked_to_stop = True
            server.shutdown()
            thread.join()


def plain(data: bytes, *, content_type: str = "application/octet-stream", **headers: str) -> Answer:
    """The whole file, whatever range is asked for."""

    def answer(request: Request) -> None:
        request.head(200, len(data), Content_Type=content_type, **headers)
        request.wfile.write(data)

    return answer


def ranges(data: bytes, etag: str = '"1"', *, shift: int = 0) -> Answer:
    """The file with ranges as RFC 9110 has them; ``shift`` makes the server start somewhere else than asked."""

    def answer(request: Request) -> None:
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if not found or request.headers.get("If-Range", etag) != etag:
            request.head(200, len(data), ETag=etag, Accept_Ranges="bytes")
            request.wfile.write(data)
        elif int(found[1]) >= len(data):
            request.head(416, 0, Content_Range=f"bytes */{len(data)}")
        else:
            start = int(found[1]) + shift
            content_range = f"bytes {start}-{len(data) - 1}/{len(data)}"
            request.head(206, len(data) - start, ETag=etag, Content_Range=content_range)
            request.wfile.write(data[start:])

    return answer


def breaks_after(data: bytes, count: int, etag: str = '"1"') -> Answer:
    """Announces the whole file and closes the connection after ``count`` bytes."""

    def answer(request: Request) -> None:
        request.head(200, len(data), ETag=etag)
        request.wfile.write(data[:count])
        request.wfile.flush()
        request.close_connection = True

    return answer


def unannounced(data: bytes) -> Answer:
    """The file without a Content-Length: it ends when the connection does."""

    def answer(request: Request) -> None:
        request.head(200, None)
        request.wfile.write(data)

    return answer


def status(code: int) -> Answer:
    """An error page."""
    return lambda request: request.head(code, 0)


def redirect(to: str) -> Answer:
    """The file is elsewhere."""
    return lambda request: request.head(302, 0, Location=to)


def slow(data: bytes, seconds: float) -> Answer:
    """The file, late."""

    def answer(request: Request) -> None:
        time.sleep(seconds)
        plain(data)(request)

    return answer


def drips(data: bytes, pause: float) -> Answer:
    """One byte at a time, for ever: what no read timeout notices."""

    def answer(request: Request) -> None:
        request.head(200, len(data), ETag='"1"')
        for byte in data:
            request.wfile.write(bytes([byte]))
            request.wfile.flush()
            time.sleep(pause)

    return answer


def compressed(data: bytes, *, keep: float = 1.0, name: str = "gzip", etag: str = '"1-gzip"') -> Answer:
    """The file as gzip although the client asked for none; ``keep``: the share of the compressed bytes that arrives."""

    def answer(request: Request) -> None:
        packed = gzip.compress(data)
        part = packed[: int(len(packed) * keep)]
        request.head(200, None, Content_Encoding=name, ETag=etag)
        request.wfile.write(part)

    return answer


def chunked(data: bytes, *, whole: bool = True) -> Answer:
    """The file in HTTP chunks of 50,000 bytes; ``whole`` False: the connection ends in the middle of the second."""

    def answer(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for start in range(0, len(data), 50_000):
            piece = data[start : start + 50_000]
            request.wfile.write(f"{len(piece):x}\r\n".encode() + (piece if whole or not start else piece[:10]))
            if not whole and start:
                request.close_connection = True
                return
            request.wfile.write(b"\r\n")
        request.wfile.write(b"0\r\n\r\n")

    return answer


def partial(data: bytes, content_range: str | None, **headers: str) -> Answer:
    """206 with these bytes under that Content-Range, whether it fits or not; the whole of DATA without a Range."""

    def answer(request: Request) -> None:
        named = {} if content_range is None else {"Content_Range": content_range}
        request.head(206, len(data), **named, **headers)
        request.wfile.write(data)

    return answer
