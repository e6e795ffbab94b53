"""Every kind of picture becomes upright 8-bit RGB, every kind of rubbish a one-line error."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camcompat.pictures.images import is_picture, read_image, source_name
from prototxt.errors import CamcompatError


def encoded(image: Image.Image, form: str, **options: object) -> io.BytesIO:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    buffer.seek(0)
    return buffer


def pixel(image: Image.Image, x: int = 3, y: int = 4) -> tuple[int, ...]:
    assert image.mode == "RGB"
    return image.getpixel((x, y))


def test_array_rgb_keeps_its_bytes(noise: np.ndarray) -> None:
    assert np.array_equal(np.asarray(read_image(noise)), noise)


def test_array_that_is_a_view_of_another(noise: np.ndarray) -> None:
    assert np.array_equal(np.asarray(read_image(noise[::-1, ::2, ::-1])), noise[::-1, ::2, ::-1])


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 1)])
def test_array_grey(shape: tuple[int, ...]) -> None:
    image = read_image(np.full(shape, 77, np.uint8))
    assert image.size == (30, 20) and pixel(image) == (77, 77, 77)


def test_array_rgba_is_laid_on_white() -> None:
    array = np.zeros((20, 30, 4), np.uint8)
    array[:10, :, 3] = 255  # opaque black above, transparent black below
    image = read_image(array)
    assert pixel(image, 0, 0) == (0, 0, 0) and pixel(image, 0, 19) == (255, 255, 255)


def test_path_str_file_and_image_agree(tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    with path.open("rb") as file:
        sources = [path, str(path), file, io.BytesIO(path.read_bytes()), Image.open(path)]
        assert all(np.array_equal(np.asarray(read_image(source)), noise) for source in sources)


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(form: str) -> None:
    picture = Image.new("RGB", (40, 20), "black")
    picture.paste("white", (0, 0, 20, 20))  # left half white
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: left becomes top
    image = read_image(encoded(picture, form, exif=exif))
    assert image.size == (20, 40)
    assert pixel(image, 10, 5)[0] > 250 and pixel(image, 10, 35)[0] < 5


def test_palette_with_transparency() -> None:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((0, 0), 0)
    image = read_image(encoded(picture, "PNG", transparency=0))
    assert pixel(image, 0, 0) == (255, 255, 255) and pixel(image) == (200, 100, 50)


def test_grey_with_alpha_and_half_transparency() -> None:
    image = read_image(encoded(Image.new("LA", (16, 16), (0, 128)), "PNG"))
    assert pixel(image) == (127, 127, 127)


def test_sixteen_bit_grey_keeps_its_upper_byte() -> None:
    values = np.full((16, 16), 0x80FF, np.uint16)
    assert pixel(read_image(encoded(Image.fromarray(values), "PNG"))) == (128, 128, 128)
    assert pixel(read_image(encoded(Image.fromarray(values), "TIFF"))) == (128, 128, 128)


def test_cmyk_bilevel_and_gif() -> None:
    assert pixel(read_image(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "TIFF"))) == (255, 0, 0)
    assert pixel(read_image(encoded(Image.new("1", (16, 16), 1), "PNG"))) == (255, 255, 255)
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    animation = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert pixel(read_image(animation)) == (255, 0, 0)


def test_stream_that_cannot_seek(noise: np.ndarray) -> None:
    class Stream(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.rest = data

        def read(self, size: int = -1) -> bytes:
            piece, self.rest = (self.rest, b"") if size < 0 else (self.rest[:size], self.rest[size:])
            return piece

    data = encoded(Image.fromarray(noise), "PNG").getvalue()
    assert np.array_equal(np.asarray(read_image(Stream(data))), noise)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_pixels_of_unknown_range_are_refused(mode: str) -> None:
    with pytest.raises(CamcompatError, match=r"whose range is unknown; scale them to 0..255"):
        read_image(Image.new(mode, (16, 16)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "nothing \\(0 bytes\\)"),
        (b"<!DOCTYPE html><html></html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<svg xmlns=''/>", "XML"),
        (b"\x0a\x0bnet", "bytes that start with 0a 0b"),
    ],
)
def test_files_that_are_no_pictures(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cup.jpg"
    path.write_bytes(content)
    with pytest.raises(CamcompatError, match=message) as caught:
        read_image(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_truncated_files_never_raise_anything_else(form: str, keep: float, noise: np.ndarray) -> None:
    data = encoded(Image.fromarray(noise), form).getvalue()
    try:
        image = read_image(io.BytesIO(data[: int(len(data) * keep)]))
    except CamcompatError as error:
        assert "\n" not in str(error)
    else:  # only formats whose reader accepts a missing end by its own rules
        assert form not in ("JPEG", "PNG") and image.size == (200, 150)


def test_damaged_jpeg_is_called_damaged(noise: np.ndarray) -> None:
    data = encoded(Image.fromarray(noise), "JPEG").getvalue()
    with pytest.raises(CamcompatError, match=r"is damaged: .*; download or export it again"):
        read_image(io.BytesIO(data[: len(data) // 2]))


def test_too_many_pixels(monkeypatch: pytest.MonkeyPatch, noise: np.ndarray) -> None:
    data = encoded(Image.fromarray(noise), "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(CamcompatError, match=r"is too large: .*MAX_IMAGE_PIXELS"):
        read_image(data)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (20_000, 3)])
def test_any_size_is_a_picture(size: tuple[int, int]) -> None:
    assert read_image(np.zeros((size[1], size[0]), np.uint8)).size == size


def test_one_picture_or_several(tmp_path: Path, noise: np.ndarray) -> None:
    for one in ("a.png", tmp_path, noise, Image.new("RGB", (9, 9)), io.BytesIO(), None, 3):
        assert is_picture(one)
    for several in (["a.png"], ("a.png",), iter(["a.png"]), (name for name in ["a.png"])):
        assert not is_picture(several)


def test_the_source_is_known_where_it_can_be(tmp_path: Path, noise: np.ndarray) -> None:
    path = tmp_path / "noise.png"
    Image.fromarray(noise).save(path)
    with path.open("rb") as file, Image.open(path) as image:
        assert source_name(path) == source_name(str(path)) == source_name(file) == source_name(image) == str(path)
    assert source_name(noise) == source_name(io.BytesIO()) == ""


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 30, 3), np.float32), "found dtype float32, expected uint8; .*255"),
        (np.zeros((20, 30), np.uint16), "found dtype uint16"),
        (np.zeros((3, 20, 30), np.uint8), r"found shape \(3, 20, 30\).*transpose\(1, 2, 0\)"),
        (np.zeros((2, 20, 30, 3), np.uint8), "one picture"),
        (np.zeros((20, 30, 2), np.uint8), r"expected \(H, W\)"),
        (np.zeros((0, 30, 3), np.uint8), "is empty"),
    ],
)
def test_arrays_of_the_wrong_form(array: np.ndarray, message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        read_image(array)


def test_sources_of_the_wrong_kind(tmp_path: Path) -> None:
    with pytest.raises(CamcompatError, match="no such file; check the path"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(CamcompatError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(CamcompatError, match="is an address, not a file; download it first"):
        read_image("https://example.org/cup.jpg")
    with pytest.raises(CamcompatError, match="found NoneType"):
        read_image(None)
    with pytest.raises(CamcompatError, match="mode 'rb'"):
        read_image(io.StringIO("text"))
