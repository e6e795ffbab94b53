"""Files that are something else are called by name."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
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


# ---- files that are something else ------------------------------------------------------------------------------


def _zip(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.caffemodel"))
    return buffer.getvalue()


_LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 553432081\n"
_ONNX = bytes.fromhex("0808 1207 7079746f726368 1a05 322e302e30 3a04 0a020a00 4202 1011".replace(" ", ""))
_FOREIGN = {
    "empty": (b"", "empty"),
    "zeros": (bytes(5000), "zero bytes"),
    "html": (b"<!DOCTYPE html>\n<html><title>404</title></html>", "web page"),
    "html_bom": (b"\xef\xbb\xbf\n <html></html>", "web page"),
    "lfs": (_LFS, r"Git LFS pointer \(size 553,432,081 bytes, oid sha256:4d7a21\).*git lfs pull"),
    "prototxt": (b'# VGG\nname: "VGG"\nlayers {\n  bottom: "data"\n}\n', "prototxt"),
    "long_prototxt": ('name: "é"\n'.encode() + "# ä\n".encode() * 3000, "prototxt"),
    "text": (b"Not Found", "text, not weights: 'Not Found'"),
    "gzip": (gzip.compress(b"x"), "gzip"),
    "zip": (_zip("net.caffemodel"), "zip archive"),
    "pytorch": (_zip("archive/data.pkl"), "PyTorch"),
    "npz": (_zip("arr_0.npy"), "npz"),
    "tar": (_tar(), "tar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"),
    "onnx": (_ONNX, "ONNX"),
    "npy": (b"\x93NUMPY\x01\x00v\x00", "npy"),
    "jpeg": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "JPEG"),
    "png": (b"\x89PNG\r\n\x1a\n\x00", "PNG"),
    "mat": (b"MATLAB 5.0 MAT-file" + bytes(100), "MATLAB"),
    "no_layer": (b"\x0a\x03net", "no layer"),
}


@pytest.mark.parametrize("name", _FOREIGN)
def test_foreign_files_are_named(tmp_path: Path, name: str) -> None:
    data, match = _FOREIGN[name]
    path = tmp_path / "net.caffemodel"
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=match):
        weights.read(path)


def test_real_onnx_is_named(tmp_path: Path) -> None:
    helper = pytest.importorskip("onnx.helper")
    node = helper.make_node("Relu", ["x"], ["y"])
    info = [helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph([node], "g", info[:1], info[1:]))
    with pytest.raises(WeightsError, match="ONNX"):
        weights.read(_save(tmp_path / "net.onnx", model))


@pytest.mark.parametrize("legacy", [False, True])
def test_mean_file_is_named(caffe: SimpleNamespace, tmp_path: Path, legacy: bool) -> None:
    blob = caffe.BlobProto()
    caffe.fill(blob, np.ones((1, 3, 2, 2), np.float32), legacy=legacy)
    with pytest.raises(WeightsError, match=r"mean file.*read_mean"):
        weights.read(_save(tmp_path / "mean.binaryproto", blob))
    path = tmp_path / "cut.binaryproto"
    path.write_bytes(blob.SerializeToString()[:20])
    with pytest.raises(WeightsError):
        weights.read(path)


def test_solver_state_is_named(caffe: SimpleNamespace, tmp_path: Path) -> None:
    state = caffe.SolverState(iter=10000, learned_net="net_iter_10000.caffemodel")
    caffe.fill(state.history.add(), np.ones(3, np.float32))
    with pytest.raises(WeightsError, match=r"solver state"):
        weights.read(_save(tmp_path / "net.solverstate", state))
