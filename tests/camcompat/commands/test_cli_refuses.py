"""The command line: one line with a remedy for every kind of bad input."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from cli_helpers import Run, refused

import weights


def test_missing_files(run: Run, files: tuple[Path, Path]) -> None:
    refused(run("convert", "missing.prototxt", files[1]), "missing.prototxt")
    refused(run("convert", files[0], "missing.caffemodel"), "missing.caffemodel")
    refused(run("convert", "no-such-model"), "no-such-model", "known: ")
    refused(run("convert", "some/missing.caffemodell"), "some/missing.caffemodell: no such file")
    refused(run("cam", "missing.onnx", "a.jpg"), "missing.onnx")
    refused(run("inspect", "missing.prototxt"), "missing.prototxt")
    assert sorted(os.listdir()) == ["deploy.prototxt", "net.caffemodel"]


KINDS = {
    "html": b"<!DOCTYPE html><html><body>404</body></html>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n",
    "empty": b"",
    "ONNX": b"\x08\x08\x12\x09camcompat" + b"\0" * 40,
    "zip": b"PK\x03\x04" + b"\0" * 60,
    "picture": b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"\0" * 60,
    "noise": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 1])
def test_wrong_kinds_of_files(kind: str, place: int, run: Run, files: tuple[Path, Path]) -> None:
    files[place].write_bytes(KINDS[kind])
    refused(run("convert", *files, "--out", "out"), files[place].name)
    assert not Path("out").exists() or not os.listdir("out")


def test_the_two_files_as_each_other(run: Run, files: tuple[Path, Path]) -> None:
    Path("a.prototxt").write_bytes(files[1].read_bytes())
    Path("b.caffemodel").write_bytes(files[0].read_bytes())
    refused(run("convert", "a.prototxt", "b.caffemodel"))


def test_truncated_weights(run: Run, files: tuple[Path, Path]) -> None:
    """Cut anywhere: within a blob the file is damaged, between layers a layer is missing."""
    whole = files[1].read_bytes()
    rng = np.random.default_rng(0)
    for length in [1, 2, len(whole) - 1, *rng.integers(3, len(whole), 12).tolist()]:
        files[1].write_bytes(whole[:length])
        refused(run("convert", *files, "--out", "out", "--format", "onnx"))
        assert not Path("out").exists() or not os.listdir("out")


def test_truncated_prototxt(run: Run, files: tuple[Path, Path]) -> None:
    whole = files[0].read_bytes()
    for length in range(20, len(whole) - 400, 397):
        files[0].write_bytes(whole[:length])
        result = run("convert", *files, "--out", "out", "--format", "onnx")
        if result.exit_code:  # cut between layers: a shorter net, which is legal
            refused(result)


def test_unknown_layer(run: Run, files: tuple[Path, Path]) -> None:
    files[0].write_text(files[0].read_text().replace('type: "LRN"', 'type: "LocalNorm"'))
    refused(run("convert", *files), "deploy.prototxt:9", "LocalNorm", "docs/layers.md")


def test_wrong_shapes(run: Run, files: tuple[Path, Path]) -> None:
    files[0].write_text(files[0].read_text().replace("num_output: 10 ", "num_output: 11 "))
    refused(run("convert", *files), "CAM_fc", "11", "10")


def test_weights_of_another_net(run: Run, files: tuple[Path, Path]) -> None:
    weights.write("net.caffemodel", "other", {"ip1": [np.eye(3)]}, types={"ip1": "InnerProduct"})
    refused(run("convert", *files), "conv1", "another net")


def test_an_input_size_that_does_not_fit(run: Run, files: tuple[Path, Path]) -> None:
    refused(run("convert", *files, "--input-shape", "data=1,3,192,192"), "CAM_fc", "96")
    refused(run("convert", *files, "--input-shape", "image=1,3,96,96"), "image", "data")


def test_weights_with_a_blob_that_the_net_lacks(run: Run, files: tuple[Path, Path]) -> None:
    """Caffe refuses them too: dropping the bias in silence would change every number."""
    text = files[0].read_text().replace("num_output: 10 ", "num_output: 10 bias_term: false ")
    files[0].write_text(text)
    refused(run("convert", *files), "net.caffemodel", "CAM_fc", "2 blob(s)", "uses 1", "bias_term")


def test_a_number_of_maps_or_a_name_that_cannot_be(run: Run, files: tuple[Path, Path]) -> None:
    for top_k in (0, -1):
        refused(run("convert", *files, "--top-k", top_k), f"top_k is {top_k}")
    refused(run("convert", *files, "--name", "../outside", "--out", "out"), "../outside", "--out")
    assert not list(Path().rglob("outside*"))


def test_an_unwritable_folder(run: Run, files: tuple[Path, Path]) -> None:
    Path("taken").write_text("a file")
    refused(run("convert", *files, "--out", "taken"), "taken")


def test_a_picture_that_is_none(run: Run, files: tuple[Path, Path]) -> None:
    run("convert", *files, "--format", "onnx")
    refused(run("cam", "net.onnx", "net.caffemodel"), "net.caffemodel")
    refused(run("cam", "net.caffemodel", "net.caffemodel"), "net.caffemodel", "convert")


def test_a_picture_given_as_a_net_is_named(run: Run, files: tuple[Path, Path]) -> None:
    Path("x.jpg").write_bytes(KINDS["picture"] + b"\0" * 20)
    refused(run("inspect", "x.jpg"), "JPEG picture, not a prototxt")
