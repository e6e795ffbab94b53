"""weights.fit: Caffe's shape rule."""

from __future__ import annotations

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ((4, 3, 2, 1), (4, 3, 2, 1)),
        ((1, 1, 10, 5), (10, 5)),  # InnerProduct of old files
        ((1, 1, 1, 7), (7,)),  # a bias of old files
        ((1, 1, 1, 1), ()),  # PReLU with channel_shared
        ((), ()),
        ((2, 3, 4, 5, 6), (2, 3, 4, 5, 6)),
        ((0,), (0,)),
    ],
)
def test_fits(stored: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    array = np.random.RandomState(0).standard_normal(stored).astype(np.float32)
    fitted = weights.fit(array, wanted, where="x")
    assert fitted.shape == wanted and fitted.dtype == np.float32
    assert fitted.size == 0 or np.shares_memory(fitted, array)
    np.testing.assert_array_equal(fitted.ravel(), array.ravel())


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        ((5, 10), (10, 5)),
        ((10, 5, 1, 1), (10, 5)),  # ones behind: a fully convolutional net's weights; Caffe refuses, too
        ((1, 10, 5), (10, 5)),
        ((7, 1, 1, 1), (7,)),
        ((1, 7), (7,)),
        ((1, 1, 2, 3, 4, 5), (2, 3, 4, 5)),
        ((1,), ()),
    ],
)
def test_does_not_fit(stored: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    with pytest.raises(
        WeightsError, match=r'net:3: layer "fc" blob 0: .*the file stores .* the net wants .*another net'
    ):
        weights.fit(np.zeros(stored, np.float32), wanted, where='net:3: layer "fc" blob 0')


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
def test_other_floats_become_float32(dtype: str) -> None:
    values = np.array([1.5, -0.25, 2.0**-14], dtype)
    fitted = weights.fit(values, (3,), where="x")
    assert fitted.dtype == np.dtype("<f4")
    assert fitted.tolist() == [1.5, -0.25, 2.0**-14]


@pytest.mark.parametrize("array", [np.array([1, 2]), np.array([True, False]), np.array([1e300, 1.0])])
def test_values_that_float32_cannot_hold(array: np.ndarray) -> None:
    with pytest.raises(WeightsError, match="x: "):
        weights.fit(array, (2,), where="x")
