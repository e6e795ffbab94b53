"""Pictures in: whatever people hand over becomes an upright 8-bit RGB Pillow image, or a one-line error."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeGuard, Union

import numpy as np
from PIL import Image, ImageOps

from prototxt.errors import CamcompatError
from prototxt.foreign import is_web_page, lfs_pointer
from prototxt.limits import get_limits, raise_hint

__all__ = ["DAMAGE", "ImageSource", "ImageSources", "check_opened", "is_picture", "read_image", "source_name"]

ImageSource: TypeAlias = Union[str, "os.PathLike[str]", IO[bytes], Image.Image, np.ndarray]
ImageSources: TypeAlias = list[Any] | tuple[Any, ...] | Iterator[ImageSource]
"""Several pictures; a type of its own, since a path or a file is also something that one can iterate over."""

# What Pillow's decoders let escape on damaged files, besides OSError (which UnidentifiedImageError is).
DAMAGE = (
    ArithmeticError,
    AssertionError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
# Formats that hold pixels. Pillow would hand EPS to Ghostscript, which runs it as a program, and WMF to Windows.
_FORMATS = {
    "AVIF", "BMP", "DIB", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO", "PCX", "PNG", "PPM", "SGI", "SUN", "TGA",
    "TIFF", "WEBP", "XBM", "XPM",
}  # fmt: skip
_UNKNOWN = 1 << 40  # bytes of a stream that cannot tell: no picture is too large for them
_ORIENTATION = 0x0112  # the EXIF tag
_SIXTEEN_BIT_FORMATS = ("PNG", "PPM")  # Pillow opens their 16-bit grey as mode I (32-bit) in some releases


def is_picture(source: object) -> TypeGuard[ImageSource]:
    """Whether this is one picture's source (or nothing that ``read_image`` takes), and not several of them.

    >>> is_picture("cup.jpg"), is_picture(["cup.jpg"])
    (True, False)
    """
    one = isinstance(source, (str, os.PathLike, np.ndarray, Image.Image)) or hasattr(source, "read")
    return one or not isinstance(source, Iterable)


def source_name(source: ImageSource) -> str:
    """Return the path of a source, as far as it is known.

    >>> source_name(Path("cup.jpg")), source_name(np.zeros((20, 30), np.uint8))
    ('cup.jpg', '')
    """
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    name = getattr(source, "filename", "") or getattr(source, "name", "")
    return name if isinstance(name, str) else ""


def read_image(source: ImageSource) -> Image.Image:
    """Return the picture as an upright 8-bit RGB image.

    The EXIF orientation is applied, transparency is laid on white, 16-bit grey keeps its upper byte (as OpenCV, Caffe's
    reader, does), palettes, greys and CMYK become RGB; of an animation the first frame is taken.

    Args:
        source: a path, a binary file object, a Pillow image, or a uint8 array: (H, W) or (H, W, 1) grey, (H, W, 3) RGB,
            (H, W, 4) RGBA.

    Raises:
        CamcompatError: the file is missing, damaged or no picture; the array is of another type or shape; the picture
            has more pixels than Pillow's limit against decompression bombs.

    >>> read_image(np.zeros((20, 30), np.uint8)).size
    (30, 20)
    """
    if isinstance(source, np.ndarray):
        return _upright_rgb(_from_array(source), "array")
    if isinstance(source, Image.Image):
        where = getattr(source, "filename", "") or "image"
        return _decoded(source, str(where))
    if isinstance(source, (str, os.PathLike)):
        return _from_path(Path(source))
    if isinstance(source, io.TextIOBase) or not hasattr(source, "read"):
        raise CamcompatError(
            f"found {type(source).__name__}, expected a path, a binary file, a Pillow image or a uint8 array",
            where="image",
            remedy="open files in mode 'rb'",
        )
    return _from_file(source, str(getattr(source, "name", "") or "image"))


def _from_path(path: Path) -> Image.Image:
    if not path.exists():
        url = "://" in str(path) or str(path).startswith(("http:/", "https:/"))
        raise CamcompatError(
            "is an address, not a file" if url else "no such file",
            where=str(path),
            remedy="download it first" if url else "check the path",
        )
    if path.is_dir():
        raise CamcompatError("is a folder, expected a picture", where=str(path), remedy="name the files in it")
    try:
        file = path.open("rb")
    except OSError as error:
        raise CamcompatError(f"cannot be read: {error.strerror}", where=str(path), remedy="check permissions") from None
    with file:
        return _from_file(file, str(path))


def _from_file(file: IO[bytes], where: str) -> Image.Image:
    try:
        image = Image.open(file)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:  # warnings may be errors
        raise CamcompatError(
            f"is too large: {error}", where=where, remedy="shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS"
        ) from None
    except DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise CamcompatError(f"cannot be read: {error.strerror}", where=where, remedy="check the disk") from None
        raise CamcompatError(
            f"is no picture that Pillow can read: it holds {_kind(file)}",
            where=where,
            remedy="expected JPEG, PNG, WebP, TIFF, BMP, GIF …; download or export it again",
        ) from None
    check_opened(image, _length(image.fp or file), where)
    return _decoded(image, where)


def check_opened(image: Image.Image, size: int, where: str) -> None:
    """Refuse by what a picture of ``size`` bytes says about itself, before anything is decoded.

    Raises:
        CamcompatError: a format that Pillow hands to another program, too many pixels, a decompression bomb.
    """
    if image.format not in _FORMATS:
        raise CamcompatError(
            f"is a picture of the format {image.format}", where=where, remedy="export it as JPEG or PNG"
        )
    limits, pixels = get_limits(), image.width * image.height
    if pixels > limits.picture_pixels:
        raise CamcompatError(
            f"is {image.width}x{image.height} pixels, the limit is {limits.picture_pixels:,}",
            where=where,
            remedy=f"shrink it; {raise_hint('picture_pixels')}",
        )
    if pixels > limits.picture_free + limits.picture_expansion * size:
        raise CamcompatError(
            f"is a decompression bomb: {image.width}x{image.height} pixels in {size:,} bytes",
            where=where,
            remedy=raise_hint("picture_expansion"),
        )


def _length(file: IO[bytes]) -> int:
    """How many bytes a file has; it stays where it is, since decoders go on from there."""
    if not file.seekable():
        return _UNKNOWN
    position = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(position)
    return size


def _kind(file: IO[bytes]) -> str:
    """Name what an unreadable file holds, by its first bytes."""
    try:
        file.seek(0)
        head = file.read(64)
    except (OSError, ValueError):
        return "something else"
    if not head:
        return "nothing (0 bytes)"
    if is_web_page(head):
        return "an HTML page"
    if lfs_pointer(head):
        return "a Git LFS pointer"
    if head.lstrip().startswith((b"<svg", b"<?xml")):
        return "XML (a vector drawing?)"
    return f"bytes that start with {head[:8].hex(' ')}"


def _decoded(image: Image.Image, where: str) -> Image.Image:
    """Decode, turn upright and convert; the damage of a file shows here, not in ``Image.open``."""
    try:
        image.load()
        return _upright_rgb(image, where)
    except (MemoryError, Image.DecompressionBombError):
        raise CamcompatError(
            f"{image.width}x{image.height} pixels are too many to decode", where=where, remedy="shrink the picture"
        ) from None
    except DAMAGE as error:
        raise CamcompatError(f"is damaged: {error}", where=where, remedy="download or export it again") from None


def _upright_rgb(image: Image.Image, where: str) -> Image.Image:
    # exif_transpose always copies; most pictures need no turn.
    if image.getexif().get(_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BIT_FORMATS):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise CamcompatError(
            f"has {'32-bit integer' if image.mode == 'I' else 'float'} pixels, whose range is unknown",
            where=where,
            remedy="scale them to 0..255 and pass a uint8 array",
        )
    if image.mode == "P" and image.palette is None:  # before Pillow 11 a palette that the file lacks is no error
        raise ValueError("it has no palette")
    if image.has_transparency_data:
        colours = image.convert("RGBA")
        white = Image.new("RGBA", colours.size, "white")
        return Image.alpha_composite(white, colours).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_array(array: np.ndarray) -> Image.Image:
    if array.dtype != np.uint8:
        floats = np.issubdtype(array.dtype, np.floating)
        raise CamcompatError(
            f"found dtype {array.dtype}, expected uint8",
            where="array",
            remedy="(255 * array).round().astype('uint8') if it holds 0..1" if floats else "scale it to 0..255 uint8",
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        raise CamcompatError(
            f"found shape {array.shape}, expected (H, W), (H, W, 3) RGB or (H, W, 4) RGBA",
            where="array",
            remedy="array.transpose(1, 2, 0) puts the channels last" if first else "pass one picture, channels last",
        )
    if 0 in array.shape:
        raise CamcompatError(f"is empty: shape {array.shape}", where="array", remedy="pass a picture with pixels")
    return Image.fromarray(array)
