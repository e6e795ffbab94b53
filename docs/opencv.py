"""`python -m docs.opencv [NET ...]` verifies the public nets of the references; without names, rewrites docs/verify.md.

It takes minutes, and needs OpenCV 4 and the folder of references.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from camcompat.verification import verify
from docs.public_nets import corpus, folder_of_references
from prototxt import CamcompatError
from weights.atomic import replacing

PAGE = Path(__file__).with_name("verify.md")
HEADING = "## OpenCV 4.14 on public nets"
STORED, OPENCV = "Caffe's stored outputs", "OpenCV 4"


def row(name: str, report: Mapping[str, Any]) -> str:
    """One net's line: OpenCV's and Caffe's differences from the ONNX file, and the explanation where there is one."""
    oracles = {entry["name"]: entry for entry in report["oracles"]}
    opencv, caffe = oracles[OPENCV], oracles[STORED]
    remark = opencv["reason"] or (opencv["finding"] or {}).get("words", "")
    return f"| {name} | {opencv['status']} | {len(opencv['blobs'])} | {_worst(opencv)} | {_worst(caffe)} | {remark} |"


def _worst(oracle: Mapping[str, Any]) -> str:
    found = [blob["relative"] for blob in oracle["blobs"]]
    return "" if not found else f"{max(map(float, found)):.1e}"


def table(reports: Mapping[str, Mapping[str, Any] | str]) -> str:
    """The section: a report as `Report.as_dict` gives it, or the error that a net gives, by name."""
    head = "| net | OpenCV | blobs | OpenCV's largest difference | Caffe's | remark |\n|---|---|---|---|---|---|"
    rows = [
        row(name, entry) if not isinstance(entry, str) else f"| {name} | not converted | | | | {entry} |"
        for name, entry in sorted(reports.items())
    ]
    return "\n".join([HEADING, "", _INTRODUCTION, "", head, *rows, ""])


_INTRODUCTION = """\
Each net of the references (`shared/corpus`; real weights where they are public, else synthetic ones): its ONNX file
against OpenCV's Caffe importer and against what Caffe stored, as the largest difference of any blob in units of that
blob's maximum. Repeat it with `python -m docs.opencv`."""


def main(names: Iterable[str]) -> None:
    folder = folder_of_references()
    warnings.simplefilter("ignore")
    reports: dict[str, Any] = {}
    for name, definition, weights in corpus(folder):
        if names and name not in names:
            continue
        try:
            report = verify(definition, weights, name=name)
        except CamcompatError as error:
            reports[name] = str(error).replace(f"{definition.parent}/", "")
            continue
        reports[name] = report.as_dict()
        print(row(name, reports[name]), flush=True)
    if not names:
        text = PAGE.read_text(encoding="utf-8")
        with replacing(PAGE) as temporary:
            temporary.write_text(text[: text.index(HEADING)] + table(reports), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
