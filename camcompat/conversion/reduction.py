"""`camcompat convert --dtype`: a smaller ONNX file, and how well it agrees with the float32 one.

fp16 stores weights in half the bytes; int8 lets convolutions compute in 8 bits, calibrated on pictures with
onnxruntime's quantiser.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime

from camcompat.cam.session import CAM_OUTPUTS, open_session, read_metadata
from camcompat.pictures.images import read_image
from camcompat.pictures.preprocess import Preprocess
from converters.options import Options
from prototxt.errors import CamcompatError, ConversionError
from weights.atomic import publish, staging

__all__ = ["Arrays", "agreement", "check_reduction", "in_words", "picture_files", "quantise", "reduce_file"]

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
MOST = 200  # pictures: more of them do not move the ranges
TOP = 5
QUANTISED = ["Conv", "MaxPool", "Concat"]

Arrays: TypeAlias = "dict[str, np.ndarray]"


def check_reduction(options: Options, calibrate: object, *, dense: bool) -> None:
    """Refuse at once what could not be made later.

    Raises:
        CamcompatError: an unknown dtype, int8 without pictures, a dense file of smaller numbers or for other runtimes.
    """
    dtype = options.dtype
    if dtype not in ("float32", "fp16", "int8"):
        raise CamcompatError(f"there is no dtype {dtype!r}", where="convert", remedy="use float32, fp16 or int8")
    if dtype == "int8" and calibrate is None:
        raise CamcompatError("int8 needs pictures to calibrate on", where="convert", remedy="--calibrate FOLDER")
    if dense and dtype != "float32":
        raise CamcompatError(f"a dense file is float32, not {dtype}", where="convert", remedy="make them one by one")
    if dense and options.portable:
        raise ConversionError("a dense file is made for onnxruntime, not portable", remedy="choose dense or portable")


def reduce_file(path: Path, dtype: str, calibrate: str | os.PathLike[str] | None) -> str:
    """Rewrite a float32 ONNX file as fp16 or int8, note the agreement in it, and say it in words.

    Args:
        path: the file, from `camcompat convert`.
        dtype: "fp16" (`converters.onnx_backend.quantization`) or "int8".
        calibrate: a folder of pictures like those that the net will see; int8 needs it. fp16 without it is compared on
            noise.

    Raises:
        CamcompatError: no pictures, or a net that takes none.
    """
    from converters.onnx_backend.quantization import annotate, store_as_fp16

    reference = open_session(path)
    batches = _pictures(reference, path, Path(calibrate)) if calibrate is not None else []
    samples = batches or [_noise(reference)]
    with staging(path.parent) as stage:
        made = stage / path.name
        if dtype == "int8":
            quantise(path, made, batches)
        else:
            store_as_fp16(path, made)
        reduced = open_session(made)
        figures = agreement([_outputs(reference, x) for x in samples], [_outputs(reduced, x) for x in samples])
        figures |= {"inputs": len(samples), "compared_on": "pictures" if batches else "noise"}
        annotate(made, {"dtype": dtype, "agreement": figures})
        publish([made], path.parent)
    return f"{dtype} against float32, {len(samples)} {figures['compared_on']}: {in_words(figures)}"


def in_words(figures: Mapping[str, Any]) -> str:
    """What `agreement` measured, in a line."""
    return ", ".join(f"{key.replace('_', ' ')} {x:.4g}" for key, x in figures.items() if isinstance(x, float))


def agreement(expected: Sequence[Arrays], found: Sequence[Arrays]) -> dict[str, Any]:
    """Compare two files' outputs, each with all classes ranked.

    Args:
        expected, found: for each input, ``prob`` (classes,) and, of nets with a CAM head, ``cams`` (classes, h, w).

    Returns:
        ``top1`` and ``top5``: the mean share of the best classes that both name; ``scores``: the largest difference of
        a score; ``maps`` and ``worst_map``: the mean and least correlation of the maps of the reference's top classes.

    >>> a = {"prob": np.array([0.7, 0.2, 0.1]), "cams": np.arange(12.0).reshape(3, 2, 2)}
    >>> agreement([a], [a])["maps"]
    1.0
    """
    figures: dict[str, Any] = {}
    for name, count in (("top1", 1), ("top5", TOP)):
        shares = [
            len(set(_best(a, count)) & set(_best(b, count))) / len(_best(a, count)) for a, b in zip(expected, found)
        ]
        figures[name] = float(np.mean(shares))
    figures["scores"] = float(max(np.abs(a["prob"] - b["prob"]).max() for a, b in zip(expected, found)))
    if "cams" in expected[0]:
        each = [_correlation(a["cams"][i], b["cams"][i]) for a, b in zip(expected, found) for i in _best(a, TOP)]
        figures |= {"maps": float(np.mean(each)), "worst_map": float(min(each))}
    return figures


def _best(outputs: Arrays, count: int) -> list[int]:
    order: list[int] = np.argsort(-outputs["prob"], kind="stable")[:count].tolist()
    return order


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; maps that do not vary agree where they are alike."""
    if min(a.std(), b.std()) == 0:
        return float(np.allclose(a, b))
    return float(np.corrcoef(a.ravel(), b.ravel())[0, 1])


def _outputs(session: onnxruntime.InferenceSession, x: np.ndarray) -> Arrays:
    """One input's scores, and its maps in the order of the classes."""
    names = [output.name for output in session.get_outputs()]
    feeds: dict[str, np.ndarray] = {session.get_inputs()[0].name: x}
    prob = next(name for name in names if name not in CAM_OUTPUTS)
    scores: np.ndarray = session.run([prob], feeds)[0].reshape(-1)
    if not set(CAM_OUTPUTS) <= set(names):
        return {"prob": scores}
    classes, cams = session.run(["classes", "cams"], {**feeds, "k": np.array([scores.size], np.int64)})
    return {"prob": scores, "cams": cams[0][np.argsort(classes[0])]}


def _pictures(session: onnxruntime.InferenceSession, path: Path, folder: Path) -> list[np.ndarray]:
    """The inputs that the pictures of a folder make, by the file's own recipe."""
    recipe = Preprocess.from_mapping(
        read_metadata(session, str(path)).get("preprocess") or {},
        input_shape=session.get_inputs()[0].shape,
        where=f"{path}: preprocess",
    )
    return [recipe.blob(read_image(file))[None] for file in picture_files(folder, MOST)]


def picture_files(folder: Path, most: int) -> list[Path]:
    """The pictures of a folder, in the order of their names; of many, `most` that are spread over them.

    Raises:
        CamcompatError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise CamcompatError("no such folder", where=str(folder), remedy="give a folder of pictures")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise CamcompatError("no pictures in it", where=str(folder), remedy=f"expected {', '.join(sorted(SUFFIXES))}")
    return files[:: -(-len(files) // most)]


def _noise(session: onnxruntime.InferenceSession) -> np.ndarray:
    shape = [size if isinstance(size, int) else 1 for size in session.get_inputs()[0].shape]
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 50


class _Batches:
    """What onnxruntime calls a CalibrationDataReader: it asks for the next input until there is none."""

    def __init__(self, name: str, batches: Sequence[np.ndarray]) -> None:
        self.name, self.batches = name, iter(batches)

    def get_next(self) -> dict[str, np.ndarray] | None:
        batch = next(self.batches, None)
        return None if batch is None else {self.name: batch}


def quantise(source: Path, target: Path, inputs: Sequence[np.ndarray]) -> None:
    """Write a float32 ONNX file of ours again, convolutions in 8 bits (QDQ, weights per channel), but the CAM head.

    Args:
        source: the float32 file; `target`: the one to write.
        inputs: batches (N, C, H, W) of real inputs; their ranges become the scales.

    Raises:
        CamcompatError: no inputs.

    >>> quantise(Path("net.onnx"), Path("small.onnx"), [])
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: net.onnx: int8 needs pictures to calibrate on; --calibrate FOLDER
    """
    if not len(inputs):
        raise CamcompatError("int8 needs pictures to calibrate on", where=str(source), remedy="--calibrate FOLDER")
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    from converters.onnx_backend.quantization import outside_of_int8

    CalibrationDataReader.register(_Batches)
    name, excluded = outside_of_int8(source)
    with _quietly():
        quantize_static(
            str(source),
            str(target),
            _Batches(name, inputs),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTISED,
            nodes_to_exclude=excluded,
            per_channel=True,
            reduce_range=True,  # processors without VNNI add products in 16 bits, which 8-bit weights overflow
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Without its advice to run another tool first, and without onnxruntime's remark about the optional input k."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    onnxruntime.set_default_logger_severity(3)
    try:
        yield
    finally:
        logger.setLevel(level)
        onnxruntime.set_default_logger_severity(2)
