"""Oracles that lie in the folder of references: Caffe's stored outputs in each form, and the CAM release's data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat

import converters
import prototxt
from camcompat.verification import OracleResult, verify
from camcompat.verification.evidence import (
    caffe_runs,
    find_evidence,
    read_evidence,
    reference_prototxt,
    references,
)
from camcompat.verification.judge import Case
from camcompat.verification.oracles.registry import Inquiry, NotAtHand
from camcompat.verification.oracles.release import release
from camcompat.verification.subject import Subject
from camcompat.verification.targets import everything, targets_of
from weights.models import find

STORED = "Caffe's stored outputs"


@pytest.fixture(autouse=True)
def named_folder(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_SHARED", str(shared))


@pytest.mark.parametrize(
    "name", ["lenet", "mtcnn_det1", "hyperlpr_segmentation", "cifar10_full_lrn_within", "v0_lenet"]
)
def test_public_nets_are_found_and_agree(name: str, shared: Path) -> None:
    """Real weights are matched by their content, synthetic ones by the prototxt."""
    caffemodel = shared / "corpus" / "weights" / f"{name}.caffemodel"
    weights = caffemodel if caffemodel.is_file() else converters.Synthetic()
    report = verify(shared / "corpus" / f"{name}.prototxt", weights)
    (found,) = [each for each in report.oracles if each.name == STORED]
    assert report.ok and found.status == "agrees" and found.version == f"{name}.npz"
    with np.load(shared / "corpus" / "expected" / f"{name}.npz") as file:
        count = sum(key.startswith(("out/", "mid/")) for key in file.files)
    assert len(found.blobs) == count > 3


def test_stored_outputs_of_other_weights_are_not_taken(shared: Path) -> None:
    definition = shared / "corpus" / "lenet.prototxt"
    net = prototxt.load(definition)
    assert find_evidence(net, definition, None) == []  # what is stored is of the trained weights
    other = shared / "corpus" / "weights" / "mtcnn_det1.caffemodel"
    assert find_evidence(net, definition, other) == []
    right = shared / "corpus" / "weights" / "lenet.caffemodel"
    assert [entry.source.name for entry in find_evidence(net, definition, right)] == ["lenet.npz"]


def test_a_wrong_number_in_the_stored_outputs_is_seen(shared: Path, tmp_path: Path) -> None:
    """The comparison reads what is stored: one value changed by 1e-4 of the maximum is beyond the tolerance."""
    with np.load(shared / "corpus" / "expected" / "lenet.npz") as file:
        stored = {key: file[key].copy() for key in file.files}
    stored["mid/pool2"][7] += 1e-4 * np.abs(stored["mid/pool2"]).max()
    np.savez(tmp_path / "other.npz", **stored)
    files = shared / "corpus" / "lenet.prototxt", shared / "corpus" / "weights" / "lenet.caffemodel"
    report = verify(*files, expected=[tmp_path / "other.npz"])
    found = report.oracles[0]
    assert not report.ok and found.status == "differs"
    assert [blob.blob for blob in found.blobs if not blob.ok] == ["pool2"]
    assert (
        found.finding is not None
        and found.finding.layer == "pool2"
        and "after conv2, which agrees" in found.finding.words
    )


def test_an_npz_without_blobs_of_the_net_is_refused(shared: Path, tmp_path: Path) -> None:
    net = prototxt.load(shared / "corpus" / "lenet.prototxt")
    np.savez(tmp_path / "other.npz", nothing=np.zeros(3))
    with pytest.raises(prototxt.CamcompatError, match="none of its names"):
        read_evidence(tmp_path / "other.npz", net)
    (tmp_path / "text.npz").write_text("no archive")
    with pytest.raises(prototxt.CamcompatError, match=r"cannot be read as \.npz"):
        read_evidence(tmp_path / "text.npz", net)


class Published(converters.Synthetic):
    """Synthetic weights, but for CAM_fc, which is the release's `weights_LR`."""

    def __init__(self, weights: np.ndarray) -> None:
        super().__init__()
        self.weights = weights

    def get(self, layer, index, shape):
        made = super().get(layer, index, shape)
        return self.weights if (layer.name, index) == ("CAM_fc", 0) else made


@pytest.fixture(scope="module")
def weights_lr(shared: Path) -> np.ndarray:
    return np.ascontiguousarray(loadmat(shared / "cam" / "data_net.mat")["weights_LR"].T)


def subject(shared: Path, weights: object, folder: Path) -> Subject:
    return Subject.build(shared / "cam" / "models" / "deploy_googlenetCAM.prototxt", weights, None, folder)


def asked(net: Subject, folder: Path | None) -> OracleResult:
    """What the oracle of the release says; no input is needed to ask it."""
    (found,) = release.ask(release, Inquiry(net, Case(net, {}, {}, {}), release=folder))
    return found


def test_synthetic_weights_are_not_the_published_ones(shared: Path, tmp_path: Path) -> None:
    net = subject(shared, converters.Synthetic(), tmp_path)
    with pytest.raises(NotAtHand, match="not the published weights"):
        asked(net, None)
    with pytest.raises(NotAtHand, match="not at hand"):
        asked(net, tmp_path)


def test_the_release_tells_a_classifier_from_the_rest(shared: Path, weights_lr: np.ndarray, tmp_path: Path) -> None:
    """CAM_fc is the published one; the features before it are not, and img1's activations show that."""
    found = asked(subject(shared, Published(weights_lr), tmp_path), shared / "cam")
    classifier, *rest = found.blobs
    assert classifier.blob == "weights_LR" and classifier.relative == 0
    assert {blob.blob for blob in rest} == {"CAM_conv", "prob"} and not any(blob.ok for blob in rest)
    assert found.status == "differs" and found.finding is not None and "img1" in found.finding.words


def test_a_changed_classifier_is_not_the_published_one(shared: Path, weights_lr: np.ndarray, tmp_path: Path) -> None:
    other = weights_lr.copy()
    other[500, 3] += 0.1 * np.abs(other).max()
    found = asked(subject(shared, Published(other), tmp_path), shared / "cam")
    assert found.status == "differs" and not found.blobs[0].ok
    assert found.finding is not None and "not the published weights_LR" in found.finding.words


def test_everything_names_the_nets_of_the_issue(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMCOMPAT_HOME", str(tmp_path))
    names = [target.name for target in everything()]
    assert names[0] == "shapes-cam" and "squeezenet_v10_deepcomp" in names
    assert len([name for name in names if name.endswith("-synthetic")]) == 5
    (target,) = targets_of(["vgg16-cam-imagenet"], synthetic=True)
    assert target.prototxt == shared / "cam" / "models" / "deploy_vgg16CAM.prototxt" and target.caffemodel is None


def test_no_folder_is_searched_that_was_not_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even one that lies beside the checkout."""
    for named in (None, "", str(tmp_path / "missing")):
        monkeypatch.delenv("CAMCOMPAT_SHARED", raising=False)
        if named is not None:
            monkeypatch.setenv("CAMCOMPAT_SHARED", named)
        assert references() is None and list(caffe_runs()) == []
        assert reference_prototxt(find("vgg16-cam-imagenet")) is None


def test_outputs_of_published_files_go_with_these_wherever_the_catalogue_says_they_are(tmp_path: Path) -> None:
    files = find("open_nsfw").carried()
    if not files:
        pytest.skip("the package nsfw, which carries the published weights, is not installed")
    net = prototxt.load(files["prototxt"])
    assert [entry.source.name for entry in find_evidence(net, files["prototxt"], files["caffemodel"])] == [
        "open_nsfw.npz"
    ]
    changed = tmp_path / "deploy.prototxt"
    changed.write_bytes(files["prototxt"].read_bytes() + b"\n")
    assert find_evidence(net, changed, files["caffemodel"]) == []
    assert ("open_nsfw", files["caffemodel"]) in [(target.name, target.caffemodel) for target in everything()]


def test_pictures_are_prepared_as_the_catalogue_says(shared: Path, tmp_path: Path) -> None:
    """The folder's name is that of the model whose mean is subtracted."""
    net = prototxt.load(shared / "corpus" / "squeezenet_v10_deepcomp.prototxt")
    evidence = read_evidence(shared / "squeezenet" / "expected.npz", net)
    with np.load(evidence.source) as file:
        picture = file["rgb/img1"]
    assert evidence.feeds["data"].shape == (3, 3, 227, 227) and list(evidence.blobs) == ["pool_final"]
    red, green, blue = (float(value) for value in picture[9, 5])
    assert list(evidence.feeds["data"][0, :, 9, 5]) == [blue - 104, green - 117, red - 123]
    strange = tmp_path / "no-such-model" / "expected.npz"
    strange.parent.mkdir()
    strange.write_bytes(evidence.source.read_bytes())
    with pytest.raises(prototxt.CamcompatError, match="not named after a model of the catalogue"):
        read_evidence(strange, net)
