"""MATLAB's imresize: numbers by hand from its definition, Pillow's inside of the border, and the release's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camcompat.pictures.imresize import resize, weights
from prototxt.errors import CamcompatError

# Keys' kernel, a = -0.5, at 0.25, 0.75, 1.25 and 1.75.
A, B, C, D = 0.8671875, 0.2265625, -0.0703125, -0.0234375


def test_bicubic_weights_by_hand() -> None:
    """Twice the size: every output lies a quarter of a pixel beside an input."""
    inner = weights(8, 16).toarray()[[6, 7], 1:6]
    assert inner.tolist() == [[D, B, A, C, 0], [0, C, A, B, D]]


@pytest.mark.parametrize(
    ("border", "first"),
    [
        ("mirror", [A + B, C + D, 0]),  # taps -2 -1 0 1 fall on 1 0 0 1
        ("clamp", [A + B + D, C, 0]),  # and on 0 0 0 1
    ],
)
def test_borders_by_hand(border: str, first: list[float]) -> None:
    matrix = weights(3, 6, border=border).toarray()
    assert matrix[0] == pytest.approx(first) and matrix[-1] == pytest.approx(first[::-1])


def test_mirror_of_an_image_smaller_than_the_kernel() -> None:
    assert np.allclose(resize(np.array([[3.0]]), (5, 4)), 3)
    two = weights(2, 4).toarray()[0]  # taps -2 -1 0 1 fall on 1 0 0 1
    assert two == pytest.approx([A + B, C + D])


def test_antialiasing_by_hand() -> None:
    """Half the size, bilinear: the triangle is 4 wide, its values at 0.5 and 1.5 are 3/8 and 1/8."""
    assert weights(8, 4, "bilinear").toarray()[1].tolist() == [0, 0.125, 0.375, 0.375, 0.125, 0, 0, 0]
    assert weights(8, 4, "bilinear").toarray()[0].tolist() == [0.5, 0.375, 0.125, 0, 0, 0, 0, 0]
    assert weights(8, 4, "bilinear", antialias=False).toarray()[1].tolist() == [0, 0, 0.5, 0.5, 0, 0, 0, 0]


def test_box() -> None:
    assert weights(6, 2, "box").toarray()[0] == pytest.approx([1 / 3] * 3 + [0] * 3)
    assert resize(np.array([[1.0, 2.0]]), (1, 4), "box").tolist() == [[1, 1, 2, 2]]


@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(40, 61), (17, 20), (90, 33), (31, 47)])
def test_pillow_agrees_inside_of_the_border(method: str, size: tuple[int, int]) -> None:
    """Pillow has the same kernels and antialiasing, and another border rule."""
    image = np.random.default_rng(3).normal(size=(31, 47)).astype(np.float32)
    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], filters[method]))
    reach = [round(3 * max(1, wanted / length)) + 3 for wanted, length in zip(size, image.shape, strict=True)]
    inside = (slice(reach[0], -reach[0]), slice(reach[1], -reach[1]))
    found = resize(image, size, method)
    assert found.dtype == np.float32 and found[inside].size
    assert np.abs(found - expected)[inside].max() < 1e-5


def test_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).normal(size=(13, 9, 3))
    for method in ("bicubic", "bilinear", "box"):
        assert np.array_equal(resize(image, (13, 9), method), image)


def test_uint8_is_rounded_halves_up_and_cut_off() -> None:
    step = np.array([[0, 255]], np.uint8)
    assert resize(step, (1, 4)).tolist() == [[0, 52, 203, 255]]  # -24, 51.8, 203.2, 279 before
    assert resize(np.array([[0, 1]], np.uint8), (1, 1), "box").tolist() == [[1]]


def test_uint8_is_rounded_between_the_dimensions_and_the_smaller_scale_is_first() -> None:
    """1 x 2 -> 1 x 1 -> ... : columns shrink first here, and their 0.5 becomes 1 before the rows are enlarged."""
    image = np.array([[0, 1], [10, 10]], np.uint8)
    columns_first = resize(np.array([[1], [10]], np.uint8), (3, 1), "bilinear")
    assert np.array_equal(resize(image, (3, 1), "bilinear"), columns_first)
    assert resize(image.astype(np.float64), (3, 1), "bilinear")[0, 0] == 0.5


def test_factor() -> None:
    """MATLAB: ceil(factor * side) pixels, and the factor itself places them."""
    image = np.arange(5.0)[np.newaxis] * np.ones((3, 1))
    assert resize(image, 0.5).shape == (2, 3) and resize(image, 2).shape == (6, 10)
    # centres at (i + 0.5) / 0.5 - 0.5 = 0.5, 2.5: a ramp is kept where the kernel does not reach the border
    assert resize(np.arange(40.0)[np.newaxis] * np.ones((40, 1)), 0.5)[8, 8] == pytest.approx(16.5)


def test_channels_and_views() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    both = resize(image[::-1, ::2], (16, 40))
    assert both.shape == (16, 40, 3) and both.flags.c_contiguous
    for channel in range(3):
        assert np.array_equal(both[..., channel], resize(image[::-1, ::2, channel], (16, 40)))


def test_large_images_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)
    expected = resize(image, (20, 90))
    monkeypatch.setattr("camcompat.pictures.imresize._BLOCK", 500)
    assert np.array_equal(resize(image, (20, 90)), expected)


def test_the_picture_of_the_release(shared: Path) -> None:
    image = np.asarray(Image.open(shared / "cam" / "img1.jpg").convert("RGB"))
    expected = np.load(shared / "cam" / "expected" / "demo_img1.npz")["img256_matlab"]
    assert np.array_equal(resize(image, (256, 256)), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 3), np.int32), (2, 2)), "found int32"),
        ((np.zeros((3,)), (2, 2)), r"of shape \(3,\)"),
        ((np.zeros((0, 3)), (2, 2)), r"of shape \(0, 3\)"),
        ((np.zeros((3, 3)), (2, 0)), r"size is \(2, 0\)"),
        ((np.zeros((3, 3)), -1), "size is -1"),
        ((np.zeros((3, 3)), (2, 2), "lanczos"), "method 'lanczos'"),
    ],
)
def test_refuses(arguments: tuple, message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        resize(*arguments)
    with pytest.raises(CamcompatError, match="border 'wrap'"):
        resize(np.zeros((3, 3)), (2, 2), border="wrap")
