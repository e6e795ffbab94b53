"""The measurements: forward passes, conversion, pictures, and how these grow with a model's size."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import converters
from camcompat.benchmark.machine import machine
from camcompat.benchmark.nets import Subject, subjects, vgg16
from camcompat.benchmark.processes import Process, conversions, run_by_turns
from camcompat.benchmark.race import Contestant, Timing, race
from camcompat.conversion.metadata import description
from camcompat.conversion.reduction import quantise
from weights.models import find

__all__ = ["SECTIONS", "bench"]

SECTIONS = ("forward", "conversion", "pictures", "size")
WIDTHS = (1 / 24, 1 / 8, 0.42, 1.0)  # of VGG16: about 2, 9, 100 and 553 MB
COUNTS = (1, 10, 40)
HERE = "camcompat.benchmark.contestants"

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
        for subject in subjects(words, folder):
            onnx = converters.to_onnx(
                subject.definition,
                subject.caffemodel,
                folder / f"{subject.name}.onnx",
                metadata=description(find(subject.name)) if subject.known else None,
            )
            if "forward" in report:
                say(f"{subject.name}: forward passes")
                report["forward"] += _forward(subject, onnx, quick)
            if "pictures" in report:
                say(f"{subject.name}: pictures")
                report["pictures"] += _pictures(subject, onnx, quick)
            if "conversion" in report:
                say(f"{subject.name}: conversion")
                report["conversion"] += _conversion(subject, quick)
            onnx.unlink()
        if "size" in report:
            report["size"] += _sizes(folder, quick, say)
    return report


def _forward(subject: Subject, onnx: Path, quick: bool) -> Iterator[Row]:
    sources = (subject.definition, subject.caffemodel)
    bare = converters.to_onnx(*sources, onnx.with_name("bare.onnx"), cam=False, winograd=True)
    direct = converters.to_onnx(*sources, onnx.with_name("direct.onnx"), cam=False, winograd=False)
    bytewise = onnx.with_name("int8.onnx")
    noise = np.random.default_rng(0).standard_normal((1, *subject.shape[1:])).astype(np.float32) * 50
    quantise(direct, bytewise, [noise])  # (its speed does not depend on what it was calibrated on)
    for batch in (1, 10):
        shape = (batch, *subject.shape[1:])
        files = (*sources, shape)
        timings = race(
            [
                Contestant("onnxruntime", HERE, "onnxruntime_forward", (bare, shape)),
                Contestant("--no-winograd", HERE, "onnxruntime_forward", (direct, shape)),
                Contestant("--dtype int8", HERE, "onnxruntime_forward", (bytewise, shape)),
                Contestant("onnxruntime with CAM", HERE, "onnxruntime_forward", (onnx, shape)),
                Contestant("OpenCV", HERE, "opencv_forward", files),
                Contestant("OpenCV without Winograd", HERE, "opencv_forward", (*files, False)),
                Contestant("torch", HERE, "torch_forward", files),
            ],
            seconds=0.3 if quick else 3.0,
            least=3 if quick else 9,
        )
        yield from _rows(timings, net=subject.name, batch=batch)


def _pictures(subject: Subject, onnx: Path, quick: bool) -> Iterator[Row]:
    image = next(iter(sorted((find("shapes-cam").path("prototxt").parent / "pictures").glob("*.jpg"))))
    counts = COUNTS[:2] if quick else COUNTS
    contestants = [Contestant(f"pictures: {count}", HERE, "picture", (onnx, image, count)) for count in counts]
    contestants.append(Contestant("1 picture, 10 crops", HERE, "crops", (onnx, image, 10)))
    files = (subject.definition, subject.caffemodel, onnx)
    contestants.append(Contestant("1 picture, dense crops", HERE, "dense_crops", (*files, image)))
    yield from _rows(race(contestants, seconds=0.3, least=3 if quick else 7, most=20), net=subject.name)


def _conversion(subject: Subject, quick: bool) -> Iterator[Row]:
    target = subject.caffemodel.with_suffix(".converted.onnx")
    megabytes = subject.caffemodel.stat().st_size / 1e6
    made = {
        "onnxruntime: opening the file": converters.to_onnx(
            subject.definition, subject.caffemodel, target.with_suffix(".winograd.onnx"), winograd=True
        ),
        "onnxruntime: opening, --no-winograd": converters.to_onnx(
            subject.definition, subject.caffemodel, target.with_suffix(".direct.onnx"), winograd=False
        ),
    }
    for process in run_by_turns(conversions(subject, made), target, turns=2 if quick else 5):
        yield {"net": subject.name, "megabytes": megabytes, **_process(process)}
    for path in made.values():
        path.unlink()


def _sizes(folder: Path, quick: bool, say: Callable[[str], None]) -> Iterator[Row]:
    for width in WIDTHS[:-1] if quick else WIDTHS:
        subject = vgg16(width, folder)
        say(f"{subject.name}: conversion of {subject.caffemodel.stat().st_size / 1e6:.0f} MB")
        yield from _conversion(subject, quick)
        subject.caffemodel.unlink()


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
