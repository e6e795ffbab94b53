"""Prototxt files as bytes: decoding, and telling what a file is that is not a prototxt."""

from __future__ import annotations

import os
import re
from pathlib import Path

from prototxt.errors import PrototxtError
from prototxt.foreign import HDF5, ZIP, is_web_page, kind_of, lfs_pointer
from prototxt.limits import get_limits, raise_hint

__all__ = ["check_text", "read_text"]

_HEAD = 8192
_DOWNLOAD = "download the file itself"
_BINARY = "give the .prototxt here and the caffemodel as the weights: are the two swapped?"
_REMEDIES = {HDF5: _BINARY, ZIP: "unpack it"}
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
    head = text[:_HEAD].lstrip("\ufeff").lstrip(" \t\r\n").encode("latin-1", "replace")
    if not head and len(text) < _HEAD:
        raise PrototxtError("the file is empty", where=source, remedy=_DOWNLOAD)
    what, remedy = "", "give a Caffe prototxt"
    if is_web_page(head):
        what, remedy = "a web page (HTML)", _DOWNLOAD + " (raw)"
    elif lfs_pointer(head) is not None:
        what, remedy = "a Git LFS pointer, not the file it points to", "run git lfs pull, or " + _DOWNLOAD
    elif head.startswith(b"404"):
        what, remedy = "a web server's answer that the file does not exist", _DOWNLOAD
    elif head.startswith(b"<?xml"):
        what = "XML"
    elif _CONTROL.search(text, 0, _HEAD):
        what = kind_of(text[:_HEAD].encode("latin-1", "replace"))
        remedy = _REMEDIES.get(what, remedy)
        if not what:
            what, remedy = "a binary file (a caffemodel?)", _BINARY
    if what:
        raise PrototxtError(f"it is {what}, not a prototxt", where=source, remedy=remedy)
