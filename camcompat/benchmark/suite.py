"""The measurements: forward passes, conversion, pictures, and how these grow with a model's size."""

from __future__ import annotations

import datetime
import os
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import converters
from camcompat.benchmark.contestants import FORWARD, Forms, conversions
from camcompat.benchmark.nets import BenchNet, bench_nets, vgg16
from camcompat.benchmark.race import Contestant, Process, Timing, race, run_by_turns
from camcompat.cam.session import allowed_cores
from camcompat.conversion.metadata import description
from camcompat.conversion.reduction import quantise
from weights.models import find

__all__ = ["SECTIONS", "bench", "machine"]

SECTIONS = ("forward", "conversion", "pictures", "size")
WIDTHS = (1 / 24, 1 / 8, 0.42, 1.0)  # of VGG16: about 2, 9, 100 and 553 MB
COUNTS = (1, 10, 40)
HERE = "camcompat.benchmark.contestants"
PACKAGES = {
    "camcompat": "camcompat",
    "onnxruntime": "onnxruntime",
    "opencv-python-headless": "OpenCV",
    "opencv-python": "OpenCV",
    "torch": "torch",
    "numpy": "numpy",
}
"""Whose versions the report states: package → name."""

Row = dict[str, Any]


def bench(
    words: Sequence[str] = (),
    *,
    sections: Sequence[str] = SECTIONS,
    quick: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Measure camcompat beside OpenCV 4, torch and pycaffe (where installed), by turns in one run.

    Args:
        words: catalogue names, or PROTOTXT [CAFFEMODEL]; by default shapes-cam and the CAM nets whose prototxts are at
            hand (weights that are not downloaded are synthetic: speed does not depend on them).
        sections: which of "forward" (batch 1 and 10), "conversion" (seconds and peak private memory against loading
            with peers and copying the file), "pictures" (whole CAMs), "size" (conversion of 2 to 550 MB).
        quick: less time for each, and models up to 100 MB.
        say: told what is being measured.

    Returns:
        ``machine``, ``quick`` and, by section, rows: seconds are medians of interleaved runs.

    Raises:
        CamcompatError: an unknown name or file.

    >>> bench(["shapes-cam"], sections=["forward"], quick=True)["forward"][0]["net"]   # doctest: +SKIP
    'shapes-cam'
    """
    report: dict[str, Any] = {"machine": machine(), "quick": quick}
    report |= {section: [] for section in SECTIONS if section in sections}
    with tempfile.TemporaryDirectory(prefix="camcompat-bench-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        folder = Path(name)
        for net in bench_nets(words, folder):
            onnx = converters.to_onnx(
                net.definition,
                net.caffemodel,
                folder / f"{net.name}.onnx",
                metadata=description(find(net.name)) if net.known else None,
            )
            if "forward" in report:
                say(f"{net.name}: forward passes")
                report["forward"] += _forward(net, onnx, quick)
            if "pictures" in report:
                say(f"{net.name}: pictures")
                report["pictures"] += _pictures(net, onnx, quick)
            if "conversion" in report:
                say(f"{net.name}: conversion")
                report["conversion"] += _conversion(net, quick)
            onnx.unlink()
        if "size" in report:
            report["size"] += _sizes(folder, quick, say)
    return report


def _forward(net: BenchNet, onnx: Path, quick: bool) -> Iterator[Row]:
    sources = (net.definition, net.caffemodel)
    winograd = converters.to_onnx(*sources, onnx.with_name("bare.onnx"), cam=False, winograd=True)
    direct = converters.to_onnx(*sources, onnx.with_name("direct.onnx"), cam=False, winograd=False)
    forms = Forms(*sources, onnx, winograd, direct, onnx.with_name("int8.onnx"))
    noise = np.random.default_rng(0).standard_normal((1, *net.shape[1:])).astype(np.float32) * 50
    quantise(direct, forms.int8, [noise])  # (its speed does not depend on what it was calibrated on)
    for batch in (1, 10):
        shape = (batch, *net.shape[1:])
        contestants = [Contestant(name, HERE, "forward", (name, forms, shape)) for name in FORWARD]
        timings = race(contestants, seconds=0.3 if quick else 3.0, least=3 if quick else 9)
        yield from _rows(timings, net=net.name, batch=batch)


def _pictures(net: BenchNet, onnx: Path, quick: bool) -> Iterator[Row]:
    image = next(iter(sorted((find("shapes-cam").path("prototxt").parent / "pictures").glob("*.jpg"))))
    counts = COUNTS[:2] if quick else COUNTS
    contestants = [Contestant(f"pictures: {count}", HERE, "picture", (onnx, image, count)) for count in counts]
    contestants.append(Contestant("1 picture, 10 crops", HERE, "crops", (onnx, image, 10)))
    files = (net.definition, net.caffemodel, onnx)
    contestants.append(Contestant("1 picture, dense crops", HERE, "dense_crops", (*files, image)))
    yield from _rows(race(contestants, seconds=0.3, least=3 if quick else 7, most=20), net=net.name)


def _conversion(net: BenchNet, quick: bool) -> Iterator[Row]:
    target = net.caffemodel.with_suffix(".converted.onnx")
    megabytes = net.caffemodel.stat().st_size / 1e6
    made = {
        "onnxruntime: opening the file": converters.to_onnx(
            net.definition, net.caffemodel, target.with_suffix(".winograd.onnx"), winograd=True
        ),
        "onnxruntime: opening, --no-winograd": converters.to_onnx(
            net.definition, net.caffemodel, target.with_suffix(".direct.onnx"), winograd=False
        ),
    }
    for process in run_by_turns(conversions(net, made), target, turns=2 if quick else 5):
        yield {"net": net.name, "megabytes": megabytes, **_process(process)}
    for path in made.values():
        path.unlink()


def _sizes(folder: Path, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    for width in WIDTHS[:-1] if quick else WIDTHS:
        net = vgg16(width, folder)
        say(f"{net.name}: conversion of {net.caffemodel.stat().st_size / 1e6:.0f} MB")
        yield from _conversion(net, quick)
        net.caffemodel.unlink()


def _rows(timings: Sequence[Timing], **common: Any) -> Iterator[Row]:
    for timing in timings:
        row: Row = {**common, "contestant": timing.name}
        if timing.missing:
            yield row | {"missing": timing.missing}
        else:
            yield row | {"seconds": timing.median, "least": timing.least, "runs": len(timing.seconds)}


def _process(process: Process) -> Row:
    row: Row = {"contestant": process.name}
    if process.missing:
        return row | {"missing": process.missing}
    return row | {"seconds": process.seconds, "peak_private_mb": process.peak, "before_mb": process.before}


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, versions of what is compared, and the date.

    >>> sorted(machine())
    ['cores', 'date', 'load', 'processor', 'python', 'system', 'versions']
    """
    versions: dict[str, str] = {}
    for package, name in PACKAGES.items():
        try:
            versions.setdefault(name, metadata.version(package))
        except metadata.PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": allowed_cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.date.today().isoformat(),
    }


def _processor() -> str:
    """Its name, and on Linux the widest vector instructions: they decide more than the name."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown"
    fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    named = {key.strip(): value.strip() for key, value in fields.items()}
    flags = named.get("flags", "").split()
    vectors = next((flag for flag in ("avx512f", "avx2", "avx") if flag in flags), "")
    return f"{named.get('model name', platform.processor())} {vectors}".strip()
