"""ONNX files whose convolutions compute in 8 bits, calibrated on real inputs with onnxruntime's quantiser."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnxruntime

from prototxt.errors import CamcompatError

__all__ = ["quantise"]

QUANTISED = ["Conv", "MaxPool", "Concat"]


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
