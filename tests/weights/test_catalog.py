"""weights.models: the facts in catalog.toml, finding a model, and the user's own entries."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from prototxt.errors import DownloadError
from weights.models import KINDS, Model, RemoteFile, catalog, find, home, tagged

DIGITS = {"sha1": 40, "sha256": 64, "sha384": 96, "gitblob": 40}
FILES = [(model, file) for model in catalog().values() for file in model.files]

# shared/CAM.md: name, prototxt, caffemodel, its float payload
CAM_PAPER = [
    ("googlenet-cam-imagenet", "deploy_googlenetCAM", "imagenet_googlenetCAM_train_iter_120000", 33_383_584),
    ("vgg16-cam-imagenet", "deploy_vgg16CAM", "vgg16CAM_train_iter_90000", 72_400_032),
    ("googlenet-cam-places205", "deploy_googlenetCAM_places205", "places_googlenetCAM_train_iter_120000", 30_124_084),
    ("alexnetplus-cam-imagenet", "deploy_alexnetplusCAM_imagenet", "alexnetplusCAM_imagenet", 20_535_200),
    ("alexnetplus-cam-places205", "deploy_alexnetplusCAM_places205", "alexnetplusCAM_places205", 18_903_860),
]


@pytest.mark.parametrize("model", catalog().values(), ids=lambda model: model.name)
def test_every_entry_says_where_it_comes_from(model: Model) -> None:
    assert model.title
    assert urlsplit(model.source).scheme == "https"
    assert model.licence
    assert len(model.citation) > 20
    assert model.paper.startswith("https://")
    assert model.kinds[:2] == ("prototxt", "caffemodel")
    assert model.cam == bool(model.features) == bool(model.classifier)
    assert model.input.color in ("BGR", "RGB")
    assert min(model.input.crop) > 0
    assert model.input.scale > 0


@pytest.mark.parametrize(("model", "file"), FILES, ids=[f"{model.name}-{file.kind}" for model, file in FILES])
def test_every_file_can_be_told_from_a_wrong_one(model: Model, file: RemoteFile) -> None:
    assert file.kind in KINDS
    assert file.size or file.min_size or file.hashes
    for name, digits in file.hashes.items():
        assert re.fullmatch(rf"[0-9a-f]{{{DIGITS[name]}}}", digits)
    assert bool(file.urls) == (model.embedded is None)
    for url in file.urls:
        assert urlsplit(url).scheme in ("http", "https")
        assert urlsplit(url).netloc
        assert " " not in url
    assert len(set(file.urls)) == len(file.urls)


@pytest.mark.parametrize(("name", "prototxt", "caffemodel", "payload"), CAM_PAPER)
def test_the_five_nets_of_the_paper(name: str, prototxt: str, caffemodel: str, payload: int) -> None:
    model = find(name)
    weights = model.file("caffemodel")
    assert model.cam
    assert model.file("prototxt").name == f"{prototxt}.prototxt"
    assert (weights.name, weights.min_size, weights.size) == (f"{caffemodel}.caffemodel", payload, None)
    assert all(url.startswith("http://cnnlocalization.csail.mit.edu/demoCAM/models/") for url in weights.urls)
    assert {url.rsplit("/", 1)[1] for url in weights.urls} == {
        weights.name,
        weights.name.replace("googlenet", "googlelet"),
    }


@pytest.mark.parametrize("name", [row[0] for row in CAM_PAPER])
def test_prototxts_of_the_paper_are_the_published_files(name: str, shared: Path) -> None:
    model = find(name)
    file = model.file("prototxt")
    data = (shared / "cam" / "models" / file.name).read_bytes()
    assert file.size == len(data)
    assert file.hashes["sha256"] == hashlib.sha256(data).hexdigest()
    assert file.hashes["gitblob"] == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    text = data.decode()
    assert f'name: "{model.classifier}"' in text
    assert f'top: "{model.features}"' in text
    assert [int(size) for size in re.findall(r"^input_dim: (\d+)", text, re.MULTILINE)][2:] == list(model.input.crop)


@pytest.mark.parametrize(
    ("name", "corpus"),
    [
        ("bvlc_alexnet", "bvlc_alexnet"),
        ("bvlc_googlenet", "bvlc_googlenet"),
        ("densenet-121", "densenet121"),
        ("mobilenet-v1", "mobilenet_v1"),
        ("mtcnn-p", "mtcnn_det1"),
        ("mtcnn-r", "mtcnn_det2"),
        ("googlenet-cam-imagenet", "googlenet_cam"),
    ],
)
def test_prototxts_of_the_corpus_have_its_git_blobs(name: str, corpus: str, shared: Path) -> None:
    with (shared / "corpus" / "index.tsv").open() as stream:
        blobs = {row["name"]: row["git_blob"] for row in csv.DictReader(stream, delimiter="\t")}
    model = find(name)
    data = (shared / "corpus" / f"{corpus}.prototxt").read_bytes()
    assert model.file("prototxt").hashes["gitblob"] == blobs[corpus]
    assert model.file("prototxt").size == len(data)
    if model.cam:
        assert f'name: "{model.classifier}"' in data.decode()
        assert f'top: "{model.features}"' in data.decode()


def test_every_published_checksum_is_in_the_catalogue(shared: Path) -> None:
    with (shared / "checksums.tsv").open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert len(rows) > 25
    for row in rows:
        file = find(row["name"]).file("caffemodel")
        algorithm, _, digits = row["hash"].partition(":")
        assert file.hashes[algorithm] == digits, row["name"]
        assert row["url"] in file.urls, row["name"]
        assert file.size == (int(row["bytes"]) if row["bytes"] else None), row["name"]


@pytest.mark.parametrize(
    ("name", "sha1"),
    [  # as their makers state them in the Caffe model zoo
        ("bvlc_googlenet", "405fc5acd08a3bb12de8ee5e23a96bec22f08204"),
        ("bvlc_alexnet", "9116a64c0fbe4459d18f4bb6b56d647b63920377"),
        ("caffenet", "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"),
        ("vgg16", "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24"),
        ("vgg19", "239785e7862442717d831f682bb824055e51e9ba"),
    ],
)
def test_the_classic_models_have_their_published_sha1(name: str, sha1: str) -> None:
    assert find(name).file("caffemodel").hashes["sha1"] == sha1


def test_embedded_model_is_in_the_package_with_its_pictures() -> None:
    model = find("shapes-cam")
    assert model.present(*model.kinds)
    for file in model.files:
        data = (model.folder / file.name).read_bytes()
        assert len(data) == file.size
        assert hashlib.sha256(data).hexdigest() == file.hashes["sha256"]
    labels = model.path("labels").read_text().split()
    with (model.folder / "boxes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 60 and len({row["class"] for row in rows}) == 10
    for row in rows:
        assert labels[int(row["label"])] == row["class"]
        assert (model.folder / "pictures" / row["file"]).is_file()


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("caffenet", "bvlc_reference_caffenet"),
        ("VGG_ILSVRC_16_layers", "vgg16"),
        ("SqueezeNet-V1.1", "squeezenet_v1.1"),
        ("googlenet_cam_imagenet", "googlenet-cam-imagenet"),
    ],
)
def test_a_model_is_found_by_alias_and_in_any_spelling(asked: str, name: str) -> None:
    assert find(asked).name == name


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(DownloadError, match=r"'googlenet-cam-imagnet'; did you mean googlenet-cam-imagenet"):
        find("googlenet-cam-imagnet")
    with pytest.raises(DownloadError, match="known: shapes-cam, "):
        find("@@@@")


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path))
    assert home() == tmp_path
    assert find("vgg16").path("caffemodel") == tmp_path / "vgg16" / "VGG_ILSVRC_16_layers.caffemodel"
    monkeypatch.delenv("CAMCOMPAT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert home() == tmp_path / "user" / ".cache" / "camcompat"


def test_present_wants_the_size(tmp_path: Path) -> None:
    model = find("mtcnn-p").at(tmp_path)
    model.folder.mkdir()
    model.path("prototxt").write_bytes(b"x" * 2353)
    assert not model.present()
    model.path("caffemodel").write_bytes(b"x" * 28162)
    assert not model.present()
    model.path("caffemodel").write_bytes(b"x" * 28163)
    assert model.present()


def test_missing_kind_is_an_error() -> None:
    with pytest.raises(DownloadError, match="mtcnn-p: it has no mean file; it has: prototxt, caffemodel"):
        find("mtcnn-p").path("mean")


OWN = """
[models.vgg16]
licence = "asked the authors"

[models.mine]
source = "https://example.org/mine"
licence = "own"
citation = "nobody"
cam = false
labels = "imagenet"
input = { crop = [32, 32], mean_values = [1, 2, 3] }
prototxt = { name = "mine.prototxt", urls = ["https://example.org/mine.prototxt"], min_size = 10 }
caffemodel = { name = "mine.caffemodel", urls = ["https://example.org/mine.caffemodel"], size = 99 }
"""


def use(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make that the user's own catalogue."""
    (tmp_path / "own.toml").write_text(text)
    monkeypatch.setenv("CAMCOMPAT_CATALOG", str(tmp_path / "own.toml"))


def test_own_catalogue_is_merged_on_top(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find("vgg16")
    use(OWN, tmp_path, monkeypatch)
    assert find("vgg16").licence == "asked the authors"
    assert find("vgg16").files == before.files
    assert find("mine").input.mean_values == (1.0, 2.0, 3.0)
    assert find("mine").file("labels").name == find("vgg16").file("labels").name
    monkeypatch.delenv("CAMCOMPAT_CATALOG")
    assert find("vgg16") == before


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("licence =", "license =", "unknown key 'license'; did you mean 'licence'"),
        ('citation = "nobody"\n', "", "models.mine: the key 'citation' is missing"),
        ("crop = [32, 32]", "crop = 32", r"input.crop: found 32, expected \[height, width\]"),
        ("crop = [32, 32], ", "", "input: the key 'crop' is missing"),
        ("size = 99", "sha1 = 'abc'", "caffemodel.sha1: found '3 digits', expected 40 digits"),
        ("size = 99", "sha1 = 'xyz'", "expected lower-case hexadecimal digits"),
        (", size = 99", "", "nothing says how to tell"),
        ("https://example.org/mine.caffemodel", "ftp://example.org/a", "is no http address"),
        ('"mine.caffemodel"', '"../mine.caffemodel"', "is no plain file name"),
        ('"mine.caffemodel"', '"mine.caffemodel.zip"', "is an archive; name the file itself"),
        ("https://example.org/mine.caffemodel", "https://example.org/a.tar.GZ?raw=1", "is an archive"),
        ('labels = "imagenet"', 'labels = "coco"', "there is no labels.coco; known: imagenet, places205"),
        ("cam = false", 'cam = false\naliases = ["vgg16"]', "'vgg16' names both 'vgg16' and 'mine'"),
        ("cam = false", "cam = ", "is not TOML: Invalid value .at line"),
        ("[models.mine]", '[models."a/b"]', "the name becomes a folder"),
    ],
)
def test_mistakes_in_an_own_catalogue_are_named(
    old: str, new: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert old in OWN
    use(OWN.replace(old, new), tmp_path, monkeypatch)
    with pytest.raises(DownloadError, match=message) as caught:
        catalog()
    assert str(tmp_path / "own.toml") in str(caught.value)


def test_own_catalogue_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_CATALOG", str(tmp_path / "no.toml"))
    with pytest.raises(DownloadError, match=r"no\.toml: cannot be read"):
        catalog()


def test_the_cam_models_are_those_of_the_paper_and_then_the_embedded_one() -> None:
    assert tagged("cam-models") == (*(name for name, *_ in CAM_PAPER), "shapes-cam")
    assert tagged("no-such-tag") == ()


def test_own_entries_may_bear_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[models.open_nsfw]\ntags = ["cam-models", "mine"]\n')
    monkeypatch.setenv("CAMCOMPAT_CATALOG", str(own))
    assert tagged("mine") == ("open_nsfw",)
    assert tagged("cam-models")[-2:] == ("open_nsfw", "shapes-cam")
    own.write_text('[models.open_nsfw]\ntags = "mine"\n')
    with pytest.raises(DownloadError, match="tags"):
        catalog()


def test_files_that_a_python_package_carries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked into, never imported; without it, or without the files, there are none."""
    package = tmp_path / "carrier"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "deploy.prototxt").write_text("")
    (tmp_path / "own.toml").write_text('[models.open_nsfw]\npackage = "carrier"\n')
    monkeypatch.setenv("CAMCOMPAT_CATALOG", str(tmp_path / "own.toml"))
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path / "home"))
    assert find("open_nsfw").carried() == {}
    monkeypatch.syspath_prepend(tmp_path)
    assert find("open_nsfw").carried() == {"prototxt": package / "deploy.prototxt"}
    assert find("open_nsfw").at_hand() == {} and find("vgg16").carried() == {}
    assert find("shapes-cam").at_hand().keys() == {"prototxt", "caffemodel", "labels"}
