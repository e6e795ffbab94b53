"""The one helper that compares the backends with Caffe, so that a layer's test is only its cases."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import converters

SINGLE, WHOLE, SUMS = 2e-6, 5e-6, 1e-5  # of a blob's maximum; CAFFE.md, "Numerics"
BACKENDS = ("numpy", "torch", "onnx")


def run(
    backend: str,
    prototxt: Path,
    caffemodel: object,
    inputs: list[np.ndarray],
    outputs: list[str],
    tmp: Path,
    **options: object,
) -> dict[str, np.ndarray]:
    """The named blobs as a backend computes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converters.CamcompatWarning)
        return _RUN[backend](prototxt, caffemodel, inputs, outputs, tmp, options)


def _numpy(prototxt, caffemodel, inputs, outputs, tmp, options):
    net = converters.to_numpy(prototxt, caffemodel, outputs=outputs, **options)
    result = net(*inputs)
    return result if isinstance(result, dict) else {outputs[0]: result}


@contextmanager
def without_onednn(wanted: bool = True) -> Iterator[None]:
    """Torch's own convolutions: oneDNN adds up in another order on each kind of CPU, which is not what is compared.

    They take a quarter longer, so they are for the nets that need them.
    """
    import torch

    if not wanted:
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # what setting the flag says on every CPU
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def _torch(prototxt, caffemodel, inputs, outputs, tmp, options):
    import torch

    net = converters.to_torch(prototxt, caffemodel, outputs=outputs, **options)
    with torch.no_grad():
        result = net(*(torch.from_numpy(x) for x in inputs))
    result = result if isinstance(result, dict) else {outputs[0]: result}
    return {name: x.detach().numpy() for name, x in result.items()}


def _onnx(prototxt, caffemodel, inputs, outputs, tmp, options):
    import onnxruntime

    path = converters.to_onnx(prototxt, caffemodel, tmp / "net.onnx", outputs=outputs, **options)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [x.name for x in session.get_inputs()]
    assert len(names) == len(inputs), (names, len(inputs))
    return dict(zip(outputs, session.run(outputs, dict(zip(names, inputs)))))


_RUN = {"numpy": _numpy, "torch": _torch, "onnx": _onnx}


def error(ours: np.ndarray, caffe: np.ndarray) -> float:
    """The largest difference as a share of the blob's largest magnitude; infinite where NaN or inf differ."""
    assert ours.shape == caffe.shape, f"shape {ours.shape}, Caffe's is {caffe.shape}"
    finite = np.isfinite(caffe)
    if not np.array_equal(finite, np.isfinite(ours)) or not np.array_equal(
        caffe[~finite], ours[~finite], equal_nan=True
    ):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = np.abs(caffe[finite]).max()
    return float(np.abs(ours[finite] - caffe[finite]).max() / (scale if scale > 0 else 1.0))
