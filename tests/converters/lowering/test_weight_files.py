"""Weight files of every kind end to end: HDF5, half precision, legacy shapes, NVIDIA's BatchNorm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from parity import BACKENDS, WHOLE, error, run

import converters
import weights
from prototxt import WeightsError, load, loads
from weights.files.wire import delimited, tag, varint

EMBEDDED = Path(__file__).resolve().parents[3] / "weights" / "embedded" / "shapes-cam"
SHAPES = EMBEDDED / "shapes-cam.caffemodel"


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("case", ["shared_params", "shared_weight_own_bias"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_hdf5_without_the_blobs_that_are_shared(shared: Path, tmp_path: Path, case: str, backend: str) -> None:
    """Caffe writes a shared blob with its first owner only."""
    h5py = pytest.importorskip("h5py")
    folder, file = shared / "conformance" / "Net" / case, tmp_path / "net.caffemodel.h5"
    stored, seen = weights.read(folder / "weights.caffemodel"), set()
    with h5py.File(file, "w") as made:
        for layer in load(folder / "net.prototxt").layers:
            group = made.require_group("data").require_group(layer.name)
            for index, blob in enumerate(stored.get(layer.name, ())):
                name = layer.param_names[index] if index < len(layer.param_names) else ""
                if not name or name not in seen:
                    group.create_dataset(str(index), data=blob)
                seen.add(name)
    with np.load(folder / "io.npz") as io:
        inputs, outputs = ([io[key] for key in io if key.startswith("in/")], [k[4:] for k in io if k[:4] == "out/"])
        got = run(backend, folder / "net.prototxt", file, inputs, outputs, tmp_path)
        assert all(error(got[name], io[f"out/{name}"].astype(float)) < WHOLE for name in outputs)


def test_hdf5_of_a_whole_net(shared: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    weights.write_hdf5(tmp_path / "net.caffemodel.h5", weights.read(SHAPES))
    with np.load(shared / "shapes-cam" / "expected.npz") as caffe:
        for backend in ("torch", "onnx"):
            files = (EMBEDDED / "deploy.prototxt", tmp_path / "net.caffemodel.h5")
            got = run(backend, *files, [caffe["data"]], ["prob"], tmp_path)
            assert error(got["prob"], caffe["prob"][:8].astype(float)) < WHOLE
    with pytest.raises(WeightsError, match="holds no net definition; give the prototxt"):
        converters.to_numpy(None, tmp_path / "net.caffemodel.h5")


FC = 'input: "x" input_shape { dim: [2, 5] } layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" %s }'


def caffemodel(path: Path, *blobs: bytes, type_: str = "InnerProduct", name: str = "fc") -> Path:
    """A caffemodel of one layer, byte by byte."""
    layer = delimited(1, name.encode()) + delimited(2, type_.encode()) + b"".join(delimited(7, blob) for blob in blobs)
    path.write_bytes(delimited(1, b"net") + delimited(100, layer))
    return path


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_precision(tmp_path: Path, backend: str) -> None:
    """NVIDIA's files: raw_data_type 2 is FLOAT16; data is empty."""
    text, half, x = tmp_path / "net.prototxt", noise(3, 5).astype(np.float16), noise(2, 5)
    text.write_text(FC % "inner_product_param { num_output: 3 bias_term: false }")
    shape = delimited(7, delimited(1, varint(3) + varint(5)))
    file = caffemodel(tmp_path / "net.caffemodel", shape + tag(10, 0) + varint(2) + delimited(12, half.tobytes()))
    got = run(backend, text, file, [x], ["y"], tmp_path)
    assert error(got["y"], x.astype(float) @ half.T.astype(float)) < WHOLE


@pytest.mark.parametrize("backend", BACKENDS)
def test_blobs_with_four_legacy_dimensions(tmp_path: Path, backend: str) -> None:
    text, matrix, bias, x = tmp_path / "net.prototxt", noise(3, 5), noise(3), noise(2, 5)
    text.write_text(FC % "inner_product_param { num_output: 3 }")
    weights.write(
        tmp_path / "net.caffemodel", "net", {"fc": [matrix, bias]}, types={"fc": "InnerProduct"}, version="V1"
    )
    assert weights.read(tmp_path / "net.caffemodel")["fc"][0].shape == (1, 1, 3, 5)
    got = run(backend, text, tmp_path / "net.caffemodel", [x], ["y"], tmp_path)
    assert error(got["y"], x.astype(float) @ matrix.T.astype(float) + bias) < WHOLE


@pytest.mark.parametrize("factor", [0, 1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_nvidias_batch_norm_of_five_blobs(tmp_path: Path, backend: str, factor: float) -> None:
    """Mean and variance as stored: NVIDIA's layer never reads the third blob, which it stores as 0 or as 1."""
    text, x = tmp_path / "net.prototxt", noise(2, 3, 4, 5)
    text.write_text(
        'input: "x" input_shape { dim: [2, 3, 4, 5] } layer { name: "bn" type: "BatchNorm" bottom: "x" top: "y" '
        "batch_norm_param { scale_bias: true use_global_stats: false eps: 1e-9 } }"
    )
    mean, variance, scale, bias = noise(3), np.array([0.5, 1, 2], np.float32), noise(3) + 1, noise(3) - 1
    blobs = [mean, variance, np.array([factor], np.float32), scale, bias]
    got = run(backend, text, {"bn": blobs}, [x], ["y"], tmp_path)["y"]
    column = [blob.astype(float).reshape(3, 1, 1) for blob in (mean, variance, scale, bias)]
    expected = (x - column[0]) / np.sqrt(column[1] + 1e-5) * column[2] + column[3]
    assert error(got, expected) < WHOLE


def test_more_blobs_than_the_layer_has_are_refused() -> None:
    """As Caffe does: a bias left out in silence would change every number."""
    net = loads(FC % "inner_product_param { num_output: 3 bias_term: false }")
    with pytest.raises(WeightsError, match=r"2 blob\(s\) for .*\"fc\" \(InnerProduct\), which uses 1; .*bias_term"):
        converters.to_numpy(net, {"fc": [noise(3, 5), noise(3)]})
    relu = loads('input: "x" input_shape { dim: [2, 5] } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }')
    with pytest.warns(converters.CamcompatWarning, match=r"1 blob\(s\) for .*, which uses none"):
        converters.to_numpy(relu, {"r": [noise(3)]})


def test_plain_lists_are_weights_too() -> None:
    text = """input: "x" input_shape { dim: 1 dim: 2 } layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y"
              inner_product_param { num_output: 1 bias_term: false } }"""
    net = converters.to_numpy(loads(text), {"ip": [[[2.0, 3.0]]]})
    assert net(np.array([[1.0, 10.0]])).tolist() == [[32.0]]
