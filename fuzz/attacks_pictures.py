"""Pictures made to break the picture loader, and what Pillow itself can write of every form that people have."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from fuzz.watch import Case

__all__ = ["cases", "png", "saved"]


def gradient(mode: str = "RGB", size: tuple[int, int] = (32, 24)) -> Image.Image:
    """A small picture whose four corners differ."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    picture = Image.fromarray(np.stack([x, y, 255 - x], axis=-1).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray((x * 257).astype(np.uint16))
    return picture.convert(mode)


def saved(format_: str, mode: str = "RGB", size: tuple[int, int] = (32, 24), **options: Any) -> bytes:
    """A picture's file."""
    buffer = io.BytesIO()
    gradient(mode, size).save(buffer, format_, **options)
    return buffer.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG file that says what it is told to, whatever its data are."""
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + extra + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _zeros(width: int, height: int, bits: int) -> bytes:
    """Compressed rows of zeros, made row by row."""
    packer, row = zlib.compressobj(9), bytes(1 + (width * bits + 7) // 8)
    return b"".join(packer.compress(row) for _ in range(height)) + packer.flush()


@cache
def _packed() -> bytes:
    """200 MB of zeros, compressed a megabyte at a time."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1_000_000)) for _ in range(200)) + packer.flush()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _frames(format_: str) -> bytes:
    buffer = io.BytesIO()
    frames = [gradient("RGB", (40, 30)).rotate(90 * i) for i in range(4)]
    frames[0].save(buffer, format_, save_all=True, append_images=frames[1:], duration=10)
    return buffer.getvalue()


def _legal() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for format_, mode in (
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "LA"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "I;16"),
        ("TIFF", "RGB"),
        ("TIFF", "CMYK"),
        ("TIFF", "I;16"),
        ("TIFF", "LAB"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("PPM", "RGB"),
        ("TGA", "RGBA"),
        ("ICO", "RGBA"),
        ("JPEG2000", "RGB"),
    ):
        yield f"{format_} {mode}", (lambda format_=format_, mode=mode: saved(format_, mode))
    for turn in range(1, 9):
        yield f"EXIF orientation {turn}", (lambda turn=turn: saved("JPEG", exif=_exif(turn)))
    for format_ in ("GIF", "WEBP", "PNG", "TIFF"):
        yield f"animated {format_}", (lambda format_=format_: _frames(format_))
    yield "progressive JPEG", lambda: saved("JPEG", progressive=True)
    yield "20,000 pixels wide", lambda: saved("PNG", "L", (20_000, 30))
    yield "1 x 1", lambda: saved("PNG", size=(1, 1))
    yield "5,000 x 4,000 of one grey", lambda: png(5000, 4000, _zeros(5000, 4000, 8), 8, 0)
    yield "20,000 pixels high", lambda: saved("JPEG", "RGB", (30, 20_000))


def _bombs() -> Iterator[tuple[str, Callable[[], bytes]]]:
    yield "PNG 30,000 x 30,000", lambda: png(30_000, 30_000, _zeros(30_000, 30_000, 1), 1, 0)
    yield "PNG 12,000 x 12,000 of 0.1 MB", lambda: png(12_000, 12_000, _zeros(12_000, 12_000, 1), 1, 0)
    yield "PNG 8,000 x 8,000 of 8 kB", lambda: png(8000, 8000, _zeros(8000, 8000, 1), 1, 0)
    yield "PNG 2^31 - 1 wide", lambda: png(2**31 - 1, 2**31 - 1, b"")
    yield "PNG 2^31 - 1 wide, one row", lambda: png(2**31 - 1, 1, b"")
    yield "PNG 0 wide", lambda: png(0, 10, b"")
    yield "GIF 65,535 x 65,535", lambda: saved("GIF", "P")[:6] + b"\xff\xff\xff\xff" + saved("GIF", "P")[10:]
    yield "BMP 2^31 - 1 wide", lambda: _patched(saved("BMP"), 18, struct.pack("<ii", 2**31 - 1, 2**31 - 1))
    yield "BMP of negative size", lambda: _patched(saved("BMP"), 18, struct.pack("<ii", -32, -(2**31)))
    yield "PPM of 10^10 pixels", lambda: b"P6 100000 100000 255\n" + bytes(100)
    yield "PPM of 10^5000 pixels", lambda: b"P6 " + b"9" * 5000 + b" 1 255\n" + bytes(100)

    yield (
        "PNG with a text chunk of 200 MB",
        lambda: png(16, 16, _zeros(16, 16, 24), extra=_chunk(b"zTXt", b"a\0\0" + _packed())),
    )
    yield (
        "PNG with a colour profile of 200 MB",
        lambda: png(16, 16, _zeros(16, 16, 24), extra=_chunk(b"iCCP", b"a\0\0" + _packed())),
    )


def _patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def _damaged() -> Iterator[tuple[str, Callable[[], bytes]]]:
    for format_ in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000"):
        for part in (0.02, 0.5, 0.9):
            yield (
                f"{format_} cut off at {part:.0%}",
                lambda format_=format_, part=part: saved(format_, size=(320, 240))[
                    : int(len(saved(format_, size=(320, 240))) * part)
                ],
            )
    yield "PNG with a wrong checksum", lambda: _patched(saved("PNG"), 29, b"\0\0\0\0")
    yield "TIFF whose directory is itself", lambda: b"II*\0\x08\0\0\0" + b"\x01\0" + bytes(12) + b"\x08\0\0\0"
    yield (
        "TIFF with a directory of 65,535 entries",
        lambda: b"II*\0\x08\0\0\0\xff\xff" + b"\0\1\4\0\xff\xff\xff\xff\xff\0\0\0" * 65_535,
    )


def _foreign() -> Iterator[tuple[str, bytes]]:
    yield (
        "SVG",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><image href="file:///etc/passwd"/></svg>',
    )
    yield "SVG of entities", b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "b">]><svg>&a;</svg>'
    yield "text", b"this is no picture\n" * 100
    yield "HTML", b"<!DOCTYPE html><html><body>404</body></html>"
    yield "nothing", b""
    yield "EPS that runs", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n(/etc/passwd) (r) file\nshowpage\n"
    yield "PDF", b"%PDF-1.4\n%\xe2\xe3\n"
    yield "zeros", bytes(1_000_000)
    yield "FITS", b"SIMPLE  =                    T".ljust(2880)
    yield "a Windows metafile", b"\xd7\xcd\xc6\x9a" + bytes(200)
    yield "a PSD", b"8BPS\0\1" + bytes(200)


def cases() -> Iterator[Case]:
    """Every hand-made picture."""
    for name, make in _legal():
        yield Case("picture", "pictures of every form: CMYK, 16 bits, alpha, palette, EXIF, animated", name, make, True)
    for name, make in _bombs():
        legal = None if "chunk" in name or "profile" in name else False
        yield Case("picture", "decompression bombs", name, make, legal)
    for name, make in _damaged():
        yield Case("picture", "truncated, damaged and tiny pictures", name, make)
    for name, data in _foreign():
        yield Case("picture", "other files named as pictures", name, lambda data=data: data)
