"""`torch.compile` and `torch.export` of the five CAM nets against the module itself."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import parity
import pytest
import torch

import converters

CAM_NETS = [
    "deploy_googlenetCAM", "deploy_googlenetCAM_places205", "deploy_vgg16CAM", "deploy_alexnetplusCAM_imagenet",
    "deploy_alexnetplusCAM_places205",
]  # fmt: skip


def _net(name: str, shared: Path) -> tuple[converters.TorchNet, torch.Tensor]:
    net = converters.to_torch(shared / "cam" / "models" / f"{name}.prototxt", converters.Synthetic())
    size = 227 if "alexnet" in name else 224
    return net, torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1)) * 50


@pytest.mark.parametrize("name", CAM_NETS)
def test_exported_nets_give_the_modules_numbers(name: str, shared: Path) -> None:
    net, x = _net(name, shared)
    with torch.no_grad():
        exported = torch.export.export(net, (x,)).module()
        assert parity.error(exported(x).numpy(), net(x).numpy()) <= 1e-5


@pytest.mark.parametrize("name", CAM_NETS)
def test_compiled_nets_give_the_modules_numbers(name: str, shared: Path) -> None:
    if os.environ.get("CAMCOMPAT_FAST"):
        pytest.skip("CAMCOMPAT_FAST is set")
    if not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("torch.compile needs a C++ compiler, and there is none")
    net, x = _net(name, shared)
    with torch.no_grad(), parity.without_onednn():
        assert parity.error(torch.compile(net)(x).numpy(), net(x).numpy()) <= 1e-5
