"""`python -m docs.opencv_onnx [NET ...]`: public nets through OpenCV's ONNX importer.

Without names, it rewrites the table of docs/opencv.md. It takes minutes, and needs the folder of references; the
OpenCV that is installed is measured.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

import prototxt
from converters import Synthetic, to_onnx
from docs.opencv import corpus, folder_of_references
from prototxt import CamcompatError
from weights.atomic import replacing

PAGE = Path(__file__).with_name("opencv.md")
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def nets(folder: Path) -> Iterator[tuple[str, Path, Path | Synthetic]]:
    """The corpus, and the CAM paper's nets."""
    yield from corpus(folder)
    for definition in sorted((folder / "cam" / "models").glob("deploy*CAM*.prototxt")):
        yield definition.stem.removeprefix("deploy_"), definition, Synthetic()


def wanted(definition: Path) -> tuple[list[str], list[str]]:
    """The net's outputs; and the same with each softmax's bottom in its place."""
    net = prototxt.load(definition)
    above = {layer.tops[0]: layer.bottoms[0] for layer in net.layers if layer.type == "Softmax" and layer.bottoms}
    return list(net.outputs), [above.get(name, name) for name in net.outputs]


def largest(definition: Path, weights: Path | Synthetic, outputs: list[str], path: Path) -> float:
    """OpenCV's largest difference from onnxruntime, in units of the blob's maximum."""
    to_onnx(definition, weights, path, outputs=outputs, portable=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    feeds = {}
    for x in session.get_inputs():
        shape = [side if isinstance(side, int) else 1 for side in x.shape]
        feeds[x.name] = (random.standard_normal(shape) * 50).astype(np.float32)
    net = cv2.dnn.readNetFromONNX(str(path))
    for name, value in feeds.items():
        net.setInput(value, name)
    worst = 0.0
    for found, expected in zip(net.forward(outputs), session.run(outputs, feeds)):
        if found.size != expected.size:
            return float("inf")
        difference = np.abs(found.reshape(expected.shape) - expected).max(initial=0)
        worst = max(worst, float(difference / (np.abs(expected).max(initial=0) or 1)))
    return worst


def row(name: str, definition: Path, weights: Path | Synthetic, path: Path) -> str:
    try:
        outputs, scores = wanted(definition)
        cells = [f"{largest(definition, weights, blobs, path):.1e}" for blobs in (outputs, scores)]
    except CamcompatError as error:
        cells = [f"not converted: {str(error).replace(str(definition), definition.name)}", ""]
    except cv2.error as error:
        cells = [f"refused: {' '.join(str(error.err).split())[:80]}", ""]
    return f"| {name} | {cells[0]} | {cells[1]} |"


def main(names: Iterable[str]) -> None:
    folder = folder_of_references()
    warnings.simplefilter("ignore")
    rows = [f"| net | OpenCV {cv2.__version__}: outputs | scores before the softmax |", "|---|---|---|"]
    with tempfile.TemporaryDirectory() as scratch:
        for name, definition, weights in nets(folder):
            if not names or name in names:
                rows.append(row(name, definition, weights, Path(scratch) / "net.onnx"))
                print(rows[-1], flush=True)
    if not names:
        text = PAGE.read_text(encoding="utf-8")
        head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
        with replacing(PAGE) as temporary:
            temporary.write_text(head + "\n".join(rows) + "\n" + tail, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
