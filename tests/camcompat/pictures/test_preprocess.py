"""The picture reaches the network exactly as Caffe's run had it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camcompat.pictures.images import read_image
from camcompat.pictures.preprocess import Preprocess, encode_mean
from prototxt.errors import CamcompatError

SHAPES = {"resize": [112, 112], "crop": [96, 96], "mean": [104.0, 117.0, 123.0], "scale": 1.0, "channels": "BGR"}


def recipe(*, shape: tuple[Any, ...] = ("N", 3, 96, 96), **values: Any) -> Preprocess:
    return Preprocess.from_mapping(values, input_shape=shape)


def centre_box(prepare: Preprocess, width: int, height: int) -> Any:
    layout = prepare.layout(1, (height, width))
    return layout.box(layout.crops[0], (height, width))


def test_shapes_cam_bit_for_bit(shared: Path) -> None:
    expected = np.load(shared / "shapes-cam" / "expected.npz")
    pictures = sorted((shared / "shapes-cam" / "pictures").iterdir())
    prepare = recipe(**SHAPES)
    for path, rgb, data in zip(pictures, expected["rgb"], expected["data"], strict=False):
        image = read_image(path)
        assert np.array_equal(np.asarray(image), rgb)
        assert prepare.blob(image).tobytes() == data.tobytes()


def test_defaults_follow_the_input() -> None:
    prepare = recipe(shape=("N", 3, 227, 200))
    assert prepare.crop == (227, 200) and prepare.resize == (256, 229)
    assert prepare.channels == "BGR" and prepare.mean.ravel().tolist() == [104, 117, 123] and prepare.scale == 1
    assert recipe(shape=(1, 1, 28, 28)).channels == "GRAY"
    assert recipe(channels="rgb").mean.ravel().tolist() == [123, 117, 104]


def test_channel_order_mean_and_scale() -> None:
    red = Image.new("RGB", (120, 100), (200, 100, 50))
    mean, scale = [10, 20, 30], 0.5
    first = {
        order: recipe(channels=order, mean=mean, scale=scale).blob(red)[:, 0, 0].tolist() for order in ("BGR", "RGB")
    }
    assert first == {"BGR": [20, 40, 85], "RGB": [95, 40, 10]}
    assert recipe(channels="GRAY", mean=0, shape=("N", 1, 96, 96)).blob(red).shape == (1, 96, 96)


def test_crop_takes_the_centre(noise: np.ndarray) -> None:
    prepare = recipe(resize=[150, 200], crop=[100, 40], mean=0, channels="RGB", shape=("N", 3, "H", "W"))
    blob = prepare.blob(Image.fromarray(noise))  # its own size: offsets 25 and 80
    assert np.array_equal(blob, noise[25:125, 80:120].transpose(2, 0, 1).astype(np.float32))
    assert centre_box(prepare, 200, 150) == (80, 25, 120, 125)


def test_null_resize_stretches_to_the_crop(noise: np.ndarray) -> None:
    prepare = recipe(resize=None, mean=0, channels="RGB")
    expected = np.asarray(Image.fromarray(noise).resize((96, 96), Image.Resampling.BILINEAR))
    assert np.array_equal(prepare.blob(Image.fromarray(noise)), expected.transpose(2, 0, 1).astype(np.float32))
    assert centre_box(prepare, 200, 150) == (0, 0, 200, 150)


def test_one_number_is_the_shorter_side(noise: np.ndarray) -> None:
    prepare = recipe(resize=120, mean=0, channels="RGB")
    resized = np.asarray(Image.fromarray(noise).resize((160, 120), Image.Resampling.BILINEAR))
    expected = resized[12:108, 32:128].transpose(2, 0, 1).astype(np.float32)
    assert np.array_equal(prepare.blob(Image.fromarray(noise)), expected)
    assert centre_box(prepare, 200, 150) == (40, 15, 160, 135)


@pytest.mark.parametrize("size", [(20_000, 20), (3, 20_000)])
def test_a_long_strip_is_not_resized_as_a_whole(size: tuple[int, int]) -> None:
    """Its aspect kept, 20,000 x 20 pixels would become 120,000 x 120."""
    rng = np.random.default_rng(6)
    strip = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    prepare = recipe(resize=120, mean=0, channels="RGB")
    factor = 120 / min(size)
    long = round(max(size) * factor)
    wide = size[0] > size[1]
    whole = np.asarray(strip.resize((long, 120) if wide else (120, long), Image.Resampling.BILINEAR))
    side = (long - 96) // 2
    window = whole[12:108, side : side + 96] if wide else whole[side : side + 96, 12:108]
    assert np.abs(prepare.blob(strip) - window.transpose(2, 0, 1)).max() <= 2


def test_odd_margin_rounds_down() -> None:
    assert centre_box(recipe(resize=[256, 256], crop=[227, 227], shape=("N", 3, 227, 227)), 256, 256)[:2] == (14, 14)


def test_crop_box_is_in_the_pictures_own_pixels() -> None:
    assert centre_box(recipe(**SHAPES), 128, 1120) == pytest.approx((8 * 128 / 112, 80, 104 * 128 / 112, 1040))


@pytest.mark.parametrize("size", [112, 96])
def test_mean_image_of_the_resized_or_the_cropped_size(size: int) -> None:
    mean = np.random.default_rng(0).uniform(90, 130, (3, size, size)).astype(np.float32)
    grey = Image.new("RGB", (300, 200), (150, 150, 150))
    centre = mean[:, 8:104, 8:104] if size == 112 else mean
    assert np.array_equal(recipe(resize=[112, 112], mean=mean).blob(grey), np.float32(150) - centre)


def test_ten_crops_and_their_mean_image() -> None:
    """Each crop gets the mean under it, and a mirrored one is mirrored after that."""
    rng = np.random.default_rng(1)
    mean = rng.uniform(90, 130, (3, 112, 112)).astype(np.float32)
    pixels = rng.integers(0, 256, (112, 112, 3), np.uint8)
    prepare = recipe(resize=[112, 112], mean=mean, channels="RGB")
    layout = prepare.layout(10, (112, 112))
    blobs = prepare.blobs(Image.fromarray(pixels), layout)
    whole = pixels.transpose(2, 0, 1) - mean
    corners = [(0, 0), (16, 0), (0, 16), (16, 16), (8, 8)]  # top, left
    assert blobs.shape == (10, 3, 96, 96)
    for index, (top, left) in enumerate(corners):
        window = whole[:, top : top + 96, left : left + 96]
        assert np.array_equal(blobs[index], window)
        assert np.array_equal(blobs[index + 5], window[:, :, ::-1])


def test_ten_crops_of_a_recipe_without_a_margin_take_one() -> None:
    prepare = recipe(resize=None, shape=("N", 3, 224, 224))
    assert prepare.layout(1, (300, 500)).canvas == (224, 224) and prepare.layout(10, (300, 500)).canvas == (256, 256)


def test_mean_of_a_shorter_side_is_taken_at_its_centre(noise: np.ndarray) -> None:
    mean = np.random.default_rng(0).uniform(90, 130, (3, 120, 120)).astype(np.float32)
    grey = Image.new("RGB", (300, 200), (150, 150, 150))
    assert np.array_equal(recipe(resize=120, mean=mean).blob(grey), np.float32(150) - mean[:, 12:108, 12:108])


def test_mean_image_in_a_files_metadata() -> None:
    mean = np.random.default_rng(0).uniform(90, 130, (3, 112, 112)).astype(np.float32)
    kept = json.loads(json.dumps(encode_mean(mean)))
    assert recipe(resize=[112, 112], mean=kept).mean.tobytes() == mean.tobytes()


def test_mean_file(tmp_path: Path) -> None:
    mean = np.random.default_rng(0).uniform(90, 130, (3, 112, 112)).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    assert np.array_equal(recipe(resize=[112, 112], mean=tmp_path / "mean.npy").mean, mean)
    np.save(tmp_path / "values.npy", np.array([1.0, 2.0, 3.0]))
    assert recipe(mean=str(tmp_path / "values.npy")).mean.ravel().tolist() == [1, 2, 3]
    with pytest.raises(CamcompatError, match=r"none.npy: no such file"):
        recipe(mean=tmp_path / "none.npy")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"means": 1}, "unknown preprocessing key 'means'; did you mean 'mean'"),
        ({"channels": "BRG"}, "channels 'BRG'"),
        ({"channels": "GRAY"}, r"channels 1 differs from the network's input \(N, 3, 96, 96\)"),
        ({"crop": [90, 96]}, "height 90 differs"),
        ({"crop": 96}, "crop is 96; expected \\[height, width\\]"),
        ({"resize": [0, 9]}, "resize is"),
        ({"resize": [95, 200]}, "smaller than crop"),
        ({"resize": 95}, "smaller than crop"),
        ({"resize": "256"}, "resize is '256'"),
        ({"mean": [1, 2]}, r"mean of shape \(2,\)"),
        ({"mean": {}}, "mean image that cannot be decoded"),
        ({"mean": {"shape": [3, 2, 2], "float32": "AAAA"}}, "mean image that cannot be decoded"),
        ({"mean": [[1], [2, 3]]}, "expected 3 numbers"),
        ({"mean": [1, 2, float("nan")]}, "mean"),
        ({"mean": np.zeros((3, 50, 50))}, r"mean of shape \(3, 50, 50\)"),
        ({"scale": 0}, "scale is 0"),
        ({"scale": "1"}, "scale is '1'"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        recipe(**values)


def test_input_without_a_size_needs_a_crop() -> None:
    with pytest.raises(CamcompatError, match=r"\(N, 3, H, W\) has no fixed size; say which"):
        recipe(shape=("N", 3, "H", "W"))
