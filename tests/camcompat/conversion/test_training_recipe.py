"""A training definition says how pictures get in: the converted file does the same, and says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import camcompat
import converters
import prototxt
from camcompat.cli import main
from camcompat.conversion.converter import convert
from camcompat.conversion.metadata import recipe_of
from weights.files.writer import write

BODY = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE global_pooling: true } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""


def data(kind: str, parameters: str) -> str:
    return f'layer {{ name: "data" type: "{kind}" top: "data" top: "label" {parameters} }}'


def recipe(text: str, **options: object) -> dict[str, object]:
    return recipe_of(prototxt.deploy(prototxt.loads(text + BODY), **options))[0]


@pytest.mark.parametrize(
    ("kind", "parameters", "expected"),
    [
        (
            "Data",
            "transform_param { crop_size: 8 scale: 0.5 mean_value: 1 mean_value: 2 mean_value: 3 mirror: true }",
            {"mean": [1.0, 2.0, 3.0], "scale": 0.5},
        ),
        (
            "Data",
            "transform_param { crop_size: 8 force_color: true scale: 0.00390625 }",
            {"mean": 0.0, "scale": 1 / 256},
        ),
        (
            "ImageData",
            "transform_param { crop_size: 8 mean_value: 9 } image_data_param { new_height: 12 new_width: 10 }",
            {"mean": [9.0], "resize": [12, 10]},
        ),
        ("ImageData", "image_data_param { new_height: 12 new_width: 10 }", {"mean": 0.0, "resize": [12, 10]}),
        (
            "AnnotatedData",
            "transform_param { mean_value: 9 force_color: true resize_param { resize_mode: WARP height: 9 width: 8 } }",
            {"mean": [9.0], "resize": [9, 8]},
        ),
        (
            "MemoryData",
            "memory_data_param { batch_size: 1 channels: 3 height: 7 width: 6 }",
            {"mean": 0.0, "resize": [7, 6]},
        ),
    ],
)  # fmt: skip
def test_what_the_data_layer_does(kind: str, parameters: str, expected: dict[str, object]) -> None:
    assert recipe(data(kind, parameters)) == expected


def test_legacy_parameters() -> None:
    """Of V1 nets, which Caffe upgrades (UpgradeNetDataTransformation)."""
    text = """layers { name: "data" type: IMAGE_DATA top: "data" top: "label"
        image_data_param { source: "x" mean_file: "nowhere.binaryproto" scale: 0.25 crop_size: 8 } }
        layers { name: "r" type: RELU bottom: "data" top: "r" }"""
    found, problem = recipe_of(prototxt.deploy(prototxt.loads(text)))
    assert found == {"scale": 0.25}
    assert "nowhere.binaryproto is not here" in problem


def test_nothing_is_known_of_other_nets() -> None:
    plain = 'input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }' + BODY.split('layer { name: "loss"')[0]
    assert recipe_of(prototxt.loads(plain)) == ({}, "")
    assert recipe(data("HDF5Data", ""), input_shapes={"data": (1, 3, 8, 8)}) == {}


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A train_val with a mean image beside it under its base name, and weights."""
    text = data("Data", 'transform_param { crop_size: 8 mean_file: "data/ilsvrc12/mean.npy" scale: 0.5 }')
    (tmp_path / "train_val.prototxt").write_text(text + BODY)
    np.save(tmp_path / "mean.npy", np.arange(3 * 12 * 12, dtype=np.float32).reshape(3, 12, 12))
    blobs = converters.Synthetic()
    net = converters.lower(prototxt.deploy(str(tmp_path / "train_val.prototxt"), channels=lambda layer: 3), blobs)
    stored: dict[str, list[np.ndarray]] = {}
    for x in net.graph.constants():
        if x.learned and x.data is not None:
            stored.setdefault(x.layer, []).append(x.data)
    write(tmp_path / "net.caffemodel", "net", stored, types={"conv": "Convolution", "fc": "InnerProduct"})
    return tmp_path / "train_val.prototxt", tmp_path / "net.caffemodel"


def test_the_converted_file_prepares_pictures_as_caffe_did(files: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.warns(
        converters.CamcompatWarning,
        match="pictures are prepared as the training definition's data layer did: mean 3x12x12",
    ):
        made = convert(*files, tmp_path, formats=["onnx"])
    model = camcompat.load(made[0].path)
    pixels = np.random.RandomState(0).randint(0, 256, (12, 12, 3), np.uint8)
    mean = np.load(tmp_path / "mean.npy")
    expected = ((pixels[..., ::-1].transpose(2, 0, 1) - mean) * 0.5)[:, 2:10, 2:10]
    np.testing.assert_allclose(model.preprocess.blob(Image.fromarray(pixels)), expected, atol=1e-5)


def test_what_the_user_says_counts(files: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["convert", *map(str, files), "--mean", "5", "--resize", "20x20", "--out", str(tmp_path / "own.onnx")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert "data layer did: scale 0.5\n" in done.stderr  # nothing of the mean, which is the user's
    preprocess = camcompat.load(tmp_path / "own.onnx").preprocess
    assert preprocess.resize == (20, 20) and preprocess.scale == 0.5
    assert (preprocess.mean == 5).all()
