"""Reads off the source which errors it makes: the class, the message, the remedy.

An error is made by a call of its class, or of a function that passes its message on to one (`view.error`,
`tokens.error`, …). Messages are taken apart as far as the source tells: f-strings, alternatives, local names, constants
of modules, functions that return a text. What is filled in at run time stands between ‹ and ›.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

__all__ = ["Made", "Source", "classes", "errors", "sources"]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("prototxt", "weights", "converters", "camcompat")
BASE = "CamcompatError"
MOST = 6  # spellings of one message, where it is put together from alternatives

_Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"


@dataclass(frozen=True)
class Made:
    """An error as one place of the source makes it.

    Attributes:
        kind: its class; message, remedy: with ‹…› for what is filled in; module: `weights.download`.
    """

    kind: str
    message: str
    remedy: str
    module: str


@dataclass(frozen=True)
class _Maker:
    """Something whose call makes an error: a class, or a function that passes its arguments on to one.

    Attributes:
        kind: the error's class.
        module: where the function stands; "" for a class, which is one everywhere.
        parameters: its arguments' names, in order.
        message, remedy: which of them these are; the remedy may be fixed by the function.
    """

    kind: str
    module: str
    parameters: tuple[str, ...] = ("message",)
    message: str = "message"
    remedy: ast.expr | str | None = "remedy"


@dataclass
class Source:
    """A parsed file.

    Attributes:
        module: its dotted name.
        tree: its syntax tree.
        calls: each with the function that it stands in.
    """

    module: str
    tree: ast.Module
    calls: list[tuple[ast.Call, _Function | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._walk(self.tree, None)

    def _walk(self, node: ast.AST, inside: _Function | None) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                self.calls.append((child, inside))
            self._walk(child, child if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) else inside)


def sources() -> list[Source]:
    """The files of the four packages."""
    paths = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return [Source(name, ast.parse(path.read_text(encoding="utf-8"))) for name, path in zip(names, paths)]


def classes(files: list[Source]) -> dict[str, tuple[str, str]]:
    """CamcompatError and every class derived from it → its base, and the first paragraph of its docstring."""
    known = {BASE: ("", "")}
    nodes = [node for file in files for node in ast.walk(file.tree) if isinstance(node, ast.ClassDef)]
    for _ in range(4):  # as deep as the tree of classes goes
        for node in nodes:
            bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
            base = next((base for base in bases if base in known), None)
            if base is not None or node.name == BASE:
                text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
                known[node.name] = (base or "", text)
    return known


def _known_texts(files: list[Source]) -> dict[str, dict[str, ast.expr]]:
    """Name → module → what it stands for in messages: constants, and functions that return a text."""
    texts: dict[str, dict[str, ast.expr]] = {}
    for module, node in ((file.module, node) for file in files for node in file.tree.body):
        value: ast.expr | None = None
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
        elif isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Return):
            name, value = node.name, node.body[-1].value
        if isinstance(value, (ast.JoinedStr, ast.BinOp)) or (
            isinstance(value, ast.Constant) and isinstance(value.value, str)
        ):
            texts.setdefault(name, {})[module] = value
    return texts


class _Reader:
    """Turns the expression of a message into the texts that it can be."""

    def __init__(self, files: list[Source]) -> None:
        self.texts = _known_texts(files)
        self.module = ""

    def read(self, node: ast.expr, scope: _Function | None, depth: int = 0) -> list[str]:
        """At most MOST texts."""
        return [" ".join(text.split()) for text in self._read(node, scope, depth)][:MOST]

    def _read(self, node: ast.expr, scope: _Function | None, depth: int) -> list[str]:
        if isinstance(node, ast.Constant):
            return [str(node.value)]
        if isinstance(node, ast.FormattedValue):
            return self._read(node.value, None, depth) if _is_text(node.value) else [f"‹{_word(node.value)}›"]
        if isinstance(node, ast.JoinedStr):
            parts = [self._read(part, scope, depth) for part in node.values]
            return ["".join(some) for some in itertools.islice(itertools.product(*parts), MOST)]
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            pairs = itertools.product(self._read(node.left, scope, depth), self._read(node.right, scope, depth))
            return [left + right for left, right in itertools.islice(pairs, MOST)]
        if isinstance(node, ast.IfExp):
            return self._read(node.body, scope, depth) + self._read(node.orelse, scope, depth)
        values = list(self._meant(node, scope)) if depth < 4 else []
        texts = [text for value in values[:MOST] for text in self._read(value, None, depth + 1)]
        return texts or [f"‹{_word(node)}›"]

    def _meant(self, node: ast.expr, scope: _Function | None) -> Iterator[ast.expr]:
        """What a name or a call stands for."""
        if isinstance(node, ast.Name):
            local = [] if scope is None else list(_assigned(node.id, scope))
            yield from local or (self._global(node.id) if node.id.strip("_").isupper() else ())
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from self._global(node.func.id)

    def _global(self, name: str) -> list[ast.expr]:
        """The module's own constant or function, else those of others (it must have imported one)."""
        by_module = self.texts.get(name, {})
        return [by_module[self.module]] if self.module in by_module else list(by_module.values())


def _is_text(node: ast.expr) -> bool:
    """Whether what is filled in is itself a text of the source: a constant's name, or a function that returns one."""
    return (isinstance(node, ast.Name) and node.id.strip("_").isupper()) or (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.strip("_").endswith("hint")
    )


def _word(node: ast.expr) -> str:
    """A word for what is filled in."""
    if isinstance(node, ast.Name):
        return node.id.strip("_")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Subscript):
        return _word(node.value)
    if isinstance(node, ast.Call):
        passes_on = isinstance(node.func, ast.Name) or _called(node) in ("join", "format", "get", "strip", "fromkeys")
        return _word(node.args[0]) if node.args and passes_on else _word(node.func)
    if isinstance(node, (ast.GeneratorExp, ast.ListComp)):
        return _word(node.generators[0].iter)
    return "…"


def _assigned(name: str, scope: _Function) -> Iterator[ast.expr]:
    """What is assigned to a local name, singly or in a tuple."""
    for node in ast.walk(scope):
        if not isinstance(node, ast.Assign):
            continue
        for target in node.targets:
            if isinstance(target, ast.Name) and target.id == name:
                yield node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                for one, value in zip(target.elts, node.value.elts):
                    if isinstance(one, ast.Name) and one.id == name:
                        yield value


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _argument(call: ast.Call, maker: _Maker, name: str) -> ast.expr | None:
    for word in call.keywords:
        if word.arg == name:
            return word.value
    place = maker.parameters.index(name) if name in maker.parameters else len(call.args)
    return call.args[place] if place < len(call.args) else None


def _nearest(makers: list[_Maker], module: str) -> _Maker | None:
    """Of several makers of one name that of the same module, else of the same package; a class is one everywhere."""
    package = module.split(".")[0]
    same: tuple[Callable[[_Maker], bool], ...] = (
        lambda maker: maker.module in ("", module),
        lambda maker: maker.module.split(".")[0] == package,
    )
    return next((maker for test in same for maker in makers if test(maker)), None)


def _makers(files: list[Source]) -> dict[str, list[_Maker]]:
    """Name → what makes an error when it is called by it."""
    kinds = classes(files)
    makers = {name: [_Maker(name, "")] for name in kinds}
    for _ in range(3):  # functions that call functions that make errors
        for file in files:
            for call, scope in file.calls:
                maker = _nearest(makers.get(_called(call), []), file.module)
                message = None if maker is None else _argument(call, maker, maker.message)
                if maker is None or scope is None or not isinstance(message, ast.Name):
                    continue
                names = tuple(one.arg for one in scope.args.args if one.arg != "self")
                known = makers.setdefault(scope.name, [])
                if message.id in names and scope.name != "__init__" and not _nearest(known, file.module):
                    remedy = _argument(call, maker, "remedy")
                    passed = remedy.id if isinstance(remedy, ast.Name) and remedy.id in names else remedy
                    known.append(_Maker(maker.kind, file.module, names, message.id, passed))
    return makers


def errors(files: list[Source]) -> list[Made]:
    """Every error that the source makes, each message once per module."""
    makers, reader = _makers(files), _Reader(files)
    made: dict[Made, None] = {}
    for file in files:
        reader.module = file.module
        for call, scope in file.calls:
            maker = _nearest(makers.get(_called(call), []), file.module)
            message = None if maker is None else _argument(call, maker, maker.message)
            if maker is None or message is None:
                continue
            given = _argument(call, maker, maker.remedy) if isinstance(maker.remedy, str) else maker.remedy
            remedy = "" if given is None else " / ".join(dict.fromkeys(reader.read(given, scope)))
            for text in reader.read(message, scope):
                if re.search(r"\w\w", re.sub(r"‹.*?›", "", text)):  # else it is another's message, passed on
                    made[Made(maker.kind, text, remedy, file.module)] = None
    return list(made)
