"""Files of ground truth: the cache of ILSVRC's development kit, VOC annotations, or a simple CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from camcompat.evaluation.ground_truth import GroundTruth, Truth
from prototxt.errors import CamcompatError

__all__ = ["load_mat", "read_ground_truth"]


def read_ground_truth(source: str | os.PathLike[str]) -> GroundTruth:
    """Return the ground truth of a file or folder.

    Args:
        source: ``cache_groundtruth.mat`` of the ILSVRC development kit (its pictures are called
            ``ILSVRC2012_val_00000001`` and so on); a folder of VOC annotations, or one of them (``.xml``), sorted by
            name; or a CSV file with a header: ``file``, ``label`` or ``class`` (index or name), and the first and last
            pixels ``x0,y0,x1,y1``, ``x1,y1,x2,y2`` or ``xmin,ymin,xmax,ymax``; a line per box.

    Raises:
        CamcompatError: a file that is none of these, is damaged, or has a picture without a box.

    >>> from weights.models import find
    >>> truth = read_ground_truth(find("shapes-cam").path("prototxt").parent / "boxes.csv")
    >>> len(truth), truth.truths[0].picture, truth.truths[0].labels, truth.truths[0].boxes.tolist()
    (60, '00-ring.jpg', (5,), [[65.0, 80.0, 109.0, 123.0]])
    """
    path = Path(source)
    if not path.exists():
        raise CamcompatError("no such file", where=str(path), remedy="check the path of the ground truth")
    readers = {".mat": read_mat, ".csv": read_csv, ".xml": read_voc}
    reader = read_voc if path.is_dir() else readers.get(path.suffix.lower())
    if reader is None:
        remedy = "expected cache_groundtruth.mat, a CSV file, or a folder of VOC annotations (.xml)"
        raise CamcompatError(f"found {path.suffix or 'no extension'}", where=str(path), remedy=remedy)
    return GroundTruth(tuple(reader(path)), str(path))


def load_mat(path: Path) -> dict[str, np.ndarray]:
    """Return the variables of a MATLAB file.

    Raises:
        CamcompatError: not a MATLAB file, or a damaged one.
    """
    from scipy.io import loadmat  # slow to import
    from scipy.io.matlab import MatReadError

    try:
        variables = loadmat(str(path), appendmat=False)
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError, MatReadError) as error:
        remedy = "download it again (files of MATLAB's version 7.3 must be saved as version 7)"
        raise CamcompatError(f"is no MATLAB file that can be read: {error}", where=str(path), remedy=remedy) from None
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def read_mat(path: Path) -> Iterator[Truth]:
    """The pictures of ``rec``, a struct array with ``objects``, each of which has ``label`` and ``bbox``.

    SciPy gives the boxes in the small integers that the file packs them in: they become float64 before any arithmetic.

    Raises:
        CamcompatError: a file without them.
    """
    remedy = "expected cache_groundtruth.mat of the ILSVRC development kit: rec(i).objects(j).label and .bbox"
    records = load_mat(path).get("rec")
    if records is None or records.dtype.names != ("objects",):
        raise CamcompatError("holds no struct array rec with objects", where=str(path), remedy=remedy)
    for number, objects in enumerate(records["objects"].ravel(), 1):
        picture = f"ILSVRC2012_val_{number:08d}"
        try:
            labels = tuple(int(label.item()) for label in objects["label"].ravel())
            boxes = np.array([box.ravel().astype(np.float64) for box in objects["bbox"].ravel()])
        except (AttributeError, IndexError, TypeError, ValueError):
            labels, boxes = (), np.zeros(0)
        if not labels or boxes.shape != (len(labels), 4):
            raise CamcompatError("has no labels and boxes", where=f"{path}: rec({number})", remedy=remedy)
        yield Truth(picture, labels, boxes)


FILES = ("file", "picture", "image", "filename")
LABELS = ("label", "class", "name")
CORNERS = (("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
CSV_REMEDY = "expected a header such as file,class,x0,y0,x1,y1 (first and last pixels), and a line per box"


def read_csv(path: Path) -> Iterator[Truth]:
    """The pictures in the order in which they appear.

    Of ``label`` and ``class`` the first that there is counts: whole numbers are indices, all else are names.

    Raises:
        CamcompatError: missing columns, or a line that is no box.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [(reader.line_num, row) for reader in [csv.reader(file, strict=True)] for row in reader if any(row)]
    except UnicodeDecodeError:
        raise CamcompatError("is not UTF-8 text", where=str(path), remedy=CSV_REMEDY) from None
    except csv.Error as error:
        raise CamcompatError(f"is no CSV: {error}", where=str(path), remedy=CSV_REMEDY) from None
    if len(lines) < 2:
        raise CamcompatError("holds no boxes", where=str(path), remedy=CSV_REMEDY)
    header = [cell.strip().lower() for cell in lines[0][1]]
    file_at, label_at, corners_at = _columns(header, path)
    found: dict[str, tuple[list[int | str], list[list[float]]]] = {}
    for number, row in lines[1:]:
        try:
            picture, label = row[file_at].strip(), row[label_at].strip()
            box = [float(row[at]) for at in corners_at]
        except (IndexError, ValueError):
            picture = label = ""
        if not picture or not label or len(row) != len(header):
            raise CamcompatError(f"found {','.join(row)}", where=f"{path}:{number}", remedy=CSV_REMEDY)
        labels, boxes = found.setdefault(picture, ([], []))
        labels.append(int(label) if label.isdecimal() else label)
        boxes.append(box)
    for picture, (labels, boxes) in found.items():
        yield Truth(picture, tuple(labels), np.array(boxes))


def _columns(header: Sequence[str], path: Path) -> tuple[int, int, list[int]]:
    files = [header.index(name) for name in FILES if name in header]
    labels = [header.index(name) for name in LABELS if name in header]
    corners = [[header.index(name) for name in names] for names in CORNERS if set(names) <= set(header)]
    if not files or not labels or not corners:
        raise CamcompatError(f"found the columns {','.join(header)}", where=f"{path}:1", remedy=CSV_REMEDY)
    return files[0], labels[0], corners[0]


VOC_REMEDY = "expected <annotation> with <object> elements, each with <name> and <bndbox>"


def read_voc(path: Path) -> Iterator[Truth]:
    """The pictures of a folder of annotations (in the order of their names), or of one annotation.

    A picture is called as its annotation file is. Boxes are taken as they are written, as ``VOCreadrecxml.m`` does.

    Raises:
        CamcompatError: an empty folder, or an annotation that cannot be read.
    """
    files = sorted(path.glob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise CamcompatError("holds no .xml files", where=str(path), remedy="name the folder of the annotations")
    for file in files:
        yield _read_annotation(file)


def _read_annotation(file: Path) -> Truth:
    root = _parse(file)
    labels, boxes = [], []
    for number, thing in enumerate(root.iterfind("object"), 1):
        name = (thing.findtext("name") or "").strip()
        corners = [thing.findtext(f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        try:
            boxes.append([float(corner or "") for corner in corners])
        except ValueError:
            name = ""
        if not name:
            raise CamcompatError("has no name or no box", where=f"{file}: object {number}", remedy=VOC_REMEDY)
        labels.append(name)
    if not labels:
        raise CamcompatError("has no object", where=str(file), remedy="leave the picture and its annotation out")
    return Truth(file.stem, tuple(labels), np.array(boxes, np.float64))


def _parse(file: Path) -> ElementTree.Element:
    """The root element. Document types are refused: annotations have none, and entities can blow up."""
    try:
        text = file.read_text(encoding="utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise CamcompatError("declares a document type or entities", where=str(file), remedy="remove them")
        root = ElementTree.fromstring(text)
    except UnicodeDecodeError:
        raise CamcompatError("is not UTF-8 text", where=str(file), remedy=VOC_REMEDY) from None
    except ElementTree.ParseError as error:
        line, column = error.position
        raise CamcompatError("is no XML", where=f"{file}:{line}:{column + 1}", remedy=VOC_REMEDY) from None
    if root.tag != "annotation":
        raise CamcompatError(f"found <{root.tag}>", where=str(file), remedy=VOC_REMEDY)
    return root
