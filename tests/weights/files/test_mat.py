"""MATLAB's version 5 against SciPy's writer, and against files made by hand from MathWorks' description."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from weights import WeightsError, read_mean
from weights.files.mat import MatError, read_mat

MOST = 1 << 20
NAMES = ("mean_data", "image_mean")


def saved(variables: dict[str, object], **options: object) -> bytes:
    file = io.BytesIO()
    savemat(file, variables, **options)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_every_type_of_numbers_is_read_as_scipy_reads_it(dtype: str, compressed: bool) -> None:
    values = (np.arange(24).reshape(4, 3, 2) * 3).astype(dtype)
    data = saved({"other": np.eye(3), "image_mean": values, "text": "abc"}, do_compression=compressed)
    found = read_mat(data, NAMES, MOST)
    assert found is not None and np.array_equal(found, loadmat(io.BytesIO(data))["image_mean"])


def test_the_first_of_the_names_wins_and_none_is_none() -> None:
    data = saved({"image_mean": np.ones((2, 2)), "mean_data": np.zeros((3, 3))})
    found = read_mat(data, NAMES, MOST)
    assert found is not None and found.shape == (3, 3)
    assert read_mat(saved({"x": np.ones(3)}), NAMES, MOST) is None
    assert read_mat(saved({}), NAMES, MOST) is None


@pytest.mark.parametrize(
    "value", [np.array([[1 + 2j]]), "text", {"a": 1}, [[1, 2], "x"]], ids=["complex", "text", "struct", "cell"]
)
def test_what_is_no_array_of_real_numbers_is_refused(value: object) -> None:
    with pytest.raises(MatError, match=r"no array of real numbers|damaged"):
        read_mat(saved({"image_mean": value if not isinstance(value, list) else np.array(value, object)}), NAMES, MOST)


def element(order: str, kind: int, data: bytes) -> bytes:
    return struct.pack(order + "II", kind, len(data)) + data + bytes(-len(data) % 8)


def by_hand(order: str, *, small: bool = False) -> bytes:
    """Numbers 1 to 6 as 3x1x2 doubles that are stored as bytes, in either byte order."""
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(order + "H", 0x0100) + struct.pack(order + "H", 0x4D49)
    name = element(order, 1, b"image_mean")
    numbers = element(order, 2, bytes(range(1, 7)))
    if small:  # two bytes for the size, two for the type, four of data
        name = struct.pack(order + "I", 1 << 16 | 1) + b"m\0\0\0"
    flags = element(order, 6, struct.pack(order + "II", 6, 0))
    body = flags + element(order, 5, struct.pack(order + "3i", 3, 1, 2)) + name + numbers
    return head + element(order, 14, body)


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders_and_small_elements(order: str) -> None:
    wanted = np.array([[[1, 4]], [[2, 5]], [[3, 6]]])
    found = read_mat(by_hand(order), NAMES, MOST)
    assert found is not None and found.dtype == np.float64 and np.array_equal(found, wanted)
    found = read_mat(by_hand(order, small=True), ("m",), MOST)
    assert found is not None and np.array_equal(found, wanted)


def test_every_prefix_is_refused_or_empty() -> None:
    for data in (by_hand("<"), saved({"image_mean": np.ones((4, 3))}, do_compression=True)):
        for end in range(len(data)):
            try:
                assert read_mat(data[:end], NAMES, MOST) is None
            except MatError:
                continue


@pytest.mark.parametrize(
    ("shape", "found"), [((3, 1, 3), "does not fit"), ((-3, 1, -2), "does not fit"), ((2**31 - 1,) * 3, "does not fit")]
)
def test_dims_must_fit_the_numbers(shape: tuple[int, ...], found: str) -> None:
    data = by_hand("<").replace(struct.pack("<3i", 3, 1, 2), struct.pack("<3i", *shape))
    with pytest.raises(MatError, match=found):
        read_mat(data, NAMES, MOST)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    body = zlib.compress(bytes(50_000_000), 9)
    path = tmp_path / "mean.mat"
    path.write_bytes(by_hand("<")[:128] + struct.pack("<II", 15, len(body)) + body)
    with pytest.raises(WeightsError, match=r"far more bytes than the file has.*CAMCOMPAT_LIMIT_EXPANSION"):
        read_mean(path)


def test_version_7_3_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mean.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400))
    with pytest.raises(WeightsError, match=r"version 7\.3 is an HDF5 file"):
        read_mean(path)


def test_the_published_mean(shared: Path) -> None:
    path = shared / "cam" / "ilsvrc_2012_mean.mat"
    if not path.exists():
        pytest.skip("needs the CAM release's mean")
    wanted = loadmat(path)["mean_data"]
    assert np.array_equal(read_mean(path), wanted.transpose(2, 1, 0))
