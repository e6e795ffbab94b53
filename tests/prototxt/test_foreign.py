"""prototxt.foreign: what a file is, told by its first bytes."""

from __future__ import annotations

import io
import tarfile
import time

import pytest

from prototxt.foreign import HDF5, ZIP, is_web_page, kind_of, lfs_pointer

POINTER = b"version https://git-lfs.github.com/spec/v1\n"


@pytest.mark.parametrize("format_", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_archives(format_: int) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format_) as archive:
        archive.addfile(tarfile.TarInfo("net.caffemodel"))
    assert kind_of(file.getvalue()) == "a tar archive"
    assert kind_of(b"x" * 256 + b"mustard") == ""


def test_what_others_read_has_a_name() -> None:
    assert kind_of(b"\x89HDF\r\n\x1a\n") == HDF5 and kind_of(b"PK\x03\x04") == ZIP


@pytest.mark.parametrize(
    ("head", "page"),
    [
        (b"<html>", True),
        (b"\xef\xbb\xbf\n <!DOCTYPE html>", True),
        (b"<!-- a --> <!-- b --><Head>", True),
        (b"<!-- never closed <html>", False),
        (b"<htmlx>", False),
        (b'<?xml version="1.0"?>', False),
        (b"", False),
    ],
)
def test_web_pages(head: bytes, page: bool) -> None:
    assert is_web_page(head) is page


def test_a_page_of_comments_takes_no_time() -> None:
    """A server could hold up a download with it: the time doubled with each comment."""
    start = time.monotonic()
    assert not is_web_page(b"<!---->" * 1000 + b"x")
    assert time.monotonic() - start < 1


def test_lfs_pointers_that_say_less() -> None:
    assert lfs_pointer(POINTER) == (None, "")
    assert lfs_pointer(POINTER + b"oid sha256:\xff\nsize " + b"9" * 8000) == (None, "sha256:\\xff")
    assert lfs_pointer(b"#" + POINTER) is None
