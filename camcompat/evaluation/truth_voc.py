"""Annotations as PASCAL VOC and ILSVRC have them: an XML file per picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from camcompat.evaluation.ground_truth import Truth
from prototxt.errors import CamcompatError

__all__ = ["read_voc"]

REMEDY = "expected <annotation> with <object> elements, each with <name> and <bndbox>"


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
        yield _read(file)


def _read(file: Path) -> Truth:
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
            raise CamcompatError("has no name or no box", where=f"{file}: object {number}", remedy=REMEDY)
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
        raise CamcompatError("is not UTF-8 text", where=str(file), remedy=REMEDY) from None
    except ElementTree.ParseError as error:
        line, column = error.position
        raise CamcompatError("is no XML", where=f"{file}:{line}:{column + 1}", remedy=REMEDY) from None
    if root.tag != "annotation":
        raise CamcompatError(f"found <{root.tag}>", where=str(file), remedy=REMEDY)
    return root
