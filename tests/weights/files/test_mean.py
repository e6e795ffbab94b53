"""weights.read_mean: .binaryproto, .npy, .mat."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError

MEAN = np.arange(3 * 4 * 5, dtype=np.float32).reshape(3, 4, 5) / 7


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("field", ["data", "double_data"])
@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (3, 4, 5)])
def test_binaryproto(caffe: SimpleNamespace, tmp_path: Path, legacy: bool, field: str, shape: tuple[int, ...]) -> None:
    blob = caffe.BlobProto()
    caffe.fill(blob, MEAN.reshape(shape), legacy=legacy, field=field)
    path = tmp_path / "mean.binaryproto"
    path.write_bytes(blob.SerializeToString())
    found = weights.read_mean(path)
    assert found.dtype == np.float32 and found.shape == (3, 4, 5)
    np.testing.assert_array_equal(found, MEAN)


@pytest.mark.parametrize("dtype", ["<f4", "<f8", ">f8", "<f2", "uint8"])
def test_npy(tmp_path: Path, dtype: str) -> None:
    whole = np.arange(60).reshape(3, 4, 5).astype(dtype)
    np.save(tmp_path / "mean.npy", np.asfortranarray(whole))
    found = weights.read_mean(tmp_path / "mean.npy")
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.arange(60, dtype=np.float32).reshape(3, 4, 5))


@pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (1, 3, 1, 1)])
def test_one_number_per_channel(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "mean.npy", np.array([104, 117, 123.0]).reshape(shape))
    found = weights.read_mean(tmp_path / "mean.npy")
    assert found.shape == (3, 1, 1) and found.ravel().tolist() == [104, 117, 123]


@pytest.mark.parametrize("key", ["mean_data", "image_mean"])
def test_mat(tmp_path: Path, key: str) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="reads .mat files")
    by_width = np.empty((5, 4, 3), np.float32)
    for x in range(5):
        for y in range(4):
            by_width[x, y] = MEAN[:, y, x]
    scipy_io.savemat(tmp_path / "mean.mat", {"other": 1, key: by_width})
    np.testing.assert_array_equal(weights.read_mean(tmp_path / "mean.mat"), MEAN)


def test_mat_of_the_release(shared: Path) -> None:
    pytest.importorskip("scipy.io", reason="reads .mat files")
    found = weights.read_mean(shared / "cam/ilsvrc_2012_mean.mat")
    assert found.shape == (3, 256, 256) and found.dtype == np.float32
    # CAM.md: the channel means, blue first
    np.testing.assert_allclose(found.mean(axis=(1, 2), dtype=np.float64), [104.007, 116.669, 122.679], atol=6e-4)


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros((4, 5, 3)), r"4x5x3.*transpose\(2, 0, 1\)"),
        (np.zeros((4, 5)), "4x5"),
        (np.zeros((2, 3, 4, 5)), "2x3x4x5"),
        (np.zeros(()), "one number"),
        (np.zeros((3, 0, 5)), "3x0x5"),
        (np.array(["a", "b"]), "dtype"),
        (np.array([{}], object), "objects"),
    ],
)
def test_other_arrays(tmp_path: Path, array: np.ndarray, match: str) -> None:
    np.save(tmp_path / "mean.npy", array)
    with pytest.raises(WeightsError, match=match):
        weights.read_mean(tmp_path / "mean.npy")


def test_other_files(tmp_path: Path, tiny: Path) -> None:
    cases = {
        "html": (b"<html>404</html>", "web page"),
        "empty": (b"", "empty"),
        "hdf5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
        "caffemodel": (tiny.read_bytes(), r"\.caffemodel"),
        "npy": (b"\x93NUMPY\x01\x00", r"\.npy file is damaged"),
        "mat": (b"MATLAB 5.0 MAT-file", r"\.mat file cannot be read"),
        "jpeg": (b"\xff\xd8\xff\xe0", "JPEG"),
    }
    for name, (data, match) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(WeightsError, match=match):
            weights.read_mean(tmp_path / name)
    with pytest.raises(WeightsError, match="no such file"):
        weights.read_mean(tmp_path / "absent.npy")
    with pytest.raises(WeightsError, match="cannot be read"):
        weights.read_mean(tmp_path)


def test_mat_without_a_mean(tmp_path: Path) -> None:
    pytest.importorskip("scipy.io").savemat(tmp_path / "x.mat", {"other": np.ones(3)})
    with pytest.raises(WeightsError, match="mean_data or image_mean"):
        weights.read_mean(tmp_path / "x.mat")


def test_truncated_binaryproto(caffe: SimpleNamespace, tmp_path: Path) -> None:
    blob = caffe.BlobProto()
    caffe.fill(blob, MEAN[None], legacy=True)
    whole = blob.SerializeToString()
    for size in range(len(whole)):
        (tmp_path / "mean").write_bytes(whole[:size])
        with pytest.raises(WeightsError):
            weights.read_mean(tmp_path / "mean")


def test_damaged_mat(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="reads .mat files")
    scipy_io.savemat(tmp_path / "mean.mat", {"mean_data": MEAN.transpose(2, 1, 0)}, do_compression=True)
    whole = (tmp_path / "mean.mat").read_bytes()
    for size in range(20, len(whole), 7):
        (tmp_path / "cut.mat").write_bytes(whole[:size])
        with pytest.raises(WeightsError):
            weights.read_mean(tmp_path / "cut.mat")
