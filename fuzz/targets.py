"""What is attacked: one function per parser, from a path to nothing; a CamcompatError is the only error allowed."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prototxt.errors import CamcompatError

__all__ = ["TARGETS", "Target"]

SURE = 1e6  # a picture, mean or weight that a caller would use: its sum is taken, so that every value is read


@dataclass(frozen=True)
class Target:
    """A parser: what it reads, and the ending of its files."""

    read: Callable[[Path], None]
    suffix: str
    what: str


def _prototxt(path: Path) -> None:
    import prototxt

    net = prototxt.deploy(path)
    again = prototxt.loads(prototxt.dumps(net))
    if again.message.SerializeToString() != net.message.SerializeToString() or again.outputs != net.outputs:
        raise AssertionError("net to text to net is another net")


def _caffemodel(path: Path) -> None:
    import prototxt
    import weights

    with weights.read(path) as stored:
        for blobs in stored.values():
            for blob in blobs:
                _touch(blob)
        prototxt.from_message(stored.net(), source=str(path))


def _hdf5(path: Path) -> None:
    import weights

    for blobs in weights.read(path).values():
        for blob in blobs:
            _touch(blob)


def _touch(array: np.ndarray) -> None:
    """Read every value, a block at a time: a sum of float16 would be a copy."""
    flat = array.reshape(-1)
    with np.errstate(all="ignore"):
        for start in range(0, flat.size, 1 << 16):
            flat[start : start + (1 << 16)].sum(dtype=np.float64)


def _mean(path: Path) -> None:
    import weights

    _touch(weights.read_mean(path))


def _picture(path: Path) -> None:
    from camcompat.pictures.images import read_image

    image = read_image(path)
    if image.mode != "RGB":
        raise AssertionError(f"the picture came out as {image.mode}")


def _onnx(path: Path) -> None:
    import camcompat

    model = camcompat.load(path, threads=1)
    model(np.zeros((32, 32, 3), np.uint8), top=1)


def _convert(path: Path) -> None:
    """The net with invented weights, to ONNX, but not run."""
    from converters import Synthetic, to_onnx

    out = path.with_suffix(".out.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            to_onnx(path, Synthetic(), out)
        finally:
            out.unlink(missing_ok=True)


TARGETS = {
    "prototxt": Target(_prototxt, ".prototxt", "prototxt (text to net)"),
    "convert": Target(_convert, ".prototxt", "net to ONNX, invented weights"),
    "caffemodel": Target(_caffemodel, ".caffemodel", "caffemodel, and the net inside"),
    "hdf5": Target(_hdf5, ".caffemodel.h5", "HDF5 weights"),
    "mean": Target(_mean, ".mean", "mean file (.binaryproto, .npy, .mat)"),
    "picture": Target(_picture, ".img", "picture"),
    "onnx": Target(_onnx, ".onnx", "ONNX given to the runtime"),
}


def attempt(target: Target, path: Path) -> str:
    """Read a file: "" if it was read, the one line of its refusal if not; anything else is raised."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            target.read(path)
    except CamcompatError as error:
        text = str(error)
        if "\n" in text:
            raise AssertionError(f"an error of several lines: {text!r}") from error
        return text or "(no text)"
    return ""


def scratch() -> Path:
    """A folder in memory where there is one."""
    return Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp")
