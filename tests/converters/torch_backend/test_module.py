"""What the PyTorch module is like to work with: names, state, hooks, export, and the source written from it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import parity
import pytest
import torch

import converters
import prototxt
from converters.torch_backend.source.file import python_source, save_weights
from weights.models import find

CONFORMANCE = Path(__file__).resolve().parents[2] / "data" / "conformance"


@pytest.fixture
def shapes_cam() -> torch.fx.GraphModule:
    model = find("shapes-cam")
    return converters.to_torch(model.path("prototxt"), model.path("caffemodel"))


def test_children_carry_the_layers_names(shapes_cam: torch.fx.GraphModule) -> None:
    assert isinstance(shapes_cam.conv1, torch.nn.Conv2d)
    assert isinstance(shapes_cam.CAM_fc, torch.nn.Linear)
    assert isinstance(shapes_cam.mix_1x1_bn, torch.nn.BatchNorm2d)
    assert isinstance(shapes_cam.pool1, torch.nn.MaxPool2d)
    assert shapes_cam.layer_names["mix/1x1"] == "mix_1x1"
    assert not shapes_cam.training
    state = shapes_cam.state_dict()
    assert state["conv1.weight"].shape == (32, 3, 5, 5)
    assert "= self.conv1(data)" in shapes_cam.code


def test_hooks_see_the_features(shapes_cam: torch.fx.GraphModule) -> None:
    seen = []
    shapes_cam.CAM_relu.register_forward_hook(lambda module, args, result: seen.append(result.shape))
    shapes_cam(torch.zeros(3, 3, 96, 96))
    assert seen == [(3, 96, 12, 12)]


def test_export_keeps_the_numbers_and_the_batch_dynamic(shapes_cam: torch.fx.GraphModule) -> None:
    x = torch.randn(2, 3, 96, 96)
    batch = torch.export.Dim("N", min=1, max=64)
    exported = torch.export.export(shapes_cam, (x,), dynamic_shapes=({0: batch},)).module()
    assert torch.allclose(exported(x[:1].repeat(5, 1, 1, 1)), shapes_cam(x[:1].repeat(5, 1, 1, 1)), atol=1e-6)


def test_gradients_flow(shapes_cam: torch.fx.GraphModule) -> None:
    shapes_cam(torch.randn(1, 3, 96, 96))[0, 3].backward()
    assert shapes_cam.conv1.weight.grad.abs().sum() > 0


def test_shared_weights_stay_one_parameter() -> None:
    folder = CONFORMANCE / "Net" / "shared_weight_own_bias"
    net = converters.to_torch(folder / "net.prototxt", folder / "weights.caffemodel")
    assert net.f1.weight is net.f2.weight
    assert net.f1.bias is not net.f2.bias


def test_double_precision_reaches_the_float64_evaluation(shapes_cam: torch.fx.GraphModule) -> None:
    model = find("shapes-cam")
    x = np.random.RandomState(2).standard_normal((1, 3, 96, 96)) * 50
    exact = converters.to_numpy(model.path("prototxt"), model.path("caffemodel"))(x)
    with torch.no_grad():
        assert parity.error(shapes_cam.double()(torch.from_numpy(x)).numpy(), exact) < 1e-12


def _source_class(module: torch.fx.GraphModule) -> type[torch.nn.Module]:
    space: dict[str, object] = {}
    exec(compile(python_source(module), "<generated>", "exec"), space)
    return space[type(module).__name__]


@pytest.mark.parametrize("case", sorted(CONFORMANCE.glob("*/*/")), ids=lambda case: f"{case.parent.name}/{case.name}")
def test_the_written_source_is_the_module(case: Path, tmp_path: Path) -> None:
    """The Python file of every conformance case, run alone with its safetensors, gives the module's own results."""
    from safetensors.torch import load_file

    stored = np.load(case / "io.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        module = converters.to_torch(case / "net.prototxt", case / "weights.caffemodel")
    inputs = [torch.from_numpy(stored[f"in/{name}"]) for name in prototxt.load(case / "net.prototxt").inputs]
    alone = _source_class(module)()
    if module.state_dict():
        alone.load_state_dict(load_file(str(save_weights(module, tmp_path / "w.safetensors"))))
    with torch.no_grad():
        ours, theirs = module(*inputs), alone.eval()(*inputs)
    for a, b in zip(*(x.values() if isinstance(x, dict) else [x] for x in (ours, theirs))):
        assert torch.equal(a, b) or torch.allclose(a, b, equal_nan=True)


def test_the_written_file_finds_its_weights_from_anywhere(tmp_path: Path) -> None:
    """`load()` of the file, in a process without camcompat and in another folder."""
    model = find("shapes-cam")
    (tmp_path / "elsewhere").mkdir()
    converters.to_python(model.path("prototxt"), model.path("caffemodel"), tmp_path / "small.py")
    code = (
        "import runpy, sys, torch\n"
        f"net = runpy.run_path({str(tmp_path / 'small.py')!r})['load']()\n"
        "assert not {'camcompat', 'converters', 'prototxt', 'weights'} & set(sys.modules)\n"
        "assert not net.training\n"
        "print(*net(torch.zeros(1, 3, 96, 96)).tolist()[0])"
    )
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, check=True, cwd=tmp_path / "elsewhere", env=clean, capture_output=True, text=True)
    net = converters.to_torch(model.path("prototxt"), model.path("caffemodel"))
    found, expected = np.float64(done.stdout.split()), net(torch.zeros(1, 3, 96, 96)).detach().numpy()[0]
    assert parity.error(found, expected) < parity.WHOLE


def test_the_source_is_readable(shapes_cam: torch.fx.GraphModule) -> None:
    text = python_source(shapes_cam)
    assert "self.CAM_conv = nn.Conv2d(64, 96, 3, padding=1, groups=2)" in text
    assert "x = torch.cat([mix_1x1, mix_3x3], dim=1)" in text
    assert "x = self.CAM_dropout(self.CAM_pool(x))" in text
    assert not re.search(r"= None$", text, re.MULTILINE)
    assert "converters" not in text
