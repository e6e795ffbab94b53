"""Runs a net in pycaffe or OpenCV, in a process of its own: Caffe aborts on errors, and an importer may crash.

`python peer_worker.py caffe|cv2 FOLDER` reads `net.prototxt`, `net.caffemodel`, `feeds.npz` and `blobs.json` ([[blob,
its layer, top number], …]) from the folder, and writes `values.npz` with what it could compute, under the blobs' places
in the list. It imports nothing of camcompat.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

Wanted = list[tuple[str, str, int]]


def run_caffe(folder: Path, feeds: dict[str, np.ndarray], wanted: Wanted) -> dict[str, np.ndarray]:
    """Every blob's last value; blobs that are overwritten in place are not asked for."""
    caffe: Any = import_module("caffe")
    net = caffe.Net(str(folder / "net.prototxt"), str(folder / "net.caffemodel"), caffe.TEST)
    for name, x in feeds.items():
        net.blobs[name].reshape(*x.shape)
        net.blobs[name].data[...] = x
    net.forward()
    return {
        str(place): np.array(net.blobs[blob].data) for place, (blob, _, _) in enumerate(wanted) if blob in net.blobs
    }


def run_cv2(folder: Path, feeds: dict[str, np.ndarray], wanted: Wanted) -> dict[str, np.ndarray]:
    """Every layer's first result: OpenCV knows layers, not blobs."""
    cv2: Any = import_module("cv2")
    net = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))
    net.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    net.setPreferableTarget(cv2.dnn.DNN_TARGET_CPU)
    net.enableFusion(False)
    if hasattr(net, "enableWinograd"):  # its 3x3 transform rounds to about 1e-5 of a blob's maximum
        net.enableWinograd(False)
    for name, x in feeds.items():
        net.setInput(x, name)
    known = set(net.getLayerNames())
    places = [(place, layer) for place, (_, layer, top) in enumerate(wanted) if layer in known and top == 0]
    results = net.forward([layer for _, layer in places])
    return {str(place): np.array(result) for (place, _), result in zip(places, results, strict=True)}


def main(kind: str, folder: Path) -> None:
    with np.load(folder / "feeds.npz") as file:
        feeds = {name: file[name] for name in file.files}
    wanted = [(blob, layer, top) for blob, layer, top in json.loads((folder / "blobs.json").read_text("utf-8"))]
    names = json.loads((folder / "inputs.json").read_text("utf-8"))
    given = {name: feeds[str(place)] for place, name in enumerate(names)}
    arrays: dict[str, Any] = dict((run_caffe if kind == "caffe" else run_cv2)(folder, given, wanted))
    np.savez(folder / "values.npz", **arrays)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
