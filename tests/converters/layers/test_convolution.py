"""Convolutions of blobs that end in their channels: no spatial axis, which Caffe takes for a product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import parity
import pytest
from small_nets import check


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("kernel", ["", "kernel_size: 3"])
@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
def test_no_spatial_axis(kind: str, kernel: str, backend: str, tmp_path: Path) -> None:
    """With no axis to span, Caffe reads a kernel_size and has no use for it; the weights have two axes."""
    random = np.random.RandomState(2)
    x, bias = random.standard_normal((2, 3, 6)).astype(np.float32), random.standard_normal(4).astype(np.float32)
    halves = random.standard_normal((2, 2, 3)).astype(np.float32)  # (group, out, in)
    weight = halves.reshape(4, 3) if kind == "Convolution" else halves.transpose(0, 2, 1).reshape(6, 2)
    wanted = np.einsum("goi,nkgi->nkgo", halves.astype(np.float64), x.reshape(2, 3, 2, 3)).reshape(2, 3, 4) + bias
    layer = f"""layer {{ name: "l" type: "{kind}" bottom: "data" top: "out"
                         convolution_param {{ num_output: 4 group: 2 axis: -1 {kernel} }} }}"""
    check(layer, {"data": x}, {"out": wanted}, backend, tmp_path, weights={"l": [weight, bias]}, batch=5)
