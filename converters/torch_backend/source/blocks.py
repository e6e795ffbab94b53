"""Classes for structure that repeats: what their instances share is written once, what differs is an argument."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import fx, nn

from converters.torch_backend.source.constructors import Constructor, constructor, kind_of
from converters.torch_backend.source.expressions import is_atom
from converters.torch_backend.source.forward import Block, Body, body
from converters.torch_backend.source.layout import call, docstring, items
from converters.torch_backend.source.repeats import Run

__all__ = ["BlockClass", "block_class", "token"]

CHANNELS = {"in_channels", "out_channels", "in_features", "out_features", "num_features", "channels"}
SIZES = {*CHANNELS, "groups"}  # a depthwise convolution has as many groups as channels
MOST = 12  # arguments of a class that still reads well


def token(node: fx.Node, modules: dict[str, nn.Module], tied: set[str]) -> Any:
    """What must be equal of an operation in all instances of a block; None where it cannot be part of one."""
    if is_atom(node) or any(x.op == "get_attr" or is_atom(x) for x in node.all_input_nodes):
        return None
    if node.op == "call_module":
        path = str(node.target)
        made = constructor(modules[path])
        return None if path in tied else (made.name, *(type(value).__name__ for value in made.fields.values()))
    return (node.op, str(node.target), repr(_constants(node.args)), repr(_constants(node.kwargs)))


def _constants(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_constants(each) for each in value]
    if isinstance(value, dict):
        return {name: _constants(each) for name, each in value.items()}
    return "" if isinstance(value, fx.Node) else value


@dataclass
class BlockClass:
    """A class that stands for several runs of a net.

    Attributes:
        name: of the class.
        runs: the runs.
        attributes: child of the net in the first run → attribute of the class; the others' are in the same order.
        arguments: name → the value that each run has.
        sizes: the arguments that are numbers of channels: they are given without their names.
    """

    name: str
    runs: list[list[fx.Node]]
    titles: list[str]
    attributes: dict[str, str]
    arguments: dict[str, list[Any]]
    sizes: set[str]
    lines: list[str] = field(default_factory=list)

    def blocks(self, paths: Sequence[str]) -> list[Block]:
        """The runs as calls of children with these paths."""
        return [Block(path, run, _source(run)) for path, run in zip(paths, self.runs)]

    def making(self, i: int) -> list[str]:
        """The arguments that make run i."""
        return [
            repr(values[i]) if name in self.sizes else f"{name}={values[i]!r}"
            for name, values in self.arguments.items()
        ]

    def moved(self, i: int, path: str) -> dict[str, str]:
        """Children of the net in run i → where they are now."""
        children = [str(node.target) for node in self.runs[i] if node.op == "call_module"]
        return {child: f"{path}.{name}" for child, name in zip(children, self.attributes.values())}


def _source(run: Sequence[fx.Node]) -> fx.Node:
    inside = set(run)
    return next(x for node in run for x in node.all_input_nodes if x not in inside)


def block_class(
    runs: Sequence[Run],
    nodes: Sequence[fx.Node],
    modules: dict[str, nn.Module],
    plain: Callable[[str], str],
    taken: set[str],
) -> BlockClass | None:
    """The class for a group of runs, or None where it would take too many arguments to read well.

    Args:
        runs, nodes: from `find_repeats`.
        modules: the net's children.
        plain: any name → an identifier that is safe as an attribute.
        taken: names that the class must not have; its own is added.
    """
    parts = [list(nodes[run.start : run.start + run.length]) for run in runs]
    calls = [[node for node in part if node.op == "call_module"] for part in parts]
    attributes = _attributes(runs[0], parts[0], modules, plain)
    made = [[constructor(modules[str(node.target)]) for node in part] for part in calls]
    arguments, places = _arguments(made, list(attributes.values()), calls[0], _source(parts[0]))
    kinds = [{type(value) for value in values} for values in arguments.values()]
    if len(arguments) > MOST or any(len(kind) > 1 for kind in kinds):
        return None
    name = _class_name(runs[0], parts[0], modules, taken)
    taken.add(name)
    titles = [run.names.instance for run in runs]
    sizes = {known for (_, field), known in places.items() if field in CHANNELS}
    arguments = {known: arguments[known] for known in sorted(arguments, key=lambda known: known not in sizes)}
    block = BlockClass(name, parts, titles, attributes, arguments, sizes)
    block.lines = _lines(block, made[0], places, calls[0], modules)
    return block


def _attributes(
    run: Run, nodes: Sequence[fx.Node], modules: dict[str, nn.Module], plain: Callable[[str], str]
) -> dict[str, str]:
    """Child → attribute: the layer's name without what all the run's names begin with, and without the key."""
    found: dict[str, str] = {}
    for node, (head, tail) in zip(nodes, run.names.parts):
        if node.op != "call_module":
            continue
        path = str(node.target)
        rest = (head + tail).strip("/_-. ") or kind_of(modules[path])
        name = plain(rest if not rest[0].isdigit() else f"{kind_of(modules[path])}_{rest}")
        while name in found.values() or name == "x":
            name += "_"
        found[path] = name
    return found


Place = tuple[int, str]  # which module of the run, and which field of its constructor


def _arguments(
    made: Sequence[Sequence[Constructor]], attributes: Sequence[str], calls: Sequence[fx.Node], source: fx.Node
) -> tuple[dict[str, list[Any]], dict[Place, str]]:
    """The fields that differ between the runs, under one name where they agree in all of them."""
    arguments: dict[str, list[Any]] = {}
    places: dict[Place, str] = {}
    for i, attribute in enumerate(attributes):
        for name in made[0][i].fields:
            values = [run[i].fields[name] for run in made]
            if all(value == values[0] for value in values):
                continue
            group = "channels" if name in SIZES else name
            known = next((a for a, v in arguments.items() if v == values and _group(a, places) == group), None)
            if known is None:
                known = _argument(name, attribute, calls[i].args[0] is source, arguments)
                arguments[known] = values
            places[i, name] = known
    return arguments, places


def _group(argument: str, places: dict[Place, str]) -> str:
    name = next(field for (_, field), known in places.items() if known == argument)
    return "channels" if name in SIZES else name


def _argument(name: str, attribute: str, first: bool, taken: dict[str, list[Any]]) -> str:
    if name in ("in_channels", "in_features", "num_features", "channels") and first:
        wanted = "inputs"
    elif name in CHANNELS:
        wanted = attribute
    else:
        wanted = name
    while wanted in taken:
        wanted = f"{attribute}_{name}" if wanted != f"{attribute}_{name}" else f"{wanted}_"
    return wanted


def _class_name(run: Run, nodes: Sequence[fx.Node], modules: dict[str, nn.Module], taken: set[str]) -> str:
    kinds = [type(modules[str(n.target)]).__name__ for n in nodes if n.op == "call_module"]
    merge = next((n for n in nodes if n.op != "call_module" and len(set(n.all_input_nodes)) > 1), None)
    word = re.match(r"[A-Za-z]*", run.names.instance)
    stem = word.group() if word else ""
    generic = stem.lower() in ("", "conv", "res", "concat", "relu", "bn", "block", "layer", "stage")
    if not generic:
        name = stem[0].upper() + stem[1:]
    elif merge is None and len(kinds) <= 4:
        name = re.sub(r"\dd|Norm", "", "".join(kinds)).replace("Batch", "BN")
    elif merge is None:
        name = (
            "Separable" if any(_depthwise(modules[str(n.target)]) for n in nodes if n.op == "call_module") else "Unit"
        )
    elif "cat" in str(merge.target):
        name = "Dense" if _source(nodes) in merge.all_input_nodes else "Branches"
    else:
        name = "Residual" if _source(nodes) in merge.all_input_nodes else "ResidualProjection"
    count, candidate = 1, name
    while candidate in taken:
        count += 1
        candidate = f"{name}{count}"
    return candidate


def _depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.conv._ConvNd) and module.groups == module.in_channels > 1


def _lines(
    block: BlockClass,
    made: Sequence[Constructor],
    places: dict[Place, str],
    calls: Sequence[fx.Node],
    modules: dict[str, nn.Module],
) -> list[str]:
    names = list(block.attributes.values())
    signature = ["self", *(f"{name}: {type(values[0]).__name__}" for name, values in block.arguments.items())]
    titles = block.titles
    few = f"{', '.join(titles[:-1])} and {titles[-1]}"
    of = few if len(titles) < 4 else f"{titles[0]}, {titles[1]}, ..., {titles[-1]}"
    lines = [f"class {block.name}(nn.Module):", *docstring([f"Caffe's {of}."], 4), ""]
    lines += items("def __init__(", signature, ") -> None:", 4)
    lines.append("        super().__init__()")
    for i, (name, each) in enumerate(zip(names, made)):
        replaced = {field: known for (at, field), known in places.items() if at == i}
        lines += call(f"self.{name} = {each.name}", each.arguments(replaced), 8)
    nodes = block.runs[0]
    own = {str(node.target): block.attributes[str(node.target)] for node in calls}

    def name_of(node: fx.Node) -> str:
        return own[str(node.target)] if str(node.target) in own else re.sub(r"_\d+$", "", str(_tail(node)))

    lines += ["", "    def forward(self, x: Tensor) -> Tensor:"]
    reserved = frozenset({"torch", "nn", "self", "Tensor"})
    source = Body(
        nodes,
        {_source(nodes): "x"},
        [nodes[-1]],
        own.__getitem__,
        modules,
        name_of,
        by_first=True,
        reserved=reserved,
    )
    return lines + body(source)


def _tail(node: fx.Node) -> str:
    return getattr(node.target, "__name__", "") or str(node.target)
