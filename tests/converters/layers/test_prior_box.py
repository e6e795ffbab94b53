"""PriorBox: numbers worked out by hand from SSD's prior_box_layer.cpp."""

from __future__ import annotations

import numpy as np
import pytest

import converters
import prototxt


def priors(parameters: str, height: int = 1, width: int = 2) -> np.ndarray:
    """Boxes in pixels of a 20 x 10 (height x width) image, and variances: (2, H, W, boxes, 4)."""
    text = f"""
    layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ dim: 1 dim: 3 dim: {height} dim: {width} }} }} }}
    layer {{ name: "img" type: "Input" top: "img" input_param {{ shape {{ dim: 1 dim: 3 dim: 20 dim: 10 }} }} }}
    layer {{ name: "p" type: "PriorBox" bottom: "data" bottom: "img" top: "out" prior_box_param {{ {parameters} }} }}"""
    run = converters.to_numpy(prototxt.loads(text), {})
    out = np.asarray(run(np.zeros((1, 3, height, width)), np.zeros((1, 3, 20, 10))))
    assert out.shape[:2] == (1, 2)
    return out.reshape(2, height, width, -1, 4) * np.array([[10, 20, 10, 20], [1, 1, 1, 1]]).reshape(2, 1, 1, 1, 4)


def test_cells_lie_half_a_step_inside() -> None:
    boxes = priors("min_size: 4 clip: false")[0]
    np.testing.assert_allclose(boxes[0, :, 0], [[0.5, 8, 4.5, 12], [5.5, 8, 9.5, 12]], rtol=1e-6)


def test_sizes_are_cut_to_whole_numbers_and_ratios_flipped() -> None:
    boxes = priors("min_size: 4.9 max_size: 9.9 aspect_ratio: 4 aspect_ratio: 1 aspect_ratio: 0.25 clip: false")[
        0, 0, 0
    ]
    sizes = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(sizes, [[4, 4], [6, 6], [8, 2], [2, 8]], rtol=1e-5)  # 0.25 is the flip of 4


def test_a_ratio_and_its_flip_may_both_be_given_without_flip() -> None:
    sizes = priors("min_size: 4 aspect_ratio: 4 aspect_ratio: 0.25 flip: false clip: false")[0, 0, 0]
    np.testing.assert_allclose(sizes[:, 2:] - sizes[:, :2], [[4, 4], [8, 2], [2, 8]], rtol=1e-5)


def test_step_offset_and_image_size() -> None:
    boxes = priors("min_size: 2 step_h: 6 step_w: 3 offset: 0 img_h: 40 img_w: 5 clip: false", height=2)[0]
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2 / [10, 20] * [5, 40]  # undo the scaling of the helper
    np.testing.assert_allclose(centres[:, :, 0], [[[0, 0], [3, 0]], [[0, 6], [3, 6]]], atol=1e-5)


def test_clip() -> None:
    boxes = priors("min_size: 30 clip: true")[0]
    np.testing.assert_allclose(boxes[0, 0, 0], [0, 0, 10, 20])


def test_variances() -> None:
    np.testing.assert_allclose(priors("min_size: 4")[1], np.full((1, 2, 1, 4), 0.1), rtol=1e-6)
    four = priors("min_size: 4 variance: 1 variance: 2 variance: 3 variance: 4")[1]
    np.testing.assert_allclose(four, np.broadcast_to([1.0, 2, 3, 4], (1, 2, 1, 4)))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("", "min_size"),
        ("min_size: 4 max_size: 3", "must be greater"),
        ("min_size: 4 min_size: 5 max_size: 9", "1 max_size for 2 min_size"),
        ("min_size: 4 variance: 1 variance: 2", "one positive number, or four"),
        ("min_size: 4 step: 1 step_h: 2 step_w: 2", "excludes"),
        ("min_size: 4 img_h: 2", "must be positive"),
        ("min_size: 4 density: 2", "fork"),
    ],
)
def test_refusals(parameters: str, message: str) -> None:
    with pytest.raises(prototxt.CamcompatError, match=message):
        priors(parameters)
