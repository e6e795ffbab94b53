"""Class names in the spellings that Caffe's users have."""

from __future__ import annotations

from pathlib import Path

import pytest

from camcompat.cam.labels import class_index, read_labels
from prototxt.errors import CamcompatError

LABELS = ("crane", "soup bowl", "Cup", "crane", "alp, mountain")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("labels.txt", "cup\n\n soup bowl \n", ("cup", "soup bowl")),
        ("synset_words.txt", "n01440764 tench, Tinca tinca\nn03147509 cup", ("tench, Tinca tinca", "cup")),
        ("places.txt", "/a/abbey 0\n/a/apartment_building/outdoor 8\n", ("abbey", "apartment building, outdoor")),
        ("labels.json", '["cup", "bowl"]', ("cup", "bowl")),
        ("bom.txt", "\ufeffcup\n", ("cup",)),
    ],
)
def test_files(tmp_path: Path, name: str, text: str, expected: tuple[str, ...]) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / name) == read_labels(str(tmp_path / name)) == expected


def test_matlab_file_of_the_release(shared: Path) -> None:
    labels = read_labels(shared / "cam" / "categories1000.mat", count=1000)
    assert labels[0] == "tench, Tinca tinca" and labels[968] == "cup"


def test_count() -> None:
    assert read_labels(["a", "b"], count=2) == ("a", "b")
    with pytest.raises(CamcompatError, match="2 labels for a network of 3 classes"):
        read_labels(["a", "b"], count=3)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"{}", "no JSON list"),
        ("a.json", b"[", "is no JSON"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("a.mat", b"<html>" * 100, "is no MATLAB file"),
        ("none.txt", None, "No such file"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CamcompatError, match=message):
        read_labels(tmp_path / name)


@pytest.mark.parametrize(("wanted", "index"), [(3, 3), (0, 0), ("cup", 2), (" SOUP bowl", 1), ("mountain", 4)])
def test_class_index(wanted: int | str, index: int) -> None:
    assert class_index(wanted, LABELS, 5) == index


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (5, r"class 5 of a network of 5; use 0\.\.4"),
        (-1, "class -1"),
        ("crane", r"classes \[0, 3\] are all called 'crane'"),
        ("cups", "no class is called 'cups'; did you mean 'Cup'"),
        ("zzz", "see the network's labels"),
    ],
)
def test_class_index_refuses(wanted: int | str, message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        class_index(wanted, LABELS, 5)


def test_label_without_labels() -> None:
    with pytest.raises(CamcompatError, match="the network has no labels"):
        class_index("cup", None, 5)
