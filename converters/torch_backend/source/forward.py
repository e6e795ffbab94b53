"""The statements of a `forward`: which operations share a line, and what variables are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import fx, nn

from converters.torch_backend import functions
from converters.torch_backend.source.expressions import expression, is_atom, statement
from converters.torch_backend.source.layout import WIDTH

__all__ = ["Block", "Body", "body"]

# Modules that are written around what feeds them: self.relu1(self.conv1(x)).
_FOLLOWERS = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.Sigmoid, nn.Tanh, nn.Dropout, nn.modules.batchnorm._BatchNorm,
    functions.Scale,
)  # fmt: skip


@dataclass(eq=False)
class Block:
    """A run of operations that is one call of a module of its own class."""

    path: str
    nodes: Sequence[fx.Node]
    source: fx.Node

    @property
    def result(self) -> fx.Node:
        return self.nodes[-1]


@dataclass(eq=False)
class _Statement:
    """Operations on one line, each the operand of the next; or a block."""

    nodes: list[fx.Node]
    block: Block | None = None
    variable: str = ""

    @property
    def result(self) -> fx.Node:
        return self.nodes[-1]

    def operands(self) -> Iterator[fx.Node]:
        """The values that it reads, in order, through what is written in place."""
        inside = set(self.nodes)
        for node in [self.block.source] if self.block else [x for n in self.nodes for x in n.all_input_nodes]:
            if node not in inside or self.block:
                yield from _through(node)


def _through(node: fx.Node) -> Iterator[fx.Node]:
    if is_atom(node):
        for each in node.all_input_nodes:
            yield from _through(each)
    else:
        yield node


@dataclass
class Body:
    """What a forward is made from.

    Attributes:
        nodes: its operations in order.
        inputs: value → argument or parameter as it is written.
        results: the values returned.
        path: child of the module → as it is written behind `self.`.
        modules: child → module.
        name: an operation → what a variable with its result may be called.
        blocks: first operation of a block → the block.
        by_first: a line's variable is named by its first operation, not by its last.
        reserved: names that no variable may have.
        returned: what is returned, from the variables' names; None for one value alone.
    """

    nodes: Sequence[fx.Node]
    inputs: Mapping[fx.Node, str]
    results: Sequence[fx.Node]
    path: Callable[[str], str]
    modules: Mapping[str, nn.Module]
    name: Callable[[fx.Node], str]
    blocks: Mapping[fx.Node, Block] = field(default_factory=dict)
    by_first: bool = False
    reserved: frozenset[str] = frozenset()
    returned: Callable[[Callable[[fx.Node], str]], list[str]] | None = None


def body(source: Body) -> list[str]:
    """The lines of a forward."""
    statements = _statements(source)
    uses: dict[fx.Node, list[_Statement | None]] = {}
    for each in statements:
        for operand in dict.fromkeys(each.operands()):
            uses.setdefault(operand, []).append(each)
    for result in source.results:
        uses.setdefault(result, []).append(None)
    _name(source, statements, uses)
    variables = {each.result: each.variable for each in statements}

    def read(node: fx.Node) -> str:
        if node in variables or node in source.inputs:
            return variables.get(node) or source.inputs[node]
        return expression(node, read, source.path)

    lines: list[str] = []
    for each in statements:
        final = each is statements[-1] and source.returned is None and each.result is source.results[0]
        lines += _written(each, "return " if final else f"{each.variable} = ", source, read)
    if source.returned is not None:
        return lines + source.returned(read)
    if not statements or statements[-1].result is not source.results[0]:
        lines.append(f"        return {read(source.results[0])}")
    return lines


def _statements(source: Body) -> list[_Statement]:
    made: list[_Statement] = []
    covered: set[fx.Node] = set()
    for node in source.nodes:
        if node in covered or is_atom(node):
            continue
        block = source.blocks.get(node)
        if block is not None:
            covered |= set(block.nodes)
            made.append(_Statement([block.result], block))
            continue
        above = made[-1] if made and made[-1].block is None else None
        if above is not None and _follows(node, above.result, source):
            above.nodes.append(node)
        else:
            made.append(_Statement([node]))
    return made


def _follows(node: fx.Node, above: fx.Node, source: Body) -> bool:
    module = source.modules.get(str(node.target)) if node.op == "call_module" else None
    alone = list(above.users) == [node] and above not in source.results
    return alone and isinstance(module, _FOLLOWERS)


def _name(source: Body, statements: Sequence[_Statement], uses: Mapping[fx.Node, Sequence[_Statement | None]]) -> None:
    """Call the trunk x, and a branch by what it ends in."""
    chains: dict[fx.Node, list[_Statement]] = {}
    taken = {*source.inputs.values(), *source.reserved} - {"x"}
    place = {each: i for i, each in enumerate(statements)}
    last = {value: max(len(place) if use is None else place[use] for use in users) for value, users in uses.items()}
    for each in statements:
        feeding = [value for value in each.operands() if value in chains and uses[value] == [each]]
        chain = chains[feeding[0]] if len(set(each.operands())) == 1 and feeding else []
        chain.append(each)
        chains[each.result] = chain
    trunk = next((value for value, name in source.inputs.items() if name == "x"), None)
    names: dict[int, str] = {}
    for i, each in enumerate(statements):
        live = [v for v in _made_before(source, statements, i) if last.get(v, -1) > i]
        free = trunk is None or last.get(trunk, -1) <= i
        chain = chains[each.result]
        if not live and free:
            each.variable, trunk = "x", each.result
            continue
        if id(chain) not in names:
            last_one = chain[-1].nodes
            names[id(chain)] = _free(source.name(last_one[0] if source.by_first else last_one[-1]), taken)
        each.variable = names[id(chain)]


def _made_before(source: Body, statements: Sequence[_Statement], i: int) -> list[fx.Node]:
    arguments = [value for value, name in source.inputs.items() if name == "x"]
    return arguments + [each.result for each in statements[:i]]


def _free(name: str, taken: set[str]) -> str:
    candidate, count = name, 1
    while candidate in taken or candidate == "x":
        count += 1
        candidate = f"{name}_{count}"
    taken.add(candidate)
    return candidate


def _written(each: _Statement, target: str, source: Body, read: Callable[[fx.Node], str]) -> list[str]:
    if each.block is not None:
        return [f"        {target}self.{each.block.path}({read(each.block.source)})"]
    lines: list[str] = []
    rest = list(each.nodes)
    operand = read
    while rest:
        count = _fitting(rest, each, target, source, operand)
        start = target if count == len(rest) else f"{each.variable} = "
        if count == 1:
            lines += statement(start, rest[0], operand, source.path, 8)
        else:
            lines.append(f"        {start}{_nested(rest[:count], operand, source)}")
        rest, operand = rest[count:], lambda _: each.variable
    return lines


def _nested(nodes: Sequence[fx.Node], read: Callable[[fx.Node], str], source: Body) -> str:
    inner = expression(nodes[0], read, source.path)
    for node in nodes[1:]:
        inner = f"self.{source.path(str(node.target))}({inner})"
    return inner


def _fitting(
    nodes: Sequence[fx.Node], each: _Statement, target: str, source: Body, read: Callable[[fx.Node], str]
) -> int:
    """How many of the operations one line takes: at least one."""
    for count in range(len(nodes), 1, -1):
        start = target if count == len(nodes) else f"{each.variable} = "
        if 8 + len(start) + len(_nested(nodes[:count], read, source)) <= WIDTH:
            return count
    return 1
