"""One blob: packed and not, single, double and half precision, legacy dims, counts that disagree."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weights
from prototxt.errors import WeightsError


def _save(path: Path, message: Any) -> Path:
    path.write_bytes(message.SerializeToString())
    return path


@pytest.mark.parametrize("count", [1, 5, 64, 65, 66, 5000])
@pytest.mark.parametrize("field", ["data", "double_data"])
def test_unpacked_numbers(caffe_unpacked: SimpleNamespace, tmp_path: Path, count: int, field: str) -> None:
    values = np.random.RandomState(count).standard_normal((1, count)).astype(np.float32)
    net = caffe_unpacked.NetParameter()
    layer = net.layer.add(name="fc", type="InnerProduct")
    for _ in range(2):
        caffe_unpacked.fill(layer.blobs.add(), values, field=field)
    first, second = weights.read(_save(tmp_path / "net", net))["fc"]
    assert first.dtype == (np.float32 if field == "data" else np.float64)
    np.testing.assert_array_equal(first, values)
    np.testing.assert_array_equal(second, values)


def test_double_wins_over_single(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add()
    caffe.fill(blob, np.array([1.0, 0.1]), field="double_data")
    blob.data.extend([7, 8, 9])
    (array,) = weights.read(_save(tmp_path / "net", net))["fc"]
    assert array.dtype == np.float64
    assert array.tolist() == [1.0, 0.1]


def test_legacy_dims_win_over_shape(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add(num=1, channels=1, height=2, width=3)
    blob.shape.dim.extend([9, 9])
    blob.data.extend(range(6))
    assert weights.read(_save(tmp_path / "net", net))["fc"][0].shape == (1, 1, 2, 3)


@pytest.mark.parametrize(("kind", "dtype"), [(0, "<f8"), (1, "<f4"), (2, "<f2")])
def test_raw_data(caffe: SimpleNamespace, tmp_path: Path, kind: int, dtype: str) -> None:
    values = np.array([[1.0, -2.5, 65504.0], [0.0, 2.0**-24, -0.0]], dtype)
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add(raw_data_type=kind, raw_data=values.tobytes())
    blob.shape.dim.extend(values.shape)
    (array,) = weights.read(_save(tmp_path / "net", net))["fc"]
    assert array.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(array, values)


def test_half_precision_bytes_by_hand(tmp_path: Path) -> None:
    # layer 100 { name "a", blobs { shape { dim 2 }, raw_data_type FLOAT16, raw_data 1.0 -2.0 } }
    blob = bytes.fromhex("3a03 0a0102 5002 6204 003c 00c0".replace(" ", ""))
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob)]) + blob
    path = tmp_path / "net"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    assert weights.read(path)["a"][0].tolist() == [1.0, -2.0]


def test_split_packed_data_is_joined(tmp_path: Path) -> None:
    half = b"\x2a\x04" + struct.pack("<f", 1.5)
    blob = b"\x3a\x02\x08\x02" + half + half  # an unpacked dim, too
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(blob)]) + blob
    path = tmp_path / "net"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    assert weights.read(path)["a"][0].tolist() == [1.5, 1.5]


@pytest.mark.parametrize(
    ("dims", "count", "match"),
    [
        ((2, 3), 5, "2x3 needs 6 values, 5 are stored"),
        ((-1, 3), 3, "impossible"),
        ((2, 3), 0, "0 are stored"),
        ((), 2, "1 v"),
    ],
)
def test_counts_that_disagree_with_the_dims(
    caffe: SimpleNamespace, tmp_path: Path, dims: tuple[int, ...], count: int, match: str
) -> None:
    net = caffe.NetParameter()
    blob = net.layer.add(name="fc").blobs.add()
    blob.shape.dim.extend(dims)
    blob.data.extend([0.0] * count)
    with pytest.raises(WeightsError, match=f'blob 0 of layer "fc".*{match}'):
        weights.read(_save(tmp_path / "net", net))


@pytest.mark.parametrize("blob", ["3a03 0a0100 2a00", "2a00 3a03 0a0100", "3a03 0a0100 5002 6200", "3a03 0a0100"])
def test_empty_blob_at_the_end_of_the_file(tmp_path: Path, blob: str) -> None:
    data = bytes.fromhex(blob)
    layer = b"\x0a\x01a" + b"\x3a" + bytes([len(data)]) + data
    path = tmp_path / "net"
    path.write_bytes(b"\xa2\x06" + bytes([len(layer)]) + layer)
    assert weights.read(path)["a"][0].shape == (0,)


def test_thousands_of_dims_give_a_short_error(caffe: SimpleNamespace, tmp_path: Path) -> None:
    net = caffe.NetParameter()
    net.layer.add(name="fc" * 1000).blobs.add().shape.dim.extend([1] * 3000)
    with pytest.raises(WeightsError, match="3,000 dims") as caught:
        weights.read(_save(tmp_path / "net", net))
    assert len(str(caught.value)) < 500
