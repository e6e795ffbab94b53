"""`python -m benchmarks [NET ...]`: forward passes against OpenCV's Caffe importer, conversion, reading of weights."""

from __future__ import annotations

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import converters
import prototxt
import weights
from benchmarks.forward import measure
from converters.blobs import Synthetic
from weights.catalog import find

ROOT = Path(__file__).resolve().parent.parent
MODELS = Path(os.environ.get("CAMCOMPAT_SHARED", ROOT.parent / "shared")) / "cam" / "models"
NETS = {
    "googlenet-cam": MODELS / "deploy_googlenetCAM.prototxt",
    "vgg16-cam": MODELS / "deploy_vgg16CAM.prototxt",
    "alexnetplus-cam": MODELS / "deploy_alexnetplusCAM_imagenet.prototxt",
}


class Recording(Synthetic):
    """Synthetic weights that remember what was asked for, so that they can be written as a caffemodel."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, dict[int, np.ndarray]] = {}

    def get(self, layer: prototxt.Layer, index: int, shape: tuple[int, ...]) -> np.ndarray:
        array = super().get(layer, index, shape)
        self.asked.setdefault(layer.name, {})[index] = array
        return array


def caffemodel(net: prototxt.Net, path: Path) -> Path:
    """A caffemodel with synthetic weights for a net."""
    source = Recording()
    converters.lower(net, source)
    arrays = {name: [blobs[i] for i in sorted(blobs)] for name, blobs in source.asked.items()}
    weights.write(path, net.message, arrays)
    return path


def forward(name: str, definition: Path, model: Path, table: Table) -> None:
    """Forward passes at batch 1 and 10: onnxruntime, the cost of its CAM outputs, torch, and OpenCV."""
    backends = ("OpenCV", "onnxruntime", "onnxruntime with CAM", "torch")
    spawn = multiprocessing.get_context("spawn")
    for batch in (1, 10):
        times = []
        for backend in backends:
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                times.append(pool.submit(measure, backend, definition, model, batch).result())
        peer, ours, with_cam, torch_time = times
        row = [f"{1000 * t:,.1f} ms" for t in (peer, ours, torch_time)]
        table.add_row(
            name, str(batch), *row, f"{ours / peer:.2f}", f"{torch_time / peer:.2f}", f"{with_cam / ours:.2f}"
        )


def child(code: str) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MB of a fresh interpreter running code."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    # VmHWM, since ru_maxrss would include what this process had when it forked.
    report = "; print([int(x.split()[1]) / 1024 for x in open('/proc/self/status') if x.startswith('VmHWM')][0])"
    done = subprocess.run([sys.executable, "-c", code + report], cwd=ROOT, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - start, float(done.stdout.split()[-1])


def processes(definition: Path, model: Path, console: Console) -> None:
    """Whole processes: conversion, and reading of weights against OpenCV."""
    table = Table("whole process", "CPU s", "wall s", "peak MB")
    target = model.parent / "converted"
    command = ["convert", str(definition), str(model), "--out", str(target), "--format", "onnx"]
    jobs = {
        "import converters": "import converters",
        f"camcompat convert --format onnx ({model.stat().st_size / 1e6:.0f} MB)": (
            f"from camcompat.cli import main; main({command!r}, standalone_mode=False)"
        ),
        "weights.read, all blobs by name": f"import weights; dict(weights.read({str(model)!r}))",
        "peer: cv2.dnn.readNetFromCaffe": f"import cv2; cv2.dnn.readNetFromCaffe({str(definition)!r}, {str(model)!r})",
    }
    for name, code in jobs.items():
        cpu, wall, peak = child(code)
        table.add_row(name, f"{cpu:.2f}", f"{wall:.2f}", f"{peak:,.0f}")
    console.print(table)


def main() -> None:
    warnings.simplefilter("ignore", converters.CamcompatWarning)
    console = Console(width=120) if not sys.stdout.isatty() else Console()
    table = Table("net", "batch", "OpenCV", "onnxruntime", "torch", "ort/OpenCV", "torch/OpenCV", "cost of CAM")
    embedded = find("shapes-cam")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "shapes-cam.caffemodel"
        copy.write_bytes(embedded.path("caffemodel").read_bytes())
        forward("shapes-cam", embedded.path("prototxt"), copy, table)
        last = (embedded.path("prototxt"), copy)
        for name, definition in NETS.items():
            if not definition.exists() or (sys.argv[1:] and name not in sys.argv[1:]):
                continue
            model = caffemodel(prototxt.load(definition), Path(folder) / f"{name}.caffemodel")
            forward(name, definition, model, table)
            last = last if last[1].name.startswith("googlenet") else (definition, model)
        console.print(table)
        processes(*last, console)


if __name__ == "__main__":
    main()
