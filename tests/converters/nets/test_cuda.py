"""The nets on an NVIDIA GPU: Caffe's numbers, the CPU's gradients, training, compilation, onnxruntime's CUDA."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import parity
import pytest
import torch
from click.testing import CliRunner
from conformance_cases import CASES, load_case, tolerance

import camcompat
import converters
from camcompat.cli import main
from camcompat.conversion.converter import convert
from weights.models import find

if not torch.cuda.is_available():
    pytest.skip("needs an NVIDIA GPU that this torch can use", allow_module_level=True)

MODEL = find("shapes-cam")
EXPECTED = np.load(Path(__file__).resolve().parents[2] / "data" / "shapes-cam.npz")


@pytest.fixture(autouse=True)
def no_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As docs/gpu.md tells whoever wants Caffe's numbers of a GPU."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.fixture
def net() -> converters.TorchNet:
    return converters.to_torch(MODEL.path("prototxt"), MODEL.path("caffemodel")).cuda()


def _module(case: Path, outputs: list[str]) -> converters.TorchNet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        return converters.to_torch(case / "net.prototxt", case / "weights.caffemodel", outputs=outputs)


def _results(found: torch.Tensor | dict[str, torch.Tensor], outputs: list[str]) -> dict[str, torch.Tensor]:
    return found if isinstance(found, dict) else {outputs[0]: found}


@CASES
def test_blobs_are_caffes(case: Path) -> None:
    inputs, wanted = load_case(case)
    with torch.no_grad():
        found = _module(case, list(wanted)).cuda()(*(torch.from_numpy(x).cuda() for x in inputs))
    for name, result in _results(found, list(wanted)).items():
        assert result.device.type == "cuda", name
        assert parity.error(result.cpu().numpy(), wanted[name]) <= tolerance(case), name


def _gradients(case: Path, outputs: list[str], inputs: list[np.ndarray], device: str) -> dict[str, torch.Tensor]:
    """The gradients of a fixed combination of the outputs; empty where nothing can be differentiated."""
    module = _module(case, outputs).to(device)
    leaves = [torch.from_numpy(x).to(device).requires_grad_() for x in inputs]
    results = _results(module(*leaves), outputs)
    random = torch.Generator().manual_seed(0)
    total = sum((x * torch.randn(x.shape, generator=random).to(x)).sum() for x in results.values() if x.requires_grad)
    if not isinstance(total, torch.Tensor):
        return {}
    total.backward()
    named = {**dict(module.named_parameters()), **{f"bottom {i}": x for i, x in enumerate(leaves)}}
    return {name: x.grad.cpu() for name, x in named.items() if x.grad is not None}


@CASES
def test_gradients_are_the_cpus(case: Path) -> None:
    inputs, wanted = load_case(case)
    outputs = list(wanted)
    cpu, gpu = (_gradients(case, outputs, inputs, device) for device in ("cpu", "cuda"))
    assert set(cpu) == set(gpu)
    for name, gradient in cpu.items():
        assert parity.error(gpu[name].numpy(), gradient.numpy()) <= parity.SUMS, name


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])
def test_the_whole_net(net: converters.TorchNet, compiled: bool) -> None:
    x = torch.from_numpy(EXPECTED["data"]).cuda()
    with torch.no_grad():
        found = (torch.compile(net) if compiled else net)(x)
    assert parity.error(found.cpu().numpy(), EXPECTED["prob"][: len(x)]) <= parity.WHOLE


@pytest.mark.parametrize(("dtype", "limit"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_autocast(net: converters.TorchNet, dtype: torch.dtype, limit: float) -> None:
    x = torch.from_numpy(EXPECTED["data"]).cuda()
    with torch.no_grad(), torch.autocast("cuda", dtype):
        logits = net.features("CAM_fc")(x)
    assert parity.error(logits.float().cpu().numpy(), EXPECTED["CAM_fc"][: len(x)]) < limit


def test_training_on_the_gpu_and_back_to_caffe(net: converters.TorchNet, tmp_path: Path) -> None:
    x = torch.from_numpy(EXPECTED["data"]).cuda()
    wanted = torch.arange(len(x), device="cuda") % 10
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    logits, losses = net.features("CAM_fc").train(), []
    for _ in range(15):
        loss = torch.nn.functional.cross_entropy(logits(x), wanted)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < losses[0] / 2
    written = converters.to_caffemodel(net, tmp_path / "tuned.caffemodel")
    again = converters.to_torch(MODEL.path("prototxt"), written)
    assert torch.equal(again.CAM_fc.weight, net.CAM_fc.weight.cpu())


@pytest.fixture
def cuda_onnxruntime() -> None:
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs onnxruntime-gpu")


@pytest.mark.parametrize("winograd", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "fp16"])
@pytest.mark.usefixtures("cuda_onnxruntime")
def test_cams_with_onnxruntimes_cuda(winograd: bool, dtype: str, tmp_path: Path) -> None:
    files = (MODEL.path("prototxt"), MODEL.path("caffemodel"), tmp_path)
    (made,) = convert(*files, formats=("onnx",), winograd=winograd, dtype=dtype)
    gpu, cpu = camcompat.load(made.path, providers=["CUDAExecutionProvider"]), camcompat.load(made.path)
    found, wanted = (model.run(EXPECTED["data"], top=5) for model in (gpu, cpu))
    limit = parity.WHOLE if dtype == "float32" else 5e-3
    assert parity.error(found["prob"], EXPECTED["prob"][: len(found["prob"])]) <= limit
    assert parity.error(found["cams"], wanted["cams"]) <= limit


@pytest.mark.usefixtures("cuda_onnxruntime")
def test_the_command_maps_pictures_on_the_gpu(tmp_path: Path) -> None:
    (made,) = convert(MODEL.path("prototxt"), MODEL.path("caffemodel"), tmp_path, formats=("onnx",))
    pictures = MODEL.folder / "pictures"
    for provider in ("cuda", "cpu"):
        words = ["cam", made.path, pictures, "--provider", provider, "--no-pictures", "--out", tmp_path / provider]
        done = CliRunner().invoke(main, [str(word) for word in words])
        assert done.exit_code == 0, done.output
    gpu, cpu = ((tmp_path / name / "results.jsonl").read_text().splitlines()[1:] for name in ("cuda", "cpu"))
    assert len(gpu) == len(cpu) == len(list(pictures.glob("*.jpg")))
    for ours, reference in zip(map(json.loads, gpu), map(json.loads, cpu)):
        assert [entry["class"] for entry in ours["classes"]] == [entry["class"] for entry in reference["classes"]]


@CASES
@pytest.mark.usefixtures("cuda_onnxruntime")
def test_blobs_with_onnxruntimes_cuda(case: Path, tmp_path: Path) -> None:
    inputs, wanted = load_case(case)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        path = converters.to_onnx(
            case / "net.prototxt", case / "weights.caffemodel", tmp_path / "net.onnx", outputs=list(wanted)
        )
    providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(str(path), providers=providers)
    feeds = dict(zip((x.name for x in session.get_inputs()), inputs))
    for name, result in zip(wanted, session.run(list(wanted), feeds)):
        assert parity.error(np.asarray(result), wanted[name]) <= tolerance(case), name
