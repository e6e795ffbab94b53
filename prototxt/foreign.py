"""What a file is, told by its first bytes: people pass web pages, pictures and other frameworks' models by mistake.

Each reader words its own error: what one refuses is just what another wants.
"""

from __future__ import annotations

import re

__all__ = ["HDF5", "MATLAB", "NPY", "ZIP", "is_web_page", "kind_of", "lfs_pointer"]

HDF5, ZIP = "an HDF5 file", "a zip archive"
MATLAB, NPY = "a MATLAB file (.mat)", "a numpy array (.npy)"

# (offset, magic bytes, what it is)
_MAGIC = (
    (0, b"\x89HDF\r\n\x1a\n", HDF5),
    (0, b"PK\x03\x04", ZIP),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar\x00", "a tar archive"),
    (257, b"ustar  \x00", "a tar archive"),
    (0, b"\x93NUMPY", NPY),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"MATLAB ", MATLAB),
    (0, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", "a PyTorch file (.pt, .pth)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (8, b'{"', "a safetensors file"),
)
_PAGE = re.compile(rb"<(!doctype|html|head|body)\b", re.IGNORECASE)


def kind_of(head: bytes) -> str:
    """What kind of binary file begins like this, "" where its first bytes do not tell.

    >>> kind_of(b"\\x1f\\x8b\\x08\\x00")
    'a gzip archive'
    """
    return next((what for offset, magic, what in _MAGIC if head.startswith(magic, offset)), "")


def is_web_page(head: bytes) -> bool:
    """Whether a file begins as HTML does, comments before it aside.

    >>> is_web_page(b"<!-- moved -->\\n<html>"), is_web_page(b"<?xml ?>")
    (True, False)
    """
    rest = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    while rest.startswith(b"<!--"):
        rest = rest.partition(b"-->")[2].lstrip()
    return _PAGE.match(rest) is not None


def lfs_pointer(head: bytes) -> tuple[int | None, str] | None:
    """The size and the hash of the file that a Git LFS pointer stands for, as far as it says; None if it is none.

    >>> lfs_pointer(b"version https://git-lfs.github.com/spec/v1\\noid sha256:4d7a\\nsize 3\\n")
    (3, 'sha256:4d7a')
    """
    if not head.startswith(b"version https://git-lfs"):
        return None
    oid = re.search(rb"^oid (\S+)", head, re.MULTILINE)
    size = re.search(rb"^size (\d{1,18})\b", head, re.MULTILINE)
    return int(size[1]) if size else None, oid[1].decode("ascii", "backslashreplace") if oid else ""
