"""Ground truth as a table: a line per box."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from camcompat.evaluation.ground_truth import Truth
from prototxt.errors import CamcompatError

__all__ = ["read_csv"]

FILES = ("file", "picture", "image", "filename")
LABELS = ("label", "class", "name")
CORNERS = (("x0", "y0", "x1", "y1"), ("x1", "y1", "x2", "y2"), ("xmin", "ymin", "xmax", "ymax"))
REMEDY = "expected a header such as file,class,x0,y0,x1,y1 (first and last pixels), and a line per box"


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
        raise CamcompatError("is not UTF-8 text", where=str(path), remedy=REMEDY) from None
    except csv.Error as error:
        raise CamcompatError(f"is no CSV: {error}", where=str(path), remedy=REMEDY) from None
    if len(lines) < 2:
        raise CamcompatError("holds no boxes", where=str(path), remedy=REMEDY)
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
            raise CamcompatError(f"found {','.join(row)}", where=f"{path}:{number}", remedy=REMEDY)
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
        raise CamcompatError(f"found the columns {','.join(header)}", where=f"{path}:1", remedy=REMEDY)
    return files[0], labels[0], corners[0]
