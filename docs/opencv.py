"""`python -m docs.opencv [NET ...]` verifies the public nets of the references; without names, rewrites docs/verify.md.

It takes minutes, and needs OpenCV 4 and the folder of references.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from camcompat.verification import verify
from camcompat.verification.evidence import references
from camcompat.verification.oracles.peers import opencv
from camcompat.verification.oracles.stored import stored_outputs
from converters import Synthetic
from prototxt import CamcompatError
from weights.atomic import replacing

PAGE = Path(__file__).with_name("verify.md")
HEADING = "## OpenCV 4.14 on public nets"


def folder_of_references() -> Path:
    """The folder of references, or the end of the program."""
    folder = references()
    if folder is None:
        sys.exit("the folder of references is missing: set CAMCOMPAT_SHARED")
    return folder


def corpus(folder: Path) -> Iterator[tuple[str, Path, Path | Synthetic]]:
    """Name, definition and weights of each net of the corpus: real weights where they are public."""
    for definition in sorted((folder / "corpus").glob("*.prototxt")):
        caffemodel = folder / "corpus" / "weights" / f"{definition.stem}.caffemodel"
        yield definition.stem, definition, caffemodel if caffemodel.is_file() else Synthetic()


def row(name: str, report: Mapping[str, Any]) -> str:
    """One net's line: OpenCV's and Caffe's differences from the ONNX file, and the explanation where there is one."""
    oracles = {entry["name"]: entry for entry in report["oracles"]}
    peer, caffe = oracles[opencv.name], oracles[stored_outputs.name]
    remark = peer["reason"] or (peer["finding"] or {}).get("words", "")
    return f"| {name} | {peer['status']} | {len(peer['blobs'])} | {_worst(peer)} | {_worst(caffe)} | {remark} |"


def _worst(oracle: Mapping[str, Any]) -> str:
    differences = [float(blob["relative"]) for blob in oracle["blobs"]]
    return f"{max(differences):.1e}" if differences else ""


def table(reports: Mapping[str, Mapping[str, Any] | str]) -> str:
    """The section: a report as `Report.as_dict` gives it, or the error that a net gives, by name."""
    head = "| net | OpenCV | blobs | OpenCV's largest difference | Caffe's | remark |\n|---|---|---|---|---|---|"
    rows = [
        row(name, entry) if not isinstance(entry, str) else f"| {name} | not converted | | | | {entry} |"
        for name, entry in sorted(reports.items())
    ]
    return "\n".join([HEADING, "", _INTRODUCTION, "", head, *rows, ""])


_INTRODUCTION = """\
Each net of the references' corpus (real weights where they are public, else synthetic ones): its ONNX file
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
