"""PyTorch as people use it: training, precisions, memory formats, devices, tracing, parts of a net."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import parity
import pytest
import torch
from torch import nn

import converters
import prototxt
from camcompat.pictures.preprocess import Preprocess
from weights.models import find

MODEL = find("shapes-cam")
DATA = Path(__file__).resolve().parents[2] / "data"
EXPECTED = np.load(DATA / "shapes-cam.npz")


@pytest.fixture
def net() -> converters.TorchNet:
    return converters.to_torch(MODEL.path("prototxt"), MODEL.path("caffemodel"))


def _pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """The embedded pictures as the net wants them, and their classes by the names of the files."""
    from PIL import Image

    recipe = Preprocess.from_mapping({"resize": [112, 112]}, input_shape=("N", 3, 96, 96))
    labels = (MODEL.folder / "labels.txt").read_text().split()
    files = sorted((MODEL.folder / "pictures").glob("*.jpg"))
    data = np.stack([recipe.blob(Image.open(file).convert("RGB")) for file in files])
    classes = [labels.index(file.stem.split("-", 1)[1]) for file in files]
    return torch.from_numpy(data), torch.tensor(classes)


def _fine_tune(logits: converters.TorchNet, data: torch.Tensor, wanted: torch.Tensor) -> list[float]:
    """The loss before each of 20 steps in training mode."""
    torch.manual_seed(0)
    optimizer = torch.optim.SGD(logits.parameters(), lr=0.01, momentum=0.9)
    logits.train()
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(logits(data), wanted)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


def test_fine_tuning_lowers_the_loss(net: converters.TorchNet) -> None:
    """20 steps on the embedded pictures lower the loss of the net as it is run afterwards."""
    data, classes = _pictures()
    logits = net.features("CAM_fc")
    with torch.no_grad():
        before = nn.functional.cross_entropy(logits(data), classes).item()
    _fine_tune(logits, data, classes)
    net.eval()
    with torch.no_grad():
        after = nn.functional.nll_loss(net(data).log(), classes).item()  # the whole net has the trained weights
    assert after < 0.6 * before


def test_other_labels_are_learned(net: converters.TorchNet) -> None:
    data, classes = _pictures()
    losses = _fine_tune(net.features("CAM_fc"), data, (classes + 1) % 10)
    assert losses[-1] < losses[0] / 5


def test_train_wakes_dropout_and_eval_lulls_it() -> None:
    net = prototxt.loads("""
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1000 } } }
        layer { name: "drop" type: "Dropout" bottom: "data" top: "dropped" dropout_param { dropout_ratio: 0.3 } }
        layer { name: "sum" type: "Eltwise" bottom: "data" bottom: "dropped" top: "sum" }
        layer { name: "relu" type: "ReLU" bottom: "dropped" top: "relu" }""")
    module = converters.to_torch(net, {})
    x = torch.ones(1, 1000)
    assert torch.equal(module(x)["sum"], 2 * x)
    module.train()
    torch.manual_seed(0)
    found = module(x)
    kept = found["relu"] > 0
    assert 600 < int(kept.sum()) < 800
    assert torch.allclose(found["relu"][kept], torch.tensor(1 / 0.7))
    assert torch.allclose(found["sum"], 1 + found["relu"])  # the same mask on both paths, and the input without it


def test_dropout_without_scaling_at_training(tmp_path: Path) -> None:
    """A fork's `scale_train: false`: the mask alone at TRAIN, times (1 − ratio) at TEST."""
    net = prototxt.loads("""
        layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1000 } } }
        layer { name: "drop" type: "Dropout" bottom: "data" top: "data"
                dropout_param { dropout_ratio: 0.25 scale_train: false } }""")
    module = converters.to_torch(net, {})
    x = torch.ones(1, 1000)
    assert torch.allclose(module(x), 0.75 * x)
    values = module.train()(x).unique()
    assert torch.allclose(values, torch.tensor([0.0, 1.0]))


def test_train_updates_batchnorm_as_caffe_does(net: converters.TorchNet) -> None:
    """Batch statistics in the forward pass; the stored ones move by 1 − moving_average_fraction (here 0.98)."""
    data, _ = _pictures()
    norm = net.layer("conv1/bn")
    seen: list[torch.Tensor] = []
    norm.register_forward_hook(lambda module, args, result: seen.extend([args[0], result]))
    before = norm.running_mean.clone()
    net.train()(data)
    x, y = seen
    assert torch.allclose(y.mean((0, 2, 3)), torch.zeros(32), atol=1e-4)
    expected = 0.98 * before + 0.02 * x.mean((0, 2, 3))
    assert torch.allclose(norm.running_mean, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_in_and_out(net: converters.TorchNet, dtype: torch.dtype, tolerance: float) -> None:
    """Nothing in the net is float32 of its own accord, and LRN's squares do not overflow."""
    x = torch.from_numpy(EXPECTED["data"])
    with torch.no_grad():
        logits = net.to(dtype).features("CAM_fc")(x.to(dtype))
    assert logits.dtype == dtype
    assert parity.error(logits.float().numpy(), EXPECTED["CAM_fc"][: len(x)]) < tolerance


def test_channels_last(net: converters.TorchNet) -> None:
    x = torch.from_numpy(EXPECTED["data"])
    with torch.no_grad():
        found = net.to(memory_format=torch.channels_last)(x.to(memory_format=torch.channels_last))
    assert parity.error(found.numpy(), EXPECTED["prob"][: len(x)]) <= parity.WHOLE


CONSTANTS = ["Net", "Reorg", "PriorBox", "Upsample", "Normalize", "BN", "Scale", "Crop", "LRN", "Pooling", "SPP", "MVN"]


@pytest.mark.filterwarnings("ignore::converters.CamcompatWarning")
@pytest.mark.parametrize("layer", CONSTANTS)
def test_every_tensor_moves_with_the_module(layer: str) -> None:
    """On another device (meta: shapes without numbers) no operand is left behind on the CPU."""
    for case in sorted((DATA / "conformance" / layer).glob("*/")):
        stored = np.load(case / "io.npz")
        names = prototxt.load(case / "net.prototxt").inputs
        inputs = [torch.from_numpy(stored[f"in/{name}"]) for name in names]
        module = converters.to_torch(case / "net.prototxt", case / "weights.caffemodel").to("meta")
        found = module(*(x.to("meta") for x in inputs))
        for result in found.values() if isinstance(found, dict) else [found]:
            assert result.device.type == "meta"


def test_tracing(net: converters.TorchNet) -> None:
    x = torch.from_numpy(EXPECTED["data"])
    with torch.no_grad():
        traced = torch.jit.trace(net, x[:1])
        assert parity.error(traced(x).numpy(), EXPECTED["prob"][: len(x)]) <= parity.WHOLE


def test_features_are_the_net_up_to_a_blob(net: converters.TorchNet) -> None:
    x = torch.from_numpy(EXPECTED["data"])
    part = net.features("CAM_conv")
    with torch.no_grad():
        assert parity.error(part(x).numpy(), EXPECTED["CAM_conv"][: len(x)]) <= parity.WHOLE
        both = net.features("CAM_fc", "conv1@conv1")(x)
    assert list(both) == ["CAM_fc", "conv1@conv1"]
    assert bool((both["conv1@conv1"] < 0).any())  # before the ReLU in place
    assert part.conv1.weight is net.conv1.weight
    assert not hasattr(part, "CAM_fc")
    assert list(part.features("pool1")(x).shape[1:]) == list(part.pool1(torch.zeros(1, 32, 48, 48)).shape[1:])


def test_what_there_is_not_is_named(net: converters.TorchNet) -> None:
    with pytest.raises(prototxt.CamcompatError, match=r'no blob "CAM_cnv"; did you mean CAM_conv'):
        net.features("CAM_cnv")
    with pytest.raises(prototxt.CamcompatError, match=r'the layer "mix/1x2"; did you mean mix/1x1'):
        net.layer("mix/1x2")
    with pytest.raises(prototxt.CamcompatError, match=r"use features\(blob\)"):
        net.layer("mix/output")


def test_a_deep_copy_keeps_the_names(net: converters.TorchNet, tmp_path: Path) -> None:
    twin = copy.deepcopy(net)
    with torch.no_grad():
        twin.layer("CAM_fc").bias += 1
    assert not torch.equal(twin.CAM_fc.bias, net.CAM_fc.bias)
    assert twin.features("CAM_pool")(torch.zeros(1, 3, 96, 96)).shape == (1, 96, 1, 1)
    path = converters.to_caffemodel(twin, tmp_path / "twin.caffemodel")
    assert path.stat().st_size > 390_000
    assert "class Shapes_cam(nn.Module)" in converters.to_python(
        MODEL.path("prototxt"), MODEL.path("caffemodel"), tmp_path / "net.py"
    ).read_text(encoding="utf-8")
