"""Nets: phase rules, inputs, in-place names and Caffe's checks; and every shared net loads."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from net_texts import DATA, error, unary

from prototxt import Net, PrototxtError, from_message, load, loads
from prototxt.schema import message_class


def names(net: Net) -> list[str]:
    return [layer.name for layer in net.layers]


# ---- files


def test_every_conformance_net_has_caffes_inputs_and_outputs(shared: Path) -> None:
    """Caffe wrote the blobs of io.npz: inputs with their shapes, and every output blob."""
    paths = sorted(shared.glob("conformance/*/*/net.prototxt"))
    assert len(paths) == 235
    for path in paths:
        net = load(path)
        assert net.unknown == (), path
        assert all(layer.unknown == () for layer in net.layers), path
        with np.load(path.parent / "io.npz") as io:
            inputs = {key[3:]: io[key].shape for key in io if key.startswith("in/")}
            outputs = {net.resolve(key[4:]) for key in io if key.startswith("out/")}
            middle = [key[4:] for key in io if key.startswith("mid/")]
        assert dict(net.inputs) == inputs, path
        assert set(net.outputs) == outputs and len(net.outputs) == len(outputs), path
        assert all(net.resolve(blob) for blob in middle), path


def test_every_corpus_net_loads(shared: Path) -> None:
    """Types and declared input shapes as the census of the corpus lists them."""
    rows = [line.split("\t") for line in (shared / "corpus" / "index.tsv").read_text().splitlines()]
    columns = rows[0]
    assert len(rows) > 30
    for row in rows[1:]:
        entry = dict(zip(columns, row, strict=True))
        net = load(shared / "corpus" / f"{entry['name']}.prototxt")
        assert net.unknown == ()
        inputs = " ".join(f"{name}:{'x'.join(map(str, shape))}" for name, shape in net.inputs.items())
        assert inputs == entry["input_shape"], entry["name"]
        counts: dict[str, int] = {}
        for layer in net.layers:
            counts[layer.type] = counts.get(layer.type, 0) + 1
        listed = {kind: int(count) for kind, count in (pair.split(":") for pair in entry["layer_types"].split())}
        counts.pop("Input"), listed.pop("Input", None)
        assert counts == listed, entry["name"]


def test_cam_and_shapes_nets_load(shared: Path) -> None:
    for path in [*sorted((shared / "cam" / "models").glob("deploy*")), shared / "shapes-cam" / "deploy.prototxt"]:
        net = load(path)
        assert net.outputs == ("prob",) and net.unknown == ()
        assert all(layer.line is not None and layer.source == str(path) for layer in net.layers)


def test_the_net_inside_a_caffemodel(shared: Path) -> None:
    binary = (shared / "shapes-cam" / "shapes-cam.caffemodel").read_bytes()
    net = from_message(message_class("NetParameter").FromString(binary), source="shapes-cam.caffemodel")
    assert net.outputs == ("loss",)
    assert net.layers[0].where.startswith('shapes-cam.caffemodel: layer "')


def test_a_solver_is_no_net(shared: Path) -> None:
    with pytest.raises(PrototxtError, match="it is a solver's prototxt"):
        load(shared / "shapes-cam" / "solver.prototxt")


@pytest.mark.parametrize("text", ["# nothing here", 'name: "n"', DATA])
def test_no_layers(text: str) -> None:
    assert "describes no layers" in error(text)


def test_an_empty_message() -> None:
    with pytest.raises(PrototxtError, match="w: it embeds no net"):
        from_message(message_class("NetParameter")(), source="w")


# ---- phase rules

RULES = [
    ("", {}, True),
    ("include { phase: TEST }", {}, True),
    ("include { phase: TRAIN }", {}, False),
    ("include { phase: TRAIN }", {"phase": "TRAIN"}, True),
    ("exclude { phase: TEST }", {}, False),
    ("exclude { phase: TEST }", {"phase": "train"}, True),
    ("exclude { }", {}, False),
    ("include { }", {}, True),
    ("include { phase: TRAIN } include { stage: 'a' }", {"stages": ["a"]}, True),
    ("include { phase: TRAIN stage: 'a' }", {"stages": ["a"]}, False),
    ("include { stage: 'a' stage: 'b' }", {"stages": ["a"]}, False),
    ("include { stage: 'a' stage: 'b' }", {"stages": ["b", "a", "c"]}, True),
    ("include { not_stage: 'a' }", {"stages": ["a"]}, False),
    ("include { not_stage: 'a' }", {"stages": ["b"]}, True),
    ("exclude { not_stage: 'a' }", {}, False),
    ("include { min_level: 1 }", {}, False),
    ("include { min_level: 1 }", {"level": 1}, True),
    ("include { max_level: 0 }", {"level": 1}, False),
    ("include { max_level: 0 }", {}, True),
    ("include { min_level: 1 max_level: 3 }", {"level": 4}, False),
]


@pytest.mark.parametrize(("rules", "state", "kept"), RULES)
def test_rules(rules: str, state: dict[str, object], kept: bool) -> None:
    net = loads(DATA + unary("a", "data", "x") + unary("b", "data", "y", rest=rules), **state)
    assert names(net) == (["input", "a", "b"] if kept else ["input", "a"])
    assert [layer.name for layer in net.message.layer] == names(net)


def test_the_nets_own_state_holds_where_the_caller_gives_none() -> None:
    text = "state { phase: TRAIN level: 2 stage: 'own' }" + DATA
    text += unary("a", "data", "x", rest="include { phase: TRAIN min_level: 2 stage: 'own' }")
    text += unary("b", "data", "y", rest="include { phase: TEST }")
    text += unary("c", "data", "z", rest="include { max_level: 0 stage: ['own', 'given'] }")
    assert names(loads(text)) == ["input", "a"]
    assert names(loads(text, phase="TEST")) == ["input", "b"]
    assert names(loads(text, phase="TEST", level=0, stages=["given"])) == ["input", "b", "c"]
    state = loads(text, phase="TEST", stages=["given"]).message.state
    assert (state.phase, state.level, list(state.stage)) == (1, 2, ["own", "given"])


def test_include_and_exclude_together() -> None:
    text = DATA + unary("a", "data", "x", rest="include { phase: TEST } exclude { phase: TRAIN }")
    assert 'f.prototxt:2: layer "a" (ReLU): it has both include and exclude' in error(text)


def test_phase_errors() -> None:
    assert 'there is no phase "VAL"; choose from TRAIN, TEST' in error(DATA + unary("a", "data", "x"), phase="VAL")
    assert "no layer is left in phase TEST" in error('layer { name: "a" type: "ReLU" include { phase: TRAIN } }')


def test_train_and_test_layers_of_one_name() -> None:
    data = 'layer {{ name: "d" type: "Data" top: "data" include {{ phase: {} }} data_param {{ batch_size: {} }} }}\n'
    text = data.format("TRAIN", 8) + data.format("TEST", 2) + unary("r", "data", "y")
    assert loads(text).layers[0].message.data_param.batch_size == 2
    assert loads(text).layers[0].line == 2
    assert loads(text, phase="TRAIN").layers[0].message.data_param.batch_size == 8


# ---- inputs


def test_in_place_values_get_names() -> None:
    text = DATA + unary("c", "data", "x", "Sigmoid") + unary("r", "x", "x") + unary("d", "x", "x", "Dropout")
    net = loads(text + unary("f", "x", "y") + unary("g", "x", "z"))
    assert [(layer.bottoms, layer.tops) for layer in net.layers[1:]] == [
        (("data",), ("x@c",)),
        (("x@c",), ("x@r",)),
        (("x@r",), ("x",)),
        (("x",), ("y",)),
        (("x",), ("z",)),
    ]
    assert net.resolve("x") == "x" and net.resolve("x@c") == "x@c" and net.outputs == ("y", "z")
    assert list(net.message.layer[3].bottom) == ["x"] and list(net.message.layer[3].top) == ["x"]


def test_an_overwritten_input_keeps_its_name() -> None:
    net = loads(DATA + unary("r", "data", "data") + unary("s", "data", "data", "Sigmoid") + unary("t", "data", "y"))
    assert [(layer.bottoms, layer.tops) for layer in net.layers] == [
        ((), ("data",)),
        (("data",), ("data@r",)),
        (("data@r",), ("data@s",)),
        (("data@s",), ("y",)),
    ]
    assert list(net.inputs) == ["data"]
    assert net.resolve("data") == "data@s"


def test_an_overwritten_input_may_be_the_output() -> None:
    assert loads(DATA + unary("r", "data", "data")).outputs == ("data@r",)


def test_nameless_and_repeated_layers_get_distinct_names() -> None:
    text = DATA + unary("", "data", "x", "Sigmoid") + unary("", "x", "x") + unary("a", "x", "x") + unary("a", "x", "x")
    net = loads(text + unary("b", "x", "x") + unary("x@a", "data", "x@a#2") + unary("", "x", "y"))
    tops = [top for layer in net.layers for top in layer.tops]
    assert tops == ["data", "x@Sigmoid", "x@ReLU", "x@a", "x@a#3", "x", "x@a#2", "y"]
    assert len(set(tops)) == len(tops)


def test_in_place_at_another_position_and_several_tops() -> None:
    text = DATA + unary("a", "data", "x") + unary("b", "data", "y")
    text += 'layer { name: "e" type: "Eltwise" bottom: "x" bottom: "y" top: "y" }'
    net = loads(text)
    assert net.layers[-1].bottoms == ("x", "y@b") and net.layers[-1].tops == ("y",)


def test_outputs_are_in_the_order_of_production() -> None:
    text = DATA + unary("a", "data", "z") + unary("b", "data", "y")
    text += 'layer { name: "s" type: "Slice" bottom: "y" top: "d" top: "c" }'
    assert loads(text).outputs == ("z", "d", "c")


def test_unused_inputs_are_no_outputs() -> None:
    text = 'layer { name: "i" type: "Input" top: "a" top: "b" input_param { shape { dim: 1 } } }' + unary("r", "a", "c")
    assert loads(text).outputs == ("c",)


def test_resolve_of_an_unknown_blob() -> None:
    net = loads(DATA + unary("r", "data", "conv1"))
    with pytest.raises(PrototxtError, match='the net has no blob "conv"; did you mean "conv1"'):
        net.resolve("conv")


# ---- what Caffe refuses


def test_unknown_bottom() -> None:
    text = DATA + unary("r", "dta", "y")
    assert error(text) == 'f.prototxt:2: layer "r" (ReLU): unknown bottom blob "dta"; did you mean "data"?'


def test_a_bottom_that_comes_later_is_unknown() -> None:
    assert 'unknown bottom blob "late"' in error(DATA + unary("r", "late", "y") + unary("s", "data", "late"))


def test_a_bottom_that_the_phase_leaves_out() -> None:
    text = DATA + unary("a", "data", "x", rest="include { phase: TRAIN }") + unary("b", "x", "y")
    assert 'bottom blob "x" comes only from a layer that this phase leaves out: f.prototxt:2: layer "a"' in error(text)


@pytest.mark.parametrize(
    "layers",
    [
        unary("a", "data", "x") + unary("b", "data", "x"),
        unary("a", "data", "x") + unary("b", "x", "y") + unary("c", "y", "x"),
        'layer { name: "s" type: "Split" bottom: "data" top: "x" top: "x" }',
        'layer { name: "s" type: "Input" top: "data" input_param { shape { dim: 1 } } }',
        # Read by one layer, overwritten by another: Caffe's split renames the bottom, so the top is a duplicate.
        unary("a", "data", "x") + unary("b", "x", "y") + unary("c", "x", "x"),
        unary("a", "data", "y") + unary("b", "data", "data"),
        'layer { name: "e" type: "Eltwise" bottom: "data" bottom: "data" top: "data" }',
    ],
)
def test_produced_by_multiple_sources(layers: str) -> None:
    assert "produced by multiple sources" in error(DATA + layers)


def test_reading_after_the_in_place_layer_is_fine() -> None:
    text = DATA + unary("a", "data", "x") + unary("b", "x", "x") + unary("c", "x", "y") + unary("d", "x", "z")
    assert loads(text).outputs == ("y", "z")


def test_layer_checks() -> None:
    assert 'f.prototxt:2: layer "a" (): the layer has no type' in error(DATA + 'layer { name: "a" bottom: "data" }')
    text = DATA + unary("a", "data", "x", rest="propagate_down: [true, false]")
    assert "2 propagate_down for 1 bottom(s)" in error(text)


def test_nameless_and_equally_named_layers_are_legal() -> None:
    text = DATA + 'layer { type: "ReLU" bottom: "data" top: "x" }' + unary("s", "x", "y") + unary("s", "y", "z")
    assert names(loads(text)) == ["input", "", "s", "s"]


# ---- the values


def test_where_and_param_names() -> None:
    text = DATA + unary("c", "data", "y", rest='param { name: "w" } param { lr_mult: 2 }')
    layer = loads(text, source="deploy.prototxt").layers[1]
    assert layer.where == 'deploy.prototxt:2: layer "c" (ReLU)'
    assert layer.param_names == ("w", "")
    assert loads(text, source="").layers[1].where == 'layer "c" (ReLU)'
    assert loads(text).layers[0].line == 1


def test_unknown_fields_go_to_their_layers() -> None:
    text = (
        "foo: 1\n"
        + DATA
        + unary("a", "data", "x", rest="bar: 2")
        + unary("b", "data", "y", rest="pooling_param { c: 3 }")
    )
    text += unary("t", "data", "z", rest="include { phase: TRAIN } baz: 4")
    net = loads(text)
    assert [(each.path, each.line, each.text) for each in net.unknown] == [
        ("foo", 1, "1"),
        ("bar", 3, "2"),
        ("pooling_param.c", 4, "3"),
        ("baz", 5, "4"),
    ]
    assert [[each.path for each in layer.unknown] for layer in net.layers] == [[], ["bar"], ["pooling_param.c"]]


def test_nets_are_immutable() -> None:
    net = loads(DATA + unary("a", "data", "x"))
    with pytest.raises(FrozenInstanceError):
        net.name = "x"
    with pytest.raises(TypeError):
        net.inputs["data"] = (1,)
