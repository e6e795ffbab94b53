"""Properties that hold for whatever is generated: written and read back, text to net and back, three backends alike.

``CAMCOMPAT_EXAMPLES=1000`` tries more of them; the examples are the same in every run.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import parity
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as st_numpy

import prototxt
import weights
from converters import Synthetic

EXAMPLES = int(os.environ.get("CAMCOMPAT_EXAMPLES", "0"))


def profile(few: int) -> settings:
    return settings(
        max_examples=EXAMPLES or few,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True)
SHAPES = st_numpy.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
ARRAYS = st_numpy.arrays(np.float32, SHAPES, elements=FLOATS)
LAYERS = st.dictionaries(NAMES, st.lists(ARRAYS, min_size=1, max_size=3), min_size=1, max_size=4)


@given(LAYERS, st.sampled_from(["V1", "V2"]))
@profile(40)
def test_written_weights_are_read_as_they_were(layers: dict[str, list[np.ndarray]], version: str) -> None:
    if version == "V1":  # four dims, as V1 files have them
        layers = {
            name: [a.reshape(-1).reshape(1, 1, 1, -1) if a.ndim != 4 else a for a in blobs]
            for name, blobs in layers.items()
        }
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.caffemodel"
        weights.write(path, "net", layers, types=dict.fromkeys(layers, "Convolution"), version=version)
        with weights.read(path) as found:
            assert list(found) == list(layers) and found.version == version and not found.notes
            for name, blobs in layers.items():
                for ours, theirs in zip(found[name], blobs, strict=True):
                    assert ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z0-9_]{0,8}(/[a-z0-9_]{1,5})?", fullmatch=True),
        st.lists(ARRAYS, min_size=1, max_size=2),
        min_size=1,
        max_size=3,
    )
)
@profile(15)
def test_written_hdf5_is_read_as_it_was(layers: dict[str, list[np.ndarray]]) -> None:
    pytest.importorskip("h5py")
    with TemporaryDirectory() as folder:
        path = Path(folder) / "net.caffemodel.h5"
        weights.write_hdf5(path, layers)
        found = weights.read(path)
        assert sorted(found) == sorted(layers)
        for name, blobs in layers.items():
            for ours, theirs in zip(found[name], blobs, strict=True):
                assert ours.shape == theirs.shape and ours.tobytes() == theirs.tobytes()


@given(
    st_numpy.arrays(
        np.float32,
        st.tuples(st.sampled_from([1, 3]), st.integers(1, 6), st.integers(4, 6)),
        elements=st.floats(-1000, 1000, width=32),
    )
)
@profile(25)
def test_a_mean_is_the_same_in_each_format(mean: np.ndarray) -> None:
    from scipy.io import savemat

    from weights.files.wire import delimited, tag, varint

    dims = b"".join(tag(i, 0) + varint(dim) for i, dim in enumerate((1, *mean.shape), 1))
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("mean.binaryproto", "mean.npy", "mean.mat")]
        paths[0].write_bytes(dims + delimited(5, mean.tobytes()))
        np.save(paths[1], mean)
        savemat(paths[2], {"image_mean": np.atleast_3d(mean.transpose(2, 1, 0))}, do_compression=True)
        for path in paths[: 3 if mean.shape[0] == 3 else 2]:  # savemat drops a last axis of length 1
            assert np.array_equal(weights.read_mean(path), mean)


UNARY = {
    "ReLU": st.builds(lambda v: f"relu_param {{ negative_slope: {v} }}", st.sampled_from([0, 0.1, -0.5])),
    "TanH": st.just(""),
    "Sigmoid": st.just(""),
    "AbsVal": st.just(""),
    "ELU": st.builds(lambda v: f"elu_param {{ alpha: {v} }}", st.sampled_from([0.5, 1, 2])),
    "Power": st.builds(
        lambda s, h: f"power_param {{ scale: {s} shift: {h} }}", st.sampled_from([0.5, -2]), st.sampled_from([0, 1])
    ),
    "Dropout": st.just("dropout_param { dropout_ratio: 0.3 }"),
    "Scale": st.builds(lambda b: f"scale_param {{ bias_term: {str(b).lower()} }}", st.booleans()),
    "BatchNorm": st.just(""),
    "PReLU": st.builds(lambda b: f"prelu_param {{ channel_shared: {str(b).lower()} }}", st.booleans()),
    "LRN": st.builds(lambda n: f"lrn_param {{ local_size: {n} alpha: 0.1 beta: 0.75 }}", st.sampled_from([1, 3, 5])),
    "Convolution": st.builds(
        lambda o, k, s, p, d, b: (
            f"convolution_param {{ num_output: {o} kernel_size: {k} stride: {s} pad: {p} dilation: {d} "
            f"bias_term: {str(b).lower()} }}"
        ),
        st.integers(1, 5),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(1, 2),
        st.integers(1, 2),
        st.booleans(),
    ),
    "Deconvolution": st.builds(
        lambda o, k, s: f"convolution_param {{ num_output: {o} kernel_size: {k} stride: {s} }}",
        st.integers(1, 4),
        st.integers(1, 3),
        st.integers(1, 2),
    ),
    "Pooling": st.builds(
        lambda m, k, s: f"pooling_param {{ pool: {m} kernel_size: {k} stride: {s} pad: {k // 2} }}",
        st.sampled_from(["MAX", "AVE"]),
        st.integers(1, 3),
        st.integers(1, 3),
    ),
    "Permute": st.just("permute_param { order: 0 order: 1 order: 3 order: 2 }"),
    "Tile": st.builds(lambda n, a: f"tile_param {{ tiles: {n} axis: {a} }}", st.integers(1, 3), st.integers(1, 3)),
    "Interp": st.builds(lambda n: f"interp_param {{ zoom_factor: {n} }}", st.integers(1, 2)),
    "MVN": st.just("mvn_param { eps: 0.01 }"),
    "Softmax": st.just(""),
}


@st.composite
def nets(draw: st.DrawFn) -> str:
    """A net of 1 to 6 layers on one picture: a chain with side branches that are added or joined, perhaps in place."""
    height, width = draw(st.integers(5, 9)), draw(st.integers(5, 9))
    dims = f"dim: 2 dim: {draw(st.integers(1, 4))} dim: {height} dim: {width}"
    text = f'layer {{ name: "in" type: "Input" top: "b0" input_param {{ shape {{ {dims} }} }} }}\n'
    last = "b0"
    for number in range(1, draw(st.integers(1, 6)) + 1):
        type_ = draw(st.sampled_from([*UNARY, "Eltwise", "Concat"]))
        top = f"b{number}"
        if type_ in ("Eltwise", "Concat"):
            text += f'layer {{ name: "side{number}" type: "TanH" bottom: "{last}" top: "s{number}" }}\n'
            rest = f"eltwise_param {{ operation: {draw(st.sampled_from(['SUM', 'PROD', 'MAX']))} }}" * (
                type_ == "Eltwise"
            )
            bottoms = f'bottom: "{last}" bottom: "s{number}"'
        else:
            rest, bottoms = draw(UNARY[type_]), f'bottom: "{last}"'
            if type_ in ("ReLU", "TanH", "Dropout", "Scale", "BatchNorm") and last != "b0" and draw(st.booleans()):
                top = last
        text += f'layer {{ name: "l{number}" type: "{type_}" {bottoms} top: "{top}" {rest} }}\n'
        last = top
    return text


@given(nets())
@profile(60)
def test_text_to_net_to_text_to_net_is_the_same(text: str) -> None:
    net = prototxt.loads(text)
    again = prototxt.loads(prototxt.dumps(net))
    assert again.message == net.message and again.outputs == net.outputs and dict(again.inputs) == dict(net.inputs)
    assert [(x.name, x.bottoms, x.tops) for x in again.layers] == [(x.name, x.bottoms, x.tops) for x in net.layers]
    assert prototxt.dumps(again) == prototxt.dumps(net)


@given(nets())
@profile(15)
def test_random_nets_agree_in_all_backends(text: str) -> None:
    net = prototxt.loads(text)
    (shape,) = net.inputs.values()
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {
            backend: parity.run(backend, net, Synthetic(), [x], list(net.outputs), Path(folder))
            for backend in parity.BACKENDS
        }
    for name, expected in found["numpy"].items():
        for backend in ("torch", "onnx"):
            assert parity.error(found[backend][name], expected) <= parity.SUMS, (backend, name, text)
