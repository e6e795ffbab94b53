"""Colours and pictures: MATLAB's jet, the index rule of map2jpg.m, overlays and the sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camcompat.pictures.render import colour_index, colourise, draw_boxes, ember, jet, overlay, save_image, sheet
from prototxt.errors import CamcompatError


def test_jet_is_matlabs(shared: Path) -> None:
    assert np.array_equal(jet(), np.load(shared / "cam" / "expected" / "demo_img1.npz")["jet256"])


def test_jet_of_few_colours() -> None:
    # MATLAB's documentation prints jet(4) and jet(8) so.
    assert jet(4).tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]
    assert jet(8)[[0, 1, 7]].tolist() == [[0, 0, 1], [0, 0.5, 1], [0.5, 0, 0]]


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB 0..1, another measure than the one that the scale is made with."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = linear @ [0.2126, 0.7152, 0.0722]
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def test_ember_only_gets_lighter_by_even_steps() -> None:
    colours = ember()
    steps = np.diff(lightness(colours))
    assert colours.shape == (256, 3) and colours.min() > 0 and colours.max() < 1  # nothing was cut off at the gamut
    assert steps.min() > 0.15 and steps.max() < 0.5
    assert lightness(colours)[0] < 4 and lightness(colours)[-1] > 92
    jets = np.diff(lightness(jet()))
    assert jets.min() < -0.5  # which is why


def test_boxes_are_drawn_in_the_pictures_pixels() -> None:
    image = Image.new("RGB", (100, 60), "green")
    drawn = np.asarray(draw_boxes(image, [(10, 20, 30, 15), (5, 5, -3, 4)], scale=(2.0, 1.0))).astype(int)
    white = (drawn == 255).all(-1)
    rows, columns = np.nonzero(white)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (20, 79, 20, 34)
    assert not white[24:30, 24:76].any() and np.asarray(image).max() == 128


def test_colour_index_is_map2jpgs(shared: Path) -> None:
    expected = np.load(shared / "cam" / "expected" / "demo_img1.npz")
    for rule in ("mirror", "clamp"):
        merged, indices = expected[f"merged_matlab_{rule}"], expected[f"heatidx_matlab_{rule}"]
        for category in range(5):
            assert np.array_equal(colour_index(merged[..., category]), indices[..., category])


def test_colour_index_of_odd_maps() -> None:
    assert colour_index(np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]
    assert colour_index(np.array([[np.nan, -2.0, 2.0]])).tolist() == [[0, 0, 255]]
    assert colour_index(np.array([[np.nan, np.nan]])).tolist() == [[0, 0]]


def test_colourise_ends() -> None:
    colours = colourise(np.array([[3.0, -1.0]]), "jet")
    assert colours.dtype == np.uint8 and colours.tolist() == [[[128, 0, 0], [0, 0, 131]]]


def test_overlay_weighs() -> None:
    image, heatmap = Image.new("RGB", (2, 1), (100, 200, 40)), np.array([[0.0, 1.0]])
    assert np.asarray(overlay(image, heatmap, alpha=0)).tolist() == [[[100, 200, 40]] * 2]
    assert np.asarray(overlay(image, heatmap, alpha=1, colours="jet")).tolist() == [[[0, 0, 131], [128, 0, 0]]]
    half = np.asarray(overlay(image, heatmap, colours="jet")).astype(float)
    assert np.abs(half - [[[50, 100, 85.5], [114, 100, 20]]]).max() <= 1


def test_overlay_resamples_a_small_map() -> None:
    picture = np.asarray(overlay(Image.new("RGB", (40, 20)), np.array([[0.0, 1.0]]), alpha=1, colours="jet"))
    assert picture.shape == (20, 40, 3)
    assert picture[:, :8, 2].min() > 100 and picture[:, -8:, 0].min() > 100


def test_overlay_refuses() -> None:
    with pytest.raises(CamcompatError, match="colours are 'hot'; use 'ember' or 'jet'"):
        colourise(np.zeros((2, 2)), "hot")
    with pytest.raises(CamcompatError, match="alpha is 2"):
        overlay(Image.new("RGB", (9, 9)), np.zeros((9, 9)), alpha=2)
    with pytest.raises(CamcompatError, match=r"map of shape \(1, 9, 9\)"):
        overlay(Image.new("RGB", (9, 9)), np.zeros((1, 9, 9)))


def test_sheet_places_panels_in_rows() -> None:
    colours = ["red", "lime", "blue"]
    panels = [
        (Image.new("RGB", (160, 90), colour), colour, None if i == 0 else 0.5) for i, colour in enumerate(colours)
    ]
    one, two = np.asarray(sheet(panels)), np.asarray(sheet(panels, columns=2))
    assert one.shape[1] > 3 * 160 and 2 * 160 < two.shape[1] < 3 * 160 and two.shape[0] > 2 * 90
    for picture in (one, two):
        counts = [(picture == np.array(rgb)).all(-1).sum() for rgb in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
        assert all(count >= 160 * 90 for count in counts)
        assert (picture[0] == 255).all() and (picture[:, 0] == 255).all()


def test_sheet_shortens_what_does_not_fit() -> None:
    plain = sheet([(Image.new("RGB", (160, 90)), "cup", 0.0)])
    for label in ("x" * 500, "many words " * 50, "", "Straße, 杯"):
        wide = sheet([(Image.new("RGB", (160, 90)), label, 1.0)])
        assert wide.width == plain.width and plain.height - 20 <= wide.height <= plain.height + 20


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".PNG"])
def test_save(tmp_path: Path, suffix: str) -> None:
    save_image(Image.new("RGB", (30, 20), "red"), tmp_path / f"a{suffix}")
    with Image.open(tmp_path / f"a{suffix}") as image:
        assert image.size == (30, 20) and image.convert("RGB").getpixel((3, 3))[0] > 250


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.xyz", "cannot write '.xyz'"), ("a", "cannot write 'no suffix'"), ("no/a.png", "No such file")],
)
def test_save_refuses(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        save_image(Image.new("RGB", (30, 20)), tmp_path / name)
    with pytest.raises(CamcompatError, match="is no font"):
        sheet([(Image.new("RGB", (30, 20)), "cup", 0.5)], font=str(tmp_path / "no.ttf"))
