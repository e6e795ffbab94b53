"""A PyTorch module as a caffemodel again: bit for bit where nothing changed, exactly the change where something did."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import parity
import pytest
import torch

import converters
import prototxt
import weights
from weights.models import find

CONFORMANCE = Path(__file__).resolve().parents[2] / "data" / "conformance"
CASES = [path.parent for path in sorted(CONFORMANCE.glob("*/*/weights.caffemodel"))]


def _module(folder: Path, **options: object) -> converters.TorchNet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        return converters.to_torch(folder / "net.prototxt", folder / "weights.caffemodel", **options)


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32).view(np.uint32).ravel()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.name}")
def test_unchanged_weights_come_back_bit_for_bit(case: Path, tmp_path: Path) -> None:
    """Every layer type of the conformance cases: the numbers without a template, the whole file with one."""
    original = case / "weights.caffemodel"
    module = _module(case)
    new = converters.to_caffemodel(module, tmp_path / "new.caffemodel")
    with weights.read(original) as old, weights.read(new) as again:
        unread = {"batchnorm"} if case.name == "batch_stats_in_test" else set()  # a layer that uses the batch's own
        assert set(again) == set(old) - unread
        for name in again:
            for ours, caffes in zip(again[name], old[name], strict=True):
                assert np.array_equal(_bits(ours), _bits(caffes)), name
                assert weights.fit(caffes, ours.shape, where=name).shape == ours.shape
    copy = converters.to_caffemodel(module, tmp_path / "copy.caffemodel", template=original)
    assert copy.read_bytes() == original.read_bytes()


def _shapes_cam() -> tuple[converters.TorchNet, Path, Path]:
    model = find("shapes-cam")
    definition, caffemodel = model.path("prototxt"), model.path("caffemodel")
    return converters.to_torch(definition, caffemodel), definition, caffemodel


@pytest.mark.parametrize("with_template", [False, True])
def test_an_edit_arrives_in_caffes_layout(with_template: bool, tmp_path: Path) -> None:
    net, definition, caffemodel = _shapes_cam()
    with torch.no_grad():
        net.CAM_fc.weight[3, 7] = 42.0
        net.conv2_scale.bias += 1.0
    path = converters.to_caffemodel(net, tmp_path / "new.caffemodel", template=caffemodel if with_template else None)
    with weights.read(caffemodel) as old, weights.read(path) as new:
        assert list(new) == list(old)
        assert new["CAM_fc"][0][3, 7] == 42.0
        changed = {name for name in new for a, b in zip(new[name], old[name]) if not np.array_equal(a, b)}
        assert changed == {"CAM_fc", "conv2/scale"}
        assert np.array_equal(new["conv2/scale"][1], old["conv2/scale"][1] + np.float32(1))
        assert all(new.types[name] == old.types[name] for name in new)
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        again = converters.to_torch(definition, path)
        assert torch.equal(again(x), net(x))


def test_a_file_without_a_template_is_a_net_by_itself(tmp_path: Path) -> None:
    net, *_ = _shapes_cam()
    path = converters.to_caffemodel(net, tmp_path / "new.caffemodel")
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(converters.to_torch(None, path)(x), net(x))


def test_batchnorm_that_was_trained_has_a_factor_of_one(tmp_path: Path) -> None:
    """Caffe divides by the factor; torch's statistics are divided already. The case's own factor is 999."""
    case = CONFORMANCE / "BatchNorm" / "scale_factor_999"
    stored = np.load(case / "io.npz")
    net = _module(case)
    name = next(layer.name for layer in prototxt.load(case / "net.prototxt").layers if layer.type == "BatchNorm")
    norm = net.layer(name)
    norm.running_mean += 0.25
    path = converters.to_caffemodel(net, tmp_path / "new.caffemodel", template=case / "weights.caffemodel")
    with weights.read(path) as new:
        mean, variance, factor = new[name]
        assert factor.tolist() == [1.0]
        assert np.array_equal(mean, norm.running_mean.numpy())
        assert np.array_equal(variance, norm.running_var.numpy())
    x = torch.from_numpy(next(stored[key] for key in stored if key.startswith("in/")))
    again = converters.to_torch(case / "net.prototxt", path)
    assert parity.error(again(x).detach().numpy(), net(x).detach().numpy()) == 0


def test_a_transposed_inner_product_is_transposed_back(tmp_path: Path) -> None:
    net = prototxt.loads("""
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
                inner_product_param { num_output: 4 transpose: true } }""")
    stored = np.arange(12, dtype=np.float32).reshape(3, 4)
    module = converters.to_torch(net, {"ip": [stored, np.zeros(4, np.float32)]})
    assert module.ip.weight.shape == (4, 3)
    with torch.no_grad():
        module.ip.weight[1, 2] = -5.0
    with weights.read(converters.to_caffemodel(module, tmp_path / "new.caffemodel")) as new:
        expected = stored.copy()
        expected[2, 1] = -5.0
        assert np.array_equal(new["ip"][0], expected)


def test_half_precision_weights_stay_half_in_a_template(tmp_path: Path) -> None:
    """NVIDIA's float16 blobs: an edit is rounded to what the file stores, all other bytes stay."""
    half = np.float16([[1.5, -2.25], [0.5, 4.0]])
    blob = b"\x50\x02" + b"\x62" + bytes([half.nbytes]) + half.tobytes() + b"\x3a\x04\x0a\x02\x02\x02"
    layer = b"\x0a\x02ip\x12\x0cInnerProduct\x3a" + bytes([len(blob)]) + blob
    template = tmp_path / "half.caffemodel"
    template.write_bytes(b"\x0a\x01n\xa2\x06" + bytes([len(layer)]) + layer)
    net = prototxt.loads("""
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 } } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
                inner_product_param { num_output: 2 bias_term: false } }""")
    module = converters.to_torch(net, template)
    new = tmp_path / "new.caffemodel"
    assert converters.to_caffemodel(module, new, template=template).read_bytes() == template.read_bytes()
    with torch.no_grad():
        module.ip.weight[0, 0] = 3.0
    converters.to_caffemodel(module, new, template=template)
    assert new.stat().st_size == template.stat().st_size
    with weights.read(new) as again:
        assert again["ip"][0].tolist() == [[3.0, -2.25], [0.5, 4.0]]


def test_another_nets_template_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    net, *_ = _shapes_cam()
    case = CONFORMANCE / "InnerProduct"
    template = next(case.glob("*/weights.caffemodel"))
    with pytest.raises(prototxt.CamcompatError, match='template has no layer "conv1"'):
        converters.to_caffemodel(net, tmp_path / "new.caffemodel", template=template)
    assert not list(tmp_path.iterdir())


def test_a_module_of_another_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(prototxt.CamcompatError, match="load_state_dict"):
        converters.to_caffemodel(torch.nn.Linear(2, 2), tmp_path / "new.caffemodel")


def test_a_folded_net_has_no_way_back(tmp_path: Path) -> None:
    model = find("shapes-cam")
    folded = converters.to_torch(model.path("prototxt"), model.path("caffemodel"), fold=True)
    with pytest.raises(prototxt.CamcompatError, match="without fold"):
        converters.to_caffemodel(folded, tmp_path / "new.caffemodel")


def test_a_part_of_a_net_leaves_the_rest_of_the_template_alone(tmp_path: Path) -> None:
    model = find("shapes-cam")
    part = converters.to_torch(model.path("prototxt"), model.path("caffemodel"), outputs=["conv1"])
    path = converters.to_caffemodel(part, tmp_path / "new.caffemodel", template=model.path("caffemodel"))
    assert path.read_bytes() == model.path("caffemodel").read_bytes()
