"""Weights in HDF5: files as Caffe's Net::ToHDF5 lays them out, made with h5py."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError

h5py = pytest.importorskip("h5py", reason="reads and writes HDF5")

WEIGHT = np.arange(12, dtype=np.float32).reshape(2, 3, 2, 1)
BIAS = np.array([0.5, -1], np.float32)


def _save(path: Path, members: dict[str, Any]) -> Path:
    """A file of datasets; None makes an empty group, as a layer without blobs has."""
    with h5py.File(path, "w") as file:
        for name, value in members.items():
            if value is None:
                file.create_group(name)
            else:
                file.create_dataset(name, data=value)
    return path


def test_layers_and_names_with_slashes(tmp_path: Path) -> None:
    members = {
        "data/conv1/7x7_s2/0": WEIGHT,
        "data/conv1/7x7_s2/1": BIAS,
        "data/conv1/relu": None,
        "data/fc/0": WEIGHT.astype(np.float64),
        "data/fc/deep/er/0": BIAS,
        "data/pool": None,
        "diff/fc/0": WEIGHT,
    }
    found = weights.read(_save(tmp_path / "no suffix", members))
    assert found.version == "HDF5"
    assert set(found) == {"conv1/7x7_s2", "fc", "fc/deep/er"}
    assert dict(found.types) == dict.fromkeys(["conv1/7x7_s2", "conv1/relu", "fc", "fc/deep/er", "pool"], "")
    np.testing.assert_array_equal(found["conv1/7x7_s2"][0], WEIGHT)
    np.testing.assert_array_equal(found["conv1/7x7_s2"][1], BIAS)
    assert found["fc"][0].dtype == np.float64
    with pytest.raises(WeightsError, match="no net definition"):
        found.net()


def test_blobs_are_in_numeric_order(tmp_path: Path) -> None:
    members = {f"data/many/{number}": np.array([number], np.float32) for number in range(12)}
    found = weights.read(_save(tmp_path / "net.h5", members))
    assert [blob.item() for blob in found["many"]] == list(range(12))


def test_shared_blob_that_is_not_stored(tmp_path: Path) -> None:
    found = weights.read(_save(tmp_path / "net.h5", {"data/b/1": BIAS}))
    assert [blob.shape for blob in found["b"]] == [(0,), (2,)]
    assert len(found.notes) == 1 and 'layer "b": blob 0' in found.notes[0]


def test_scalar_blob(tmp_path: Path) -> None:
    found = weights.read(_save(tmp_path / "net.h5", {"data/prelu/0": np.float32(0.25)}))
    assert found["prelu"][0].shape == () and found["prelu"][0] == 0.25


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"model_weights/dense/kernel": BIAS}, r'without a group "data".*model_weights'),
        ({"iter": 10, "learned_net": "x", "history/0": BIAS}, "solver state"),
        ({"data/0": BIAS}, 'dataset "data/0"'),
        ({"data/fc/kernel": BIAS}, 'dataset "data/fc/kernel"'),
        ({"data/fc/0": np.array([1, 2])}, 'layer "fc" blob 0.*int64'),
        ({"data": None}, "no layer"),
        ({"data": BIAS}, 'without a group "data"'),
    ],
)
def test_other_hdf5(tmp_path: Path, members: dict[str, Any], match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        weights.read(_save(tmp_path / "net.h5", members))


def test_truncated(tmp_path: Path) -> None:
    whole = _save(tmp_path / "net.h5", {"data/fc/0": WEIGHT, "data/fc/1": BIAS}).read_bytes()
    cut = tmp_path / "cut.h5"
    for size in (8, 100, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match="damaged"):
            weights.read(cut)


def test_group_that_contains_itself(tmp_path: Path) -> None:
    path = tmp_path / "net.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("data/loop")
        group["again"] = group
    with pytest.raises(WeightsError, match="deep"):
        weights.read(path)


def test_write(tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel.h5"
    weights.write_hdf5(path, {"conv1/7x7_s2": [WEIGHT.astype(np.float16), BIAS], "pool": []})
    with h5py.File(path) as file:
        assert file["data/conv1/7x7_s2/0"].dtype == np.float32
        np.testing.assert_array_equal(file["data/conv1/7x7_s2/0"], WEIGHT)
        np.testing.assert_array_equal(file["data/conv1/7x7_s2/1"], BIAS)
        assert list(file["data/pool"]) == []
    assert list(weights.read(path)) == ["conv1/7x7_s2"]


@pytest.mark.parametrize(
    "layers", [{"": [BIAS]}, {"a": [BIAS], "a/0": [BIAS]}, {"fc": [np.array([1])]}, {"fc": [np.array(["x"])]}]
)
def test_write_refuses(tmp_path: Path, layers: dict[str, list[np.ndarray]]) -> None:
    with pytest.raises(WeightsError):
        weights.write_hdf5(tmp_path / "net.h5", layers)
    assert list(tmp_path.iterdir()) == []


def test_without_h5py(tmp_path: Path) -> None:
    path = _save(tmp_path / "net.h5", {"data/fc/0": WEIGHT})
    code = (
        "import sys; sys.modules['h5py'] = None\n"
        "import weights\n"
        "try:\n    weights.read(sys.argv[1])\n"
        "except weights.WeightsError as error:\n    print(error)\n"
    )
    root = Path(weights.__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == f"{path}: an HDF5 file needs h5py; pip install h5py"
