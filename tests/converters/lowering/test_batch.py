"""Which inputs share a batch axis: only those that a layer needs to be alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import parity
import pytest
from small_nets import net

import converters
import prototxt
from prototxt.errors import CamcompatError

ROIS = """layer { name: "r" type: "ROIPooling" bottom: "data" bottom: "rois" top: "r"
                  roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 1 } }
          layer { name: "f" type: "Flatten" bottom: "r" top: "f" }
          layer { name: "ip" type: "InnerProduct" bottom: "f" top: "out"
                  inner_product_param { num_output: 2 bias_term: false } }"""


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_one_image_declared_with_one_region_takes_many(backend: str, tmp_path: Path) -> None:
    """Fast R-CNN's test.prototxt declares one region, "to be changed on the fly"."""
    x = np.random.RandomState(0).standard_normal((1, 3, 6, 7)).astype(np.float32)
    rois = np.float32([[0, 0, 0, 2, 2], [0, 1, 2, 5, 4], [0, 6, 5, 6, 5], [0, 0, 0, 6, 5]])
    weight = np.random.RandomState(1).standard_normal((2, 3)).astype(np.float32)
    best = [x[0, :, int(y1) : int(y2) + 1, int(x1) : int(x2) + 1].max(axis=(1, 2)) for _, x1, y1, x2, y2 in rois]
    declared = net(ROIS, {"data": (1, 3, 6, 7), "rois": (1, 5)})
    found = parity.run(backend, declared, {"ip": [weight]}, [x, rois], ["out"], tmp_path)["out"]
    assert parity.error(np.asarray(found), np.asarray(best, np.float64) @ weight.T.astype(np.float64)) <= parity.SINGLE


def test_inputs_that_meet_share_their_batch() -> None:
    summed = 'layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "out" }'
    numpy = converters.to_numpy(net(summed, {"a": (2, 3), "b": (2, 3)}), {})
    assert np.array_equal(numpy(np.ones((5, 3)), np.ones((5, 3))), np.full((5, 3), 2.0))
    with pytest.raises(CamcompatError, match="must be equal"):
        numpy(np.ones((5, 3)), np.ones((4, 3)))


@pytest.mark.parametrize(
    "case", ["LSTM/one_step", "LSTM/static_input", "LSTM/expose_hidden", "RNN/basic", "RNN/expose_hidden"]
)
def test_the_streams_of_a_recurrent_net_are_its_batch(case: str, tmp_path: Path) -> None:
    """Each stream stands alone: two copies of Caffe's streams give two copies of its outputs."""
    folder = Path(__file__).resolve().parents[2] / "data" / "conformance" / case
    stored = np.load(folder / "io.npz")
    path = converters.to_onnx(folder / "net.prototxt", folder / "weights.caffemodel", tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    axes = {x.name: x.shape.index("N") for x in session.get_inputs()}
    assert set(axes) == set(prototxt.load(folder / "net.prototxt").inputs)
    feeds = {name: np.concatenate([stored[f"in/{name}"]] * 2, axis) for name, axis in axes.items()}
    for output, found in zip(session.get_outputs(), session.run(None, feeds)):
        caffe = np.concatenate([stored[f"out/{output.name}"]] * 2, 1)
        assert parity.error(found, caffe) <= parity.SINGLE
