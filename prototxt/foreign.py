"""What a file is, told by its first bytes: people pass pictures, archives and other frameworks' models by mistake."""

from __future__ import annotations

__all__ = ["kind_of"]

# (offset, magic bytes, what it is)
_MAGIC = (
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ\x00", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"Rar!\x1a\x07", "a RAR archive"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x93NUMPY", "a numpy array (.npy)"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (0, b"GIF8", "a GIF picture"),
    (0, b"%PDF-", "a PDF document"),
    (0, b"MATLAB ", "a MATLAB file (.mat)"),
    (0, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", "a PyTorch file (.pt, .pth)"),
    (4, b"TFL3", "a TensorFlow Lite model"),
    (8, b'{"', "a safetensors file"),
)


def kind_of(head: bytes) -> str:
    """What kind of foreign file begins like this, "" where its first bytes do not tell.

    >>> kind_of(b"\\x1f\\x8b\\x08\\x00")
    'a gzip archive'
    """
    return next((what for offset, magic, what in _MAGIC if head.startswith(magic, offset)), "")
