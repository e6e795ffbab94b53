"""The net that the tests of the stand-in for pycaffe compute by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import camcompat.pycaffe as caffe
import weights

__all__ = ["SMALL", "X", "by_hand", "write_small"]

SMALL = """
name: "small"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 2 dim: 4 dim: 5 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 3 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "left" type: "Power" bottom: "conv" top: "left" power_param { scale: 2 } }
layer { name: "right" type: "Power" bottom: "conv" top: "right" power_param { power: 2 } }
layer { name: "sum" type: "Eltwise" bottom: "left" bottom: "right" top: "sum" }
layer { name: "fc" type: "InnerProduct" bottom: "sum" top: "fc" inner_product_param { num_output: 4 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"""


def write_small(folder: Path) -> tuple[str, str]:
    """A net with a fork and an in-place layer, and weights for it; the paths of both."""
    rng = np.random.default_rng(0)
    blobs = {
        "conv": [rng.standard_normal((3, 2, 3, 3)).astype(np.float32), np.float32([0.1, -0.2, 0.3])],
        "fc": [rng.standard_normal((4, 18)).astype(np.float32) / 9, np.float32([0, 1, 0, -1])],
    }
    (folder / "net.prototxt").write_text(SMALL)
    path = folder / "net.caffemodel"
    weights.write(path, "small", blobs, types={"conv": "Convolution", "fc": "InnerProduct"})
    return str(folder / "net.prototxt"), str(path)


def by_hand(net: caffe.Net, x: np.ndarray) -> dict[str, np.ndarray]:
    """What the small net computes, in float64."""
    w, b = (blob.data.astype(np.float64) for blob in net.params["conv"])
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), (3, 3), axis=(2, 3))
    conv = np.maximum(np.einsum("ncyxij,ocij->noyx", windows, w) + b[:, None, None], 0)
    total = 2 * conv + conv**2
    w, b = (blob.data.astype(np.float64) for blob in net.params["fc"])
    fc = total.reshape(len(x), -1) @ w.T + b
    powers = np.exp(fc - fc.max(1, keepdims=True))
    return {"conv": conv, "sum": total, "fc": fc, "prob": powers / powers.sum(1, keepdims=True)}


X = np.random.default_rng(1).standard_normal((2, 2, 4, 5)).astype(np.float32)
