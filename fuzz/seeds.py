"""Legal files to start from: all made by the project, from its own nets, its own cases and its own drawings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from fuzz.attacks_pictures import gradient, saved

__all__ = ["seeds", "write_corpus"]

ROOT = Path(__file__).resolve().parent.parent
CASES = ROOT / "tests" / "data" / "conformance"
LARGEST = 16_384  # bytes of a seed: mutations shall hit what matters

OLD = """name: "old"
input: "x" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
layers { layer { name: "pad" type: "padding" pad: 2 } bottom: "x" top: "p" }
layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 5 blobs_lr: 1. blobs_lr: 2.
  weight_filler { type: "gaussian" std: 0.01 } } bottom: "p" top: "c" }
"""
V1 = """name: 'clip' # of pictures
input: "x" input_shape: < dim: 1 dim: 3, dim: 8; dim: 0x8 >
layers { name: "c" type: CONVOLUTION bottom: "x" top: "c" blobs_lr: 1
  convolution_param { num_output: 4 kernel_size: 3 } }
layers { name: "r" type: RELU bottom: "c" top: "c" }
layers { name: "p" type: POOLING bottom: "c" top: "p" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
"""
TRAIN = """name: "train"
layer { name: "d" type: "ImageData" top: "x" top: "label" transform_param { crop_size: 8 mean_value: [104, 117, 123] }
  image_data_param { source: "list.txt" batch_size: 4 } include { phase: TRAIN } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "ip" unheard { of: [1] }
  inner_product_param { num_output: 3 } }
layer { name: "acc" type: "Accuracy" bottom: "ip" bottom: "label" top: "acc" include { phase: TEST } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" loss_weight: 1 }
"""
CAM = """name: "cam"
layer { name: "data" type: "Input" top: "data" input_param { shape: { dim: [1, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "gap" type: "Pooling" bottom: "conv" top: "gap" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "gap" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def _texts() -> Iterator[bytes]:
    yield from (text.encode() for text in (OLD, V1, TRAIN, CAM))
    for path in sorted(CASES.glob("*/*/net.prototxt")):
        yield path.read_bytes()


def _caffemodels() -> Iterator[bytes]:
    from weights.files.writer import write

    for path in sorted(CASES.glob("*/*/weights.caffemodel")):
        if 0 < path.stat().st_size < LARGEST:
            yield path.read_bytes()
    layers = {"a": [np.ones((2, 3, 1, 1)), np.zeros(2)], "b": [np.arange(6, dtype=np.float16).reshape(1, 6)]}
    types = {"a": "Convolution", "b": "InnerProduct"}
    with TemporaryDirectory() as folder:
        for version in ("V1", "V2"):
            path = Path(folder) / version
            write(path, "net", layers, types=types, version=version)
            yield path.read_bytes()


def _hdf5() -> Iterator[bytes]:
    from weights.files.hdf5 import write_hdf5

    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "w.h5"
        for names in (["conv1"], ["conv1/7x7", "conv1/3x3", "fc"], ["a", "b", "c", "d"]):
            write_hdf5(path, {name: [rng.standard_normal((2, 3)), np.zeros(2)] for name in names})
            yield path.read_bytes()


def _means() -> Iterator[bytes]:
    from scipy.io import savemat

    from weights.files.wire import delimited, tag, varint

    mean = np.random.default_rng(0).uniform(90, 130, (3, 6, 5)).astype(np.float32)
    dims = b"".join(tag(i, 0) + varint(dim) for i, dim in enumerate((1, *mean.shape), 1))
    yield dims + delimited(5, mean.tobytes())
    for array in (mean, mean.astype(np.float64), mean.mean((1, 2)), np.asfortranarray(mean)):
        file = io.BytesIO()
        np.save(file, array)
        yield file.getvalue()
    for compressed in (False, True):
        file = io.BytesIO()
        savemat(file, {"image_mean": mean.transpose(2, 1, 0).astype(np.float64)}, do_compression=compressed)
        yield file.getvalue()


def _pictures() -> Iterator[bytes]:
    for format_, mode in (
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "I;16"),
        ("PNG", "1"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
        ("GIF", "P"),
        ("BMP", "RGB"),
        ("PPM", "L"),
        ("TIFF", "RGB"),
        ("TIFF", "CMYK"),
        ("TGA", "RGB"),
        ("ICO", "RGBA"),
        ("JPEG2000", "RGB"),
    ):
        yield saved(format_, mode)
    yield saved("TIFF", compression="tiff_lzw")
    yield saved("JPEG", progressive=True, exif=gradient().getexif())


def _onnx() -> Iterator[bytes]:
    import prototxt
    from converters import Synthetic, to_onnx

    with TemporaryDirectory() as folder:
        path = Path(folder) / "cam.onnx"
        to_onnx(prototxt.loads(CAM), Synthetic(), path)
        yield path.read_bytes()


_MAKERS = {
    "prototxt": _texts,
    "convert": _texts,
    "caffemodel": _caffemodels,
    "hdf5": _hdf5,
    "mean": _means,
    "picture": _pictures,
    "onnx": _onnx,
}


@cache
def seeds(target: str) -> tuple[bytes, ...]:
    """The legal files of one target, the same in every run."""
    return tuple(_MAKERS[target]())


def write_corpus(target: str, folder: Path) -> int:
    """Write the seeds of a target as files, for a coverage-guided fuzzer; how many."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate(seeds(target)):
        (folder / f"seed-{index:03}").write_bytes(data)
    return len(seeds(target))
