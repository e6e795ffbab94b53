"""Prototxt files as bytes: decoding, and telling what a file is that is no prototxt."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prototxt.errors import PrototxtError
from prototxt.foreign import kind_of
from prototxt.limits import get_limits, raise_hint

__all__ = ["check_text", "read_text"]

_HEAD = 8192
_DOWNLOAD = "download the file itself"
_BINARY = "give the .prototxt here and the caffemodel as the weights: are the two swapped?"
_SIGNATURES = (
    ("version https://git-lfs", "a Git LFS pointer, not the file it points to", "run git lfs pull, or " + _DOWNLOAD),
    ("\x89HDF\r\n", "an HDF5 file", _BINARY),
    ("PK\x03\x04", "a zip archive", "unpack it"),
    ("404", "a web server's answer that the file does not exist", _DOWNLOAD),
    ("<?xml", "XML", "give a Caffe prototxt"),
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f]")


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a prototxt file: UTF-8 or UTF-16 by its mark, else latin-1.

    Raises:
        PrototxtError: the file cannot be read, or is binary.
    """
    name = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            head = file.read(_HEAD)
            # A caffemodel of half a gigabyte is recognised by its beginning.
            if not head.startswith((b"\xff\xfe", b"\xfe\xff")):
                check_text(head.decode("latin-1"), name)
            most = get_limits().text_bytes
            data = head + file.read(max(most + 1 - len(head), 0))
            if len(data) > most:
                raise PrototxtError(f"it has more than {most:,} bytes", where=name, remedy=raise_hint("text_bytes"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise PrototxtError(f"cannot read the file: {reason}", where=name, remedy="check the path") from error
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def check_text(text: str, source: str) -> None:
    """Refuse a text that is recognisably something else than a prototxt, and say what it is.

    Raises:
        PrototxtError: it is empty, HTML, a Git LFS pointer, or binary.
    """
    start = text[:_HEAD].lstrip("\ufeff").lstrip(" \t\r\n")
    if not start and len(text) < _HEAD:
        raise PrototxtError("the file is empty", where=source, remedy=_DOWNLOAD)
    if re.match(r"<(!doctype|html|head|body)\b", start, re.IGNORECASE):
        raise PrototxtError("it is a web page (HTML), not a prototxt", where=source, remedy=_DOWNLOAD + " (raw)")
    for signature, what, remedy in _SIGNATURES:
        if start.startswith(signature):
            raise PrototxtError(f"it is {what}, not a prototxt", where=source, remedy=remedy)
    if _CONTROL.search(text, 0, _HEAD):
        what = kind_of(text[:_HEAD].encode("latin-1", "replace"))
        if what:
            raise PrototxtError(f"it is {what}, not a prototxt", where=source, remedy="give a Caffe prototxt")
        raise PrototxtError("it is a binary file (a caffemodel?), not a prototxt", where=source, remedy=_BINARY)
