"""caffe_pb2, the net specification language, and caffe.draw."""

# ruff: noqa: C408 (nets are specified with dict(...), as in pycaffe's documents)

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

import camcompat.pycaffe as caffe
import prototxt
from camcompat.pycaffe import draw, layers as L, params as P
from camcompat.pycaffe.proto import caffe_pb2

# caffe_pb2


def test_messages_read_and_write() -> None:
    net = caffe_pb2.NetParameter()
    text_format.Merge('name: "n" layer { name: "p" type: "Pooling" pooling_param { pool: AVE kernel_size: 3 } }', net)
    assert net.layer[0].pooling_param.pool == caffe_pb2.PoolingParameter.AVE == 1
    again = caffe_pb2.NetParameter()
    again.ParseFromString(net.SerializeToString())
    assert again == net and type(net) is caffe_pb2.NetParameter
    assert "pool: AVE" in text_format.MessageToString(net)


def test_enums_are_attributes() -> None:
    assert (caffe_pb2.TRAIN, caffe_pb2.TEST) == (0, 1)
    assert caffe_pb2.Phase.Value("TEST") == 1 and caffe_pb2.Phase.Name(0) == "TRAIN"
    assert (
        caffe_pb2.V1LayerParameter.CONVOLUTION == 4 and caffe_pb2.V1LayerParameter.LayerType.Name(14) == "INNER_PRODUCT"
    )
    assert caffe_pb2.EltwiseParameter.SUM == 1 and caffe_pb2.LRNParameter.WITHIN_CHANNEL == 1
    assert {"NetParameter", "SolverParameter", "BlobProto", "Datum", "TEST"} <= set(dir(caffe_pb2))
    for name in caffe_pb2.__all__:
        assert getattr(caffe_pb2, name) is not None
    with pytest.raises(AttributeError, match="NoSuchParameter"):
        _ = caffe_pb2.NoSuchParameter


def test_a_solver_is_readable_as_a_message() -> None:
    solver = text_format.Merge('net: "n.prototxt" base_lr: 0.01 lr_policy: "step"', caffe_pb2.SolverParameter())
    assert solver.net == "n.prototxt" and solver.base_lr == pytest.approx(0.01)


# NetSpec


def build() -> caffe.NetSpec:
    n = caffe.NetSpec()
    n.data, n.label = L.Data(batch_size=4, backend=P.Data.LMDB, source="db", transform_param=dict(scale=0.5), ntop=2)
    n.conv1 = L.Convolution(
        n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"),
        param=[dict(lr_mult=1, decay_mult=1), dict(lr_mult=2)],
    )  # fmt: skip
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n.pool1 = L.Pooling(n.relu1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.up = L.Deconvolution(n.pool1, convolution_param=dict(num_output=2, kernel_size=4, stride=2))
    n.drop = L.Dropout(n.up, dropout_ratio=0.25, in_place=True, include=dict(phase=caffe.TRAIN))
    n.score = L.InnerProduct(L.ReLU(n.drop), num_output=3)
    n.loss = L.SoftmaxWithLoss(n.score, n.label, loss_weight=2)
    return n


def test_net_spec() -> None:
    net = build().to_proto()
    named = {layer.name: layer for layer in net.layer}
    assert [layer.name for layer in net.layer] == [
        "data", "conv1", "relu1", "pool1", "up", "drop", "ReLU1", "score", "loss",
    ]  # fmt: skip
    data, conv = named["data"], named["conv1"]
    assert list(data.top) == ["data", "label"] and data.data_param.backend == caffe_pb2.DataParameter.LMDB
    assert data.transform_param.scale == 0.5
    assert list(conv.convolution_param.kernel_size) == [5] and conv.convolution_param.weight_filler.type == "xavier"
    assert [p.lr_mult for p in conv.param] == [1, 2]
    assert list(named["relu1"].top) == list(named["relu1"].bottom) == ["conv1"]
    assert list(named["pool1"].bottom) == ["conv1"]
    assert named["up"].convolution_param.num_output == 2
    assert named["drop"].include[0].phase == caffe.TRAIN and named["drop"].include[0].HasField("phase")
    assert list(named["ReLU1"].bottom) == ["up"] and list(named["score"].bottom) == ["ReLU1"]
    assert list(named["loss"].bottom) == ["score", "label"] and list(named["loss"].loss_weight) == [2]


def test_its_text_is_a_prototxt() -> None:
    text = str(build().to_proto())
    again = text_format.Merge(text, caffe_pb2.NetParameter())
    assert again == build().to_proto()
    assert prototxt.parse(text, "spec").unknown == ()


def test_to_proto_names_by_type() -> None:
    data = L.Input(shape=dict(dim=[1, 3]))
    a, b = L.ReLU(data), L.TanH(data, name="tanh")
    net = caffe.to_proto(a, b)
    assert [(layer.name, list(layer.top)) for layer in net.layer] == [
        ("Input1", ["Input1"]), ("ReLU1", ["ReLU1"]), ("tanh", ["TanH1"]),
    ]  # fmt: skip
    assert a.to_proto().layer[1].type == "ReLU"


def test_net_spec_as_a_container() -> None:
    n = caffe.NetSpec()
    n["a/b"] = L.Input(shape=dict(dim=[2]))
    n.c = L.ReLU(n["a/b"])
    assert list(n.tops) == ["a/b", "c"]
    del n.c
    assert [layer.name for layer in n.to_proto().layer] == ["a/b"]
    with pytest.raises(AttributeError, match="nothing"):
        _ = n.nothing
    with pytest.raises(TypeError, match="ReLU input 0 is not a Top"):
        L.ReLU(3)
    with pytest.raises(TypeError, match="not a Top"):
        n.x = 3


def test_wrong_parameters_are_named() -> None:
    for make in (
        lambda: L.Convolution(L.Input(), kernel=3),
        lambda: L.Deconvolution(L.Input(), num_output=3),
        lambda: L.Convolution(L.Input(), num_output="x"),
        lambda: L.Convolution(L.Input(), weight_filler=dict(kind="x")),
    ):
        with pytest.raises(caffe.CaffeError, match="volution: "):
            make().to_proto()


def test_a_specified_net_runs(tmp_path: Path) -> None:
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 2]))
    n.a, n.b = L.Slice(n.data, ntop=2, axis=1)
    n.sum = L.Eltwise(n.a, n.b, operation=P.Eltwise.SUM, coeff=[1, 10])
    n.silent = L.Power(n.sum, scale=3)
    (tmp_path / "n.prototxt").write_text(str(n.to_proto()))
    net = caffe.Net(str(tmp_path / "n.prototxt"), caffe.TEST)
    assert net.forward(data=np.array([[1, 2]]))["silent"].tolist() == [[63]]


# draw


def test_draw(tmp_path: Path) -> None:
    net = build().to_proto()
    net.name = 'a "quoted" name'
    graph = draw.get_pydot_graph(net, "TB")
    text = graph.to_string()
    assert text.startswith('digraph "a \\"quoted\\" name" {') and 'rankdir="TB"' in text
    assert '"conv1_blob" -> "relu1_ReLU_2"' in text and '"relu1_ReLU_2" -> "conv1_blob"' in text
    assert '"conv1_Convolution_1" -> "conv1_blob" [label="20"]' in text
    assert text.count("{") == text.count("}") == 1
    assert "Dropout" not in draw.get_pydot_graph(net, phase=caffe.TEST).to_string()
    draw.draw_net_to_file(net, tmp_path / "net.dot", "TB")
    assert (tmp_path / "net.dot").read_text() == text
    if shutil.which("dot"):
        assert b"<svg" in draw.draw_net(net, "LR", "svg")


def test_a_picture_needs_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(caffe.CaffeError, match="Graphviz"):
        draw.draw_net_to_file(build().to_proto(), tmp_path / "net.png")
    assert not (tmp_path / "net.png").exists()
