"""Ground truth, predictions, class lists: what is read, and what is refused with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from camcompat.evaluation import (
    GroundTruth,
    Truth,
    ilsvrc_classes,
    own_classes,
    read_blacklist,
    read_ground_truth,
    read_predictions,
    write_predictions,
)
from camcompat.evaluation.ground_truth import pair
from prototxt.errors import CamcompatError

XML = """<?xml version="1.0" encoding="UTF-8"?>
<annotation><folder>val</folder><filename>{name}</filename>
<object><name>n03147509</name><bndbox><xmin>3</xmin><ymin>4</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object>
<object><name>cup &amp; saucer</name>
<bndbox><xmax>9.5</xmax><xmin>0</xmin><ymin>1</ymin><ymax>2</ymax></bndbox></object>
</annotation>"""


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def as_lists(truth: GroundTruth) -> list[tuple[str, tuple[int | str, ...], list[list[float]]]]:
    return [(one.picture, one.labels, one.boxes.tolist()) for one in truth]


@pytest.mark.parametrize("corners", ["x0,y0,x1,y1", "x1,y1,x2,y2", "xmin,ymin,xmax,ymax"])
def test_csv(corners: str, tmp_path: Path) -> None:
    path = written(
        tmp_path, "t.csv", f"\ufefffile,class,{corners}\nb.jpg,cup,1,2,3,4\na.jpg,7,0,0,5,5\n\nb.jpg,3,5,6,7,8.5\n"
    )
    assert as_lists(read_ground_truth(path)) == [
        ("b.jpg", ("cup", 3), [[1, 2, 3, 4], [5, 6, 7, 8.5]]),
        ("a.jpg", (7,), [[0, 0, 5, 5]]),
    ]


def test_csv_of_the_embedded_pictures() -> None:
    from weights.models import find

    truth = read_ground_truth(find("shapes-cam").path("prototxt").parent / "boxes.csv")
    assert len(truth.truths) == 60
    (star,) = (entry for entry in truth.truths if entry.picture == "05-star.jpg")
    assert star.labels == (3,)
    assert star.boxes.tolist() == [[67, 2, 121, 57]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no boxes"),
        ("file,class,x0,y0,x1,y1\n", "holds no boxes"),
        ("file,class,x0,y0\na,b,1,2\n", ":1: found the columns file,class,x0,y0"),
        ("file,class,x0,y0,x1,y1\na.jpg,cup,1,2,3\n", ":2: found a.jpg,cup,1,2,3;"),
        ("file,class,x0,y0,x1,y1\na.jpg,cup,1,2,3,4,5\n", ":2: found"),
        ("file,class,x0,y0,x1,y1\na.jpg,cup,1,2,3,4\n,cup,1,2,3,4\n", ":3: found"),
        ("file,class,x0,y0,x1,y1\na.jpg,cup,1,2,three,4\n", ":2: found"),
        ("file,class,x0,y0,x1,y1\na.jpg,cup,5,2,3,4\n", "a.jpg: has the box 5 2 3 4; expected x1 <= x2"),
        ("file,class,x0,y0,x1,y1\na.jpg,cup,1,2,nan,4\n", "has the box 1 2 nan 4"),
        ('file,class,x0,y0,x1,y1\n"a.jpg,cup,1,2,3,4\n', "is no CSV"),
    ],
)
def test_csv_that_is_refused(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CamcompatError) as error:
        read_ground_truth(written(tmp_path, "t.csv", text))
    assert told in str(error.value)


def test_voc(tmp_path: Path) -> None:
    for name in ("b_2", "a_1"):
        written(tmp_path, f"{name}.xml", XML.format(name=name))
    boxes = [[3, 4, 30, 40], [0, 1, 9.5, 2]]
    labels = ("n03147509", "cup & saucer")
    assert as_lists(read_ground_truth(tmp_path)) == [("a_1", labels, boxes), ("b_2", labels, boxes)]
    assert as_lists(read_ground_truth(tmp_path / "b_2.xml")) == [("b_2", labels, boxes)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><annotation/>', "declares a document type or entities"),
        ("<annotation><object></annotation>", "a.xml:1:23: is no XML"),
        ("<html></html>", "found <html>"),
        ("<annotation></annotation>", "has no object"),
        ("<annotation><object><name>cup</name></object></annotation>", "object 1: has no name or no box"),
        (XML.replace("<xmin>3</xmin>", ""), "object 1: has no name or no box"),
        (XML.replace("<name>n03147509</name>", "<name> </name>"), "object 1: has no name or no box"),
    ],
)
def test_voc_that_is_refused(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CamcompatError) as error:
        read_ground_truth(written(tmp_path, "a.xml", text))
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_sources_that_are_none(tmp_path: Path) -> None:
    savemat(tmp_path / "other.mat", {"x": np.ones(3)})
    objects = np.zeros((1, 1), [("label", "O"), ("bbox", "O")])
    objects[0, 0] = (np.uint16([[490]]), np.uint8([[1, 2, 3]]))
    records = np.zeros((1, 1), [("objects", "O")])
    records[0, 0] = (objects,)
    savemat(tmp_path / "short.mat", {"rec": records})
    for path, told in [
        (tmp_path / "nothing.csv", "no such file"),
        (tmp_path, "holds no .xml files"),
        (written(tmp_path, "t.txt", "1"), "found .txt; expected cache_groundtruth.mat"),
        (written(tmp_path, "t.mat", "<html>"), "is no MATLAB file"),
        (tmp_path / "other.mat", "holds no struct array rec"),
        (tmp_path / "short.mat", "rec(1): has no labels and boxes"),
    ]:
        with pytest.raises(CamcompatError) as error:
            read_ground_truth(path)
        assert told in str(error.value)


def test_small_integers_of_the_cache_do_not_wrap(tmp_path: Path) -> None:
    objects = np.zeros((1, 1), [("label", "O"), ("bbox", "O")])
    objects[0, 0] = (np.uint16([[490]]), np.uint8([[0, 0, 255, 255]]))
    records = np.zeros((1, 1), [("objects", "O")])
    records[0, 0] = (objects,)
    savemat(tmp_path / "cache.mat", {"rec": records})
    (truth,) = read_ground_truth(tmp_path / "cache.mat")
    assert (truth.labels, (truth.boxes[0, 2] - truth.boxes[0, 0] + 1) ** 2) == ((490,), 65536)


def truth_named(*names: str) -> GroundTruth:
    return GroundTruth(tuple(Truth(name, (0,), np.array([[0.0, 0.0, 1.0, 1.0]])) for name in names), "t.csv")


def test_pictures_meet_their_truth_by_name() -> None:
    truth = truth_named("ILSVRC2012_val_00000001", "a.png", "gone.jpg")
    paired = pair([Path("x/a.jpg"), Path("new.jpg"), Path("ILSVRC2012_val_00000001.JPEG")], truth)
    assert paired.pairs == [(Path("ILSVRC2012_val_00000001.JPEG"), 0), (Path("x/a.jpg"), 1)]
    assert (paired.missing, paired.unknown) == (["gone.jpg"], [Path("new.jpg")])
    paired = pair([Path("d/two/a.jpg"), Path("d/one/a.jpg")], truth_named("one/a.jpg", "two/a.jpg"))
    assert paired.pairs == [(Path("d/one/a.jpg"), 0), (Path("d/two/a.jpg"), 1)]
    with pytest.raises(CamcompatError, match=r"y/a\.jpg and x/a\.jpg cannot be told apart"):
        pair([Path("x/a.jpg"), Path("y/a.jpg")], truth)
    with pytest.raises(CamcompatError, match="cannot be told apart"):
        pair([Path("x/a.jpg")], truth_named("a.jpg", "a.png"))


@pytest.mark.parametrize("text", ["7 1 2 3 4 8 5 6 7 8.5\n9 1 2 3 4\n", "7,1,2,3,4,8,5,6,7,8.5,\n9,1,2,3,4\n\n"])
def test_predictions_as_text(text: str, tmp_path: Path) -> None:
    rows = read_predictions(written(tmp_path, "p.txt", text))
    assert rows[0].tolist() == [7, 1, 2, 3, 4, 8, 5, 6, 7, 8.5]
    assert rows[1, :5].tolist() == [9, 1, 2, 3, 4]
    assert rows[1, 5] == -1  # matches no class, not even a 0-based one


def test_predictions_as_json_and_mat(tmp_path: Path) -> None:
    rows = [[7, 1, 2, 3, 4, 8, 5, 6, 7, 8], [9, 1, 2, 3, 4, 6, 1, 2, 3, 4]]
    assert read_predictions(written(tmp_path, "p.json", json.dumps(rows))).tolist() == rows
    nested = [[row[:5], row[5:]] for row in rows]
    assert read_predictions(written(tmp_path, "n.json", json.dumps(nested))).tolist() == rows
    savemat(tmp_path / "one.mat", {"predictionResult_bbox1": np.uint16(rows)})
    assert read_predictions(tmp_path / "one.mat").tolist() == rows
    savemat(tmp_path / "two.mat", {"a": np.ones((2, 5)), "b": np.array(rows)})
    assert read_predictions(f"{tmp_path}/two.mat:b").tolist() == rows
    with pytest.raises(CamcompatError, match=r"two\.mat: holds a, b; name one of them, as in two\.mat:NAME"):
        read_predictions(tmp_path / "two.mat")
    with pytest.raises(CamcompatError, match="holds a, b"):
        read_predictions(f"{tmp_path}/two.mat:c")


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("p.txt", "", "holds 0x0 numbers"),
        ("p.txt", "1 2 3 4 5\n\n1 2 3 4 5\n", "p.txt:2: found 'an empty line'"),
        ("p.txt", "1 2 3 4 5\n1 2 3 4\n", "p.txt:2: found 4 numbers"),
        ("p.txt", "label x1 y1 x2 y2\n", "p.txt:1: found 'label x1 y1 x2 y2'"),
        ("p.json", "{}", "is no JSON list of lists of numbers"),
        ("p.json", '[["1", 2, 3, 4, 5]]', "is no JSON list"),
        ("p.json", "[[1, 2, 3]]", "p.json:1: found 3 numbers"),
        ("p.json", "[1", "is no JSON list"),
        ("p.mat", "text", "is no MATLAB file"),
    ],
)
def test_predictions_that_are_refused(name: str, text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(CamcompatError) as error:
        read_predictions(written(tmp_path, name, text))
    assert told in str(error.value)


def test_predictions_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = np.array([[7, 1, 2, 3, 4.1], [-1, 0, 0, 1 / 3, 1e6]])
    write_predictions(tmp_path / "p.txt", rows)
    assert np.array_equal(read_predictions(tmp_path / "p.txt"), rows)
    assert [path.name for path in tmp_path.iterdir()] == ["p.txt"]


def test_blacklists(tmp_path: Path) -> None:
    assert read_blacklist(written(tmp_path, "b.txt", "36\n50\n\n56\n")) == (36, 50, 56)
    with pytest.raises(CamcompatError, match="no whole number"):
        read_blacklist(written(tmp_path, "b.txt", "36\nx\n"))
    with pytest.raises(CamcompatError, match="no such file"):
        read_blacklist(tmp_path / "none.txt")


IDS = ["n02119789", "n02100735", "n02110185"]  # the first of meta_clsloc.mat: kit fox, English setter, Siberian husky


def meta(path: Path, **fields: Any) -> Path:
    """As meta_clsloc.mat is made: a struct array whose groups (with children) come last."""
    synsets = np.zeros((4, 1), [("ILSVRC2014_ID", "O"), ("WNID", "O"), ("num_children", "O")])
    for place, wnid in enumerate([*IDS, "n02083346"]):
        synsets[place, 0] = (np.uint16([[place + 1]]), wnid, np.uint8([[0 if place < 3 else 2]]))
    savemat(path, {"synsets": synsets, **fields})
    return path


@pytest.mark.parametrize("form", ["mat", "text"])
def test_ilsvrc_numbers_go_by_wordnet_ids(form: str, tmp_path: Path) -> None:
    source = meta(tmp_path / "meta.mat")
    if form == "text":
        source = written(tmp_path, "ids.txt", "\n".join(f"{wnid} words" for wnid in IDS) + "\n")
    classes = ilsvrc_classes(source, count=3)
    assert classes.ids == (2, 3, 1)  # Caffe's order: n02100735, n02110185, n02119789
    assert classes.number("n02119789") == 1
    assert classes.number(3) == 3
    order = written(tmp_path, "synset_words.txt", "n02119789 kit fox\nn02110185 husky\nn02100735 setter\n")
    assert ilsvrc_classes(source, order).ids == (1, 3, 2)
    with pytest.raises(CamcompatError, match="has the label 4"):
        classes.number(4)


def test_the_releases_class_list(shared: Path, tmp_path: Path) -> None:
    order = shared / "cam" / "models" / "categoriesImageNet.mat"
    wnids = [str(cell.item())[:9] for cell in loadmat(order)["categories"].flat]
    numbers = written(tmp_path, "numbers.txt", "\n".join(reversed(wnids)))
    classes = ilsvrc_classes(numbers, order, count=1000)
    assert classes.ids == tuple(range(1000, 0, -1))
    assert classes.number("n07930864") == 1000 - 968  # cup is class 968 of the release, counted from 0
    assert ilsvrc_classes(numbers).ids == classes.ids  # the release's order is that of the sorted ids


def test_class_lists_that_are_refused(tmp_path: Path) -> None:
    good = meta(tmp_path / "meta.mat")
    savemat(tmp_path / "other.mat", {"synsets": np.ones(3)})
    strange = written(tmp_path, "strange.txt", "n02119789 kit fox\nn99999999 none\nn02110185 husky\n")
    for arguments, told in [
        ((tmp_path / "none.txt", None), "none.txt: no such file"),
        ((tmp_path / "other.mat", None), "holds no synsets with their numbers"),
        ((good, strange), "n99999999 is not in"),
        ((good, written(tmp_path, "names.txt", "tench\n")), "names.txt:1: found 'tench'; expected a WordNet id"),
        ((good, written(tmp_path, "twice.txt", "n02119789\nn02119789\n")), "1 different ids in 2 lines"),
        ((good, written(tmp_path, "few.txt", "n02119789\n")), "1 ids for a network of 3 classes"),
    ]:
        with pytest.raises(CamcompatError) as error:
            ilsvrc_classes(*arguments, count=3)
        assert told in str(error.value)


def test_own_classes() -> None:
    classes = own_classes(["tench, Tinca tinca", "cup"], 2)
    assert [classes.number(label) for label in (0, 1, "cup", "Tinca tinca")] == [0, 1, 1, 0]
    with pytest.raises(CamcompatError, match="no class is called 'mug'"):
        classes.number("mug")
    with pytest.raises(CamcompatError, match="WordNet id n03147509; give the list"):
        classes.number("n03147509")
    with pytest.raises(CamcompatError, match="has the label 2; expected 0 to 1"):
        classes.number(2)
    truth = truth_named("a.jpg").numbered(lambda label: classes.number(label))
    assert truth.truths[0].labels == (0,)
    with pytest.raises(CamcompatError, match=r"t\.csv: a\.jpg: has the label 0; expected 5"):
        truth_named("a.jpg").numbered(own_classes(None, 6).number).numbered(ilsvrc_shift)


def ilsvrc_shift(label: int | str) -> int:
    raise CamcompatError(f"has the label {label}", remedy="expected 5")
