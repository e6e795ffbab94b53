"""Weight files that ask for too much, each refused with the limit's name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import limited
from weights import WeightsError, read, read_mean, write, write_hdf5
from weights.files.wire import delimited, tag


def refused(path: Path, **limits: int) -> str:
    with limited(**limits), pytest.raises(WeightsError) as caught:
        read(path)
    return str(caught.value)


def test_layers_and_blobs(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    layers = {name: [np.ones(2), np.ones(2)] for name in "abc"}
    write(path, "net", layers, types=dict.fromkeys(layers, "Scale"))
    assert "more than 2 layers; if the file is to be trusted" in refused(path, layers=2)
    assert "more than 1 blobs; if the file is to be trusted" in refused(path, blobs_per_layer=1)
    with limited(layers=3, blobs_per_layer=2):
        assert len(read(path)) == 3


def test_groups_and_axes(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    nested = tag(9, 3) * 4 + tag(9, 4) * 4
    write(path, "net", {"a": [np.ones((1, 1, 2))]}, types={"a": "Scale"})
    assert "Caffe has at most 2" in refused(path, axes=2)
    path.write_bytes(path.read_bytes() + nested)
    assert "nested too deeply" in refused(path, nesting=3)
    with limited(nesting=4):
        assert list(read(path)) == ["a"]


def test_numbers_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    blob = delimited(5, bytes(4)) * 5000 + delimited(7, delimited(1, b"\x88\x27"))
    path.write_bytes(delimited(100, delimited(1, b"a") + delimited(7, blob)))
    assert "in more than 4,096 pieces" in refused(path)


def test_hdf5_layers(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    path = tmp_path / "net.caffemodel.h5"
    write_hdf5(path, {name: [np.ones(2)] for name in "abc"})
    assert "more than 2 layers" in refused(path, layers=2)


def test_a_mean_file_of_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "mean.npy"
    np.save(path, np.ones((3, 8, 8)))
    with limited(mean_bytes=500), pytest.raises(WeightsError, match=r"more than 500 bytes.*MEAN_BYTES"):
        read_mean(path)
    assert read_mean(path).shape == (3, 8, 8)


def test_a_numpy_file_that_declares_more_than_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "mean.npy"
    np.save(path, np.ones((3, 8, 8), np.float32))
    path.write_bytes(path.read_bytes().replace(b"(3, 8, 8), }", b"(3, 80000, 80000), }").replace(b" " * 20, b" " * 12))
    with pytest.raises(WeightsError, match=r"far more bytes than the file has|damaged"):
        read_mean(path)
