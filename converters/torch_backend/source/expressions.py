"""Operations of a `torch.fx` graph as Python expressions."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from torch import fx
from torch.fx.node import _get_qualified_name

from converters.torch_backend import functions
from converters.torch_backend.source.layout import Part, items, joined, literal

__all__ = ["Reader", "expression", "is_atom", "statement"]

Reader = Callable[[fx.Node], str]
"""An operand → how it is written: a variable, a parameter, or an expression of its own."""

_OPERATORS: dict[Any, str] = {
    operator.add: "+", operator.sub: "-", operator.mul: "*", operator.truediv: "/", operator.floordiv: "//",
    operator.mod: "%", operator.gt: ">", operator.ge: ">=", operator.eq: "==",
}  # fmt: skip


def is_atom(node: fx.Node) -> bool:
    """Whether an operation is written where it is used: a size, a device, a dtype."""
    return (node.op == "call_method" and node.target == "size") or node.target is getattr


def _value(value: Any, read: Reader) -> str:
    if isinstance(value, fx.Node):
        return read(value)
    if isinstance(value, tuple):
        return f"({', '.join(_value(each, read) for each in value)}{',' * (len(value) == 1)})"
    if isinstance(value, list):
        return f"[{', '.join(_value(each, read) for each in value)}]"
    return literal(value)


def _index(value: Any, read: Reader) -> str:
    if isinstance(value, slice):
        start, stop = ("" if each is None else _value(each, read) for each in (value.start, value.stop))
        return f"{start}:{stop}" + (f":{_value(value.step, read)}" if value.step is not None else "")
    return _value(value, read)


def _function(node: fx.Node) -> str:
    if node.target in (getattr(functions, name) for name in functions.__all__):
        return str(getattr(node.target, "__name__", node.target))
    assert callable(node.target)
    name = _get_qualified_name(node.target)
    return name.replace("torch.nn.functional.", "nn.functional.").replace("torch._C._nn.", "nn.functional.")


def expression(node: fx.Node, read: Reader, path: Callable[[str], str]) -> str:
    """One operation on one line; `path` says where a child is."""
    head, arguments, tail = _parts(node, read, path)
    return f"{head}{', '.join(map(joined, arguments))}{tail}"


def statement(
    target: str, node: fx.Node, read: Reader, path: Callable[[str], str], indent: int, last: str = ""
) -> list[str]:
    """`target = expression` (or `return expression`), broken into lines where it is long."""
    head, arguments, tail = _parts(node, read, path)
    return items(f"{target}{head}", arguments, f"{tail}{last}", indent)


def _parts(node: fx.Node, read: Reader, path: Callable[[str], str]) -> tuple[str, list[Part], str]:
    """What stands before the arguments, the arguments, and what closes them."""
    args: Sequence[Any] = node.args
    named: list[Part] = [f"{name}={_value(value, read)}" for name, value in node.kwargs.items()]
    if node.op == "call_module":
        return f"self.{path(str(node.target))}(", [_value(each, read) for each in args], ")"
    if node.op == "call_method":
        own = _value(args[0], read)
        return f"{own}.{node.target}(", [*(_value(each, read) for each in args[1:]), *named], ")"
    if node.target in _OPERATORS:
        return f"{_value(args[0], read)} {_OPERATORS[node.target]} {_value(args[1], read)}", [], ""
    if node.target is operator.neg:
        return f"-{_value(args[0], read)}", [], ""
    if node.target is operator.pow:
        return "torch.pow(", [_value(each, read) for each in args], ")"
    if node.target is getattr:
        return f"{_value(args[0], read)}.{args[1]}", [], ""
    if node.target is operator.getitem:
        index = args[1] if isinstance(args[1], tuple) else (args[1],)
        return f"{_value(args[0], read)}[{', '.join(_index(each, read) for each in index)}]", [], ""
    parts: list[Part] = [
        [_value(x, read) for x in each] if isinstance(each, list) else _value(each, read) for each in args
    ]
    return f"{_function(node)}(", [*parts, *named], ")"
