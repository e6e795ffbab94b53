"""What a file is that is not a weight file: people pass web pages, pointers and other frameworks' files by mistake."""

from __future__ import annotations

import re

from prototxt.errors import WeightsError
from prototxt.foreign import HDF5, ZIP, is_web_page, kind_of, lfs_pointer

__all__ = ["HEAD", "refuse_foreign", "refuse_message"]

HEAD = 4096
"""As many first bytes as :func:`refuse_foreign` wants."""

_AGAIN = "download the file again"
_UNPACK = "unpack it and give the file inside"
_CAFFEMODEL = "give a .caffemodel or .caffemodel.h5"


def _text(head: bytes) -> str | None:
    """The head as text, or None where it is binary; every binary weight file has control or stray bytes early on."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", errors="replace")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < HEAD or error.start < len(head) - 4:  # a character cut at the end of the head is fine
            return None
        text = head[: error.start].decode("utf-8-sig")
    return None if re.search(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", text) else text


def _refuse_text(text: str, where: str) -> None:
    plain = text.encode()
    if pointer := lfs_pointer(plain):
        size, oid = pointer
        says = f"size {size:,} bytes, oid {oid}" if size is not None and oid else "incomplete"
        remedy = "run `git lfs pull`, or download the file itself"
        raise WeightsError(f"it is a Git LFS pointer ({says}), not the weights", where=where, remedy=remedy)
    if is_web_page(plain) or text.lstrip().startswith(("<?xml", "<!--")):
        raise WeightsError("it is a web page (HTML or XML), not weights", where=where, remedy=_AGAIN)
    if re.search(r"^\s*(name|input|layers?|input_dim|input_shape)\s*[:{]", text, re.M):
        remedy = "give the .caffemodel here and this file as the net: are the two swapped?"
        raise WeightsError("it is a net definition (prototxt text), not weights", where=where, remedy=remedy)
    shown = " ".join(text.split())[:60]
    raise WeightsError(f"it is text, not weights: {shown!r}", where=where, remedy=_CAFFEMODEL)


def _refuse_zip(head: bytes, where: str) -> None:
    """Refuse a zip archive that is another framework's way to store weights, told by its first member."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if name.endswith((b"/data.pkl", b"/version", b"/.data/serialization_id", b"/.format_version")):
        raise WeightsError("it is a PyTorch file (.pt, .pth), not weights of Caffe", where=where, remedy=_CAFFEMODEL)
    if name.endswith(b".npy"):
        raise WeightsError("it is a numpy archive (.npz), not weights of Caffe", where=where, remedy=_CAFFEMODEL)


def refuse_foreign(head: bytes, where: str) -> None:
    """Raise a WeightsError that names what the file is, if its first bytes say so; else return.

    >>> refuse_foreign(b"\\x1f\\x8b\\x08\\x00", "net.caffemodel")
    Traceback (most recent call last):
    prototxt.errors.WeightsError: net.caffemodel: it is a gzip archive, not weights; unpack it and give the file inside
    """
    if not head:
        raise WeightsError("the file is empty", where=where, remedy=_AGAIN)
    if not head.strip(b"\x00"):
        raise WeightsError("it begins with nothing but zero bytes", where=where, remedy=_AGAIN)
    what = kind_of(head)
    if what == ZIP:
        _refuse_zip(head, where)
    if what and what != HDF5:
        remedy = _UNPACK if what.endswith("archive") else _CAFFEMODEL
        raise WeightsError(f"it is {what}, not weights", where=where, remedy=remedy)
    text = _text(head)
    if text is not None:
        _refuse_text(text, where)


def refuse_message(seen: set[tuple[int, int]], where: str) -> None:
    """Raise a WeightsError that names a protobuf file of another kind, told by its (field number, wire type) pairs.

    Field 1 tells: the name of a NetParameter is a string (2), ``num``, ``iter`` and ``ir_version`` are numbers (0).
    """
    number = (1, 0) in seen
    if number and seen & {(7, 2), (8, 2)} and not seen & {(2, 0), (5, 2)}:
        raise WeightsError("it is an ONNX model, not weights of Caffe", where=where, remedy=_CAFFEMODEL)
    if number and seen & {(2, 2), (3, 2)}:
        remedy = "give the .caffemodel that was saved with it"
        raise WeightsError("it is a solver state (.solverstate), not weights", where=where, remedy=remedy)
    if (number and seen & {(2, 0), (5, 2), (5, 5)}) or {(5, 2), (7, 2)} <= seen:
        remedy = "read it with weights.read_mean, or give the .caffemodel"
        raise WeightsError("it is a mean file (.binaryproto: one blob), not weights", where=where, remedy=remedy)
