"""Whatever files people have: training definitions, a caffemodel alone, HDF5, half precision, forks, mix-ups."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from parity import BACKENDS, WHOLE, error, run

import converters
import weights
from camcompat.conversion.converter import convert
from camcompat.conversion.inspection import inspect
from converters import CamcompatWarning
from prototxt import CamcompatError, ConversionError, PrototxtError, WeightsError, deploy, load, loads

ROOT = Path(__file__).resolve().parents[3]
EMBEDDED = ROOT / "weights" / "embedded" / "shapes-cam"
SHAPES = EMBEDDED / "shapes-cam.caffemodel"


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def notes_of(function: object, *arguments: object, **options: object) -> str:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CamcompatWarning)
        assert callable(function)
        function(*arguments, **options)
    return "\n".join(str(each.message) for each in caught)


# ---- training definitions


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_training_definition_gives_caffes_probabilities(shared: Path, tmp_path: Path, backend: str) -> None:
    folder = shared / "shapes-cam"
    files = (folder / "train_val.prototxt", folder / "shapes-cam.caffemodel")
    with np.load(folder / "expected.npz") as caffe:
        got = run(backend, *files, [caffe["data"]], ["prob", "CAM_fc"], tmp_path)
        assert error(got["prob"], caffe["prob"][:8].astype(float)) < WHOLE
        assert error(got["CAM_fc"], caffe["CAM_fc"][:8].astype(float)) < WHOLE


def test_the_googlenet_of_the_paper_is_the_same_net_in_both_files(shared: Path, tmp_path: Path) -> None:
    models, x = shared / "cam" / "models", noise(1, 3, 224, 224) * 50
    got = [
        run("torch", models / f"{name}_googlenetCAM.prototxt", converters.Synthetic(), [x], ["prob"], tmp_path)["prob"]
        for name in ("train_val", "deploy")
    ]
    assert np.array_equal(*got)
    with np.load(shared / "nets" / "googlenet-cam-imagenet.npz") as caffe:
        blob = (np.random.RandomState(1).standard_normal((2, 3, 224, 224)) * 50).astype(np.float32)
        net = models / "train_val_googlenetCAM.prototxt"
        prob = run("torch", net, converters.Synthetic(), [blob], ["prob"], tmp_path)["prob"]
        assert error(prob, caffe["out/prob"].astype(float)) < 1e-5


def test_kept_losses_are_caffes(shared: Path, tmp_path: Path) -> None:
    """A conformance case of a loss whose inputs come from a data layer instead."""
    case = shared / "conformance" / "SoftmaxWithLoss" / "default"
    case = case if case.exists() else sorted((shared / "conformance" / "SoftmaxWithLoss").iterdir())[0]
    text = (case / "net.prototxt").read_text()
    net = loads(text)
    tops = " ".join(f'top: "{name}"' for name in net.inputs)
    rest = "\n".join(line for line in text.splitlines() if '"Input"' not in line)
    file = tmp_path / "train_val.prototxt"
    file.write_text(f'layer {{ name: "d" type: "Python" {tops} python_param {{ module: "m" layer: "D" }} }}\n{rest}')
    with np.load(case / "io.npz") as io:
        inputs = [io[f"in/{name}"] for name in net.inputs]
        (name,) = [key[4:] for key in io if key.startswith("out/")]
        got = run("numpy", file, {}, inputs, [name], tmp_path, keep_losses=True, input_shapes=dict(net.inputs))
        assert error(got[name], io[f"out/{name}"].astype(float)) < WHOLE


# ---- a caffemodel alone

ALONE = {
    "deeplandmark_1F": None,
    "hyperlpr_segmentation": None,
    "landmark106": None,
    "lenet": None,
    "mtcnn_det1": ("data12face", "size of input"),
    "mtcnn_det2": None,
    "mtcnn_det3": None,
    "samplenet": None,
    "squeezenet_v10_deepcomp": (None, "cannot stand alone"),
    "ulfg_slim320": None,
    "wechat_qr_sr": None,
    "yoloface_50k": None,
    "yufacedetect_v1": ("data", "size of input"),
}
RENAMED = {"prob1": "prob"}  # the authors' deploy files name the softmax themselves


@pytest.mark.parametrize("name", ALONE)
def test_a_public_caffemodel_alone(shared: Path, tmp_path: Path, name: str) -> None:
    """Caffe's numbers, computed by Caffe from the authors' deploy files."""
    file = shared / "corpus" / "weights" / f"{name}.caffemodel"
    (shape,) = load(shared / "corpus" / f"{name}.prototxt").inputs.values()
    refused = ALONE[name]
    shapes = {}
    if refused:
        with pytest.raises(CamcompatError, match=refused[1]) as caught:
            converters.to_numpy(None, file)
        assert "\n" not in str(caught.value)
        if refused[0] is None:
            return
        shapes = {refused[0]: (1, *shape[1:])}
    with np.load(shared / "corpus" / "expected" / f"{name}.npz") as caffe:
        (key,) = [key for key in caffe if key.startswith("shape/")]
        if name == "yoloface_50k":  # the net inside was saved at another size
            shapes = {"data": tuple(caffe[key])}
        x = (np.random.RandomState(1).standard_normal(caffe[key]) * 50).astype(np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CamcompatWarning)
            net = converters.to_numpy(None, file, input_shapes=shapes)
        got = net.run({net.graph.inputs[0].name: x})
        compared = 0
        for key in caffe:
            blob = RENAMED.get(key[4:], key[4:])
            if key[:4] in ("out/", "mid/") and blob in got:
                ours = got[blob].reshape(-1)[:: int(caffe[f"stride/{key[4:]}"])]
                assert error(ours, caffe[key].astype(float)) < WHOLE, key
                compared += 1
        assert compared or name == "yufacedetect_v1"  # which ends in DetectionOutput only in its deploy file


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_embedded_model_alone(shared: Path, tmp_path: Path, backend: str) -> None:
    with np.load(shared / "shapes-cam" / "expected.npz") as caffe:
        got = run(backend, None, SHAPES, [caffe["data"]], ["prob"], tmp_path)
        assert error(got["prob"], caffe["prob"][:8].astype(float)) < WHOLE


def test_convert_and_inspect_take_a_caffemodel_alone(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CamcompatWarning)
        made = convert(None, SHAPES, tmp_path, formats=["onnx"])
    assert [artefact.path.name for artefact in made] == ["shapes-cam.onnx"]
    found = inspect(None, SHAPES)
    assert found.outputs == ("prob",)
    assert found.parameters == inspect(EMBEDDED / "deploy.prototxt", SHAPES).parameters
    assert any("training definition" in note for note in found.notes)


CONV = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "c" convolution_param { num_output: 4 kernel_size: 3 } }
"""


def small(tmp_path: Path, side: int, data: str = "", **given: object) -> str:
    """Notes of converting a caffemodel whose input has an unknown size, and which was trained at `side` pixels."""
    text = f"""layer {{ name: "d" type: "Data" top: "data" top: "label" {data} }}
    {CONV}
    layer {{ name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param {{ kernel_size: 2 stride: 2 }} }}
    layer {{ name: "fc" type: "InnerProduct" bottom: "p" top: "fc" inner_product_param {{ num_output: 3 }} }}
    layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }}"""
    message, count = loads(text).message, 4 * (-(-(side - 2) // 2)) ** 2
    blobs = {"conv": [noise(4, 2, 3, 3), noise(4)], "fc": [noise(3, count), noise(3)]}
    weights.write(tmp_path / "net.caffemodel", message, blobs)
    return notes_of(converters.to_numpy, None, tmp_path / "net.caffemodel", **given)


def test_the_input_size_is_found_from_the_weights(tmp_path: Path) -> None:
    told = small(tmp_path, 32)
    assert '"data" is taken to be 1x2x32x32' in told
    assert "31 to 32" in told
    assert "1x2x38x38" in small(tmp_path, 38)  # no usual size: the one that the pooling covers exactly
    assert "taken to be" not in small(tmp_path, 32, input_shapes={"data": (1, 2, 31, 31)})
    assert "taken to be" not in small(tmp_path, 32, "transform_param { crop_size: 32 }")


def test_a_net_that_fits_every_size_needs_a_shape(tmp_path: Path) -> None:
    text = """layer { name: "d" type: "Data" top: "data" }"""
    text += (
        CONV
        + """
    layer { name: "pool" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: AVE global_pooling: true } }
    layer { name: "fc" type: "InnerProduct" bottom: "p" top: "fc" inner_product_param { num_output: 3 } }"""
    )
    blobs = {"conv": [noise(4, 3, 3, 3), noise(4)], "fc": [noise(3, 4), noise(3)]}
    weights.write(tmp_path / "net.caffemodel", loads(text).message, blobs)
    with pytest.raises(PrototxtError, match=r"--input-shape data=1,3,227,227"):
        converters.to_numpy(None, tmp_path / "net.caffemodel")


def test_an_unsupported_layer_is_named_while_the_size_is_sought(tmp_path: Path) -> None:
    text = """layer { name: "d" type: "Data" top: "data" }"""
    text += (
        CONV
        + """
    layer { name: "odd" type: "Unheard" bottom: "c" top: "o" }
    layer { name: "fc" type: "InnerProduct" bottom: "o" top: "fc" inner_product_param { num_output: 3 } }"""
    )
    weights.write(tmp_path / "net.caffemodel", loads(text).message, {"conv": [noise(4, 3, 3, 3), noise(4)]})
    with pytest.raises(ConversionError, match=r'"odd" \(Unheard\)'):
        converters.to_numpy(None, tmp_path / "net.caffemodel")


def test_a_perceptron_reads_a_grey_square(tmp_path: Path) -> None:
    text = """layer { name: "d" type: "Data" top: "data" data_param { batch_size: 2 } }
    layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 3 } }"""
    for count, shape in ((784, "2x1x28x28"), (10, "2x10")):
        blobs = {"fc": [noise(3, count), noise(3)]}
        weights.write(tmp_path / "net.caffemodel", loads(text).message, blobs)
        assert f"taken to be {shape}" in notes_of(converters.to_numpy, None, tmp_path / "net.caffemodel")


# ---- mistakes

FC = 'input: "x" input_shape { dim: [2, 5] } layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" %s }'


def test_fields_of_forks_are_notes_with_their_line(tmp_path: Path) -> None:
    text = tmp_path / "net.prototxt"
    text.write_text(FC.replace("layer", "\nlayer") % "inner_product_param { num_output: 3 \n gizmo: 7 }")
    told = notes_of(converters.to_numpy, text, {"fc": [noise(3, 5), noise(3)]})
    assert f"{text}:3: inner_product_param.gizmo" in told


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ("inner_product_param { num_output: [1, 2] }", r"net.prototxt:1:\d+: num_output takes one value, found a list"),
        ("pooling_param { pool: AVE_EXC_PAD }", r"net.prototxt:1:\d+: pool: AVE_EXC_PAD is not one of MAX, AVE"),
        ("inner_product_param { num_output: $#n#$ }", r"net.prototxt:1:\d+: .*template"),
    ],
)
def test_texts_that_caffe_refuses(tmp_path: Path, fields: str, match: str) -> None:
    (tmp_path / "net.prototxt").write_text(FC % fields)
    for use in (converters.to_numpy, inspect):
        with pytest.raises(PrototxtError, match=match) as caught:
            use(tmp_path / "net.prototxt", {})
        assert "\n" not in str(caught.value)


def test_old_and_new_layers_mixed(tmp_path: Path) -> None:
    text = FC % "inner_product_param { num_output: 3 }" + ' layers { name: "r" type: RELU bottom: "y" top: "z" }'
    with pytest.raises(PrototxtError, match=r"both layers \{ \} .* and layer \{ \}.*write all of them"):
        loads(text)


def test_swapped_arguments(tmp_path: Path) -> None:
    text = EMBEDDED / "deploy.prototxt"
    for use in (converters.to_numpy, converters.to_torch, inspect):
        with pytest.raises(CamcompatError, match=r"swapped\?"):
            use(SHAPES, text)
    with pytest.raises(PrototxtError, match=r"swapped\?"):
        converters.to_onnx(SHAPES, SHAPES, tmp_path / "net.onnx")
    with pytest.raises(WeightsError, match=r"swapped\?"):
        convert(text, text, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_convert() -> None:
    with pytest.raises(ConversionError, match="neither a prototxt nor a caffemodel"):
        converters.to_numpy(None, {"fc": []})
    with pytest.raises(WeightsError, match="NoneType does not hold weights"):
        converters.to_numpy(EMBEDDED / "deploy.prototxt", None)
    with pytest.raises(ConversionError, match="int is no net"):
        converters.to_numpy(3, SHAPES)


def test_a_net_object_may_be_a_training_definition(shared: Path) -> None:
    net = load(shared / "shapes-cam" / "train_val.prototxt")
    assert converters.to_torch(net, SHAPES).graph is not None
    assert inspect(net).outputs == ("prob",)
    assert inspect(net, keep_losses=True).outputs == ("loss", "accuracy")
    assert inspect(deploy(net, keep_losses=True)).outputs == ("loss", "accuracy")
