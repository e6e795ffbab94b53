"""The source of one net: which classes it has, where each layer is in it, and its text."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from torch import fx, nn

from converters.torch_backend import functions
from converters.torch_backend.names import about, class_name, identifier
from converters.torch_backend.source.blocks import BlockClass, block_class, token
from converters.torch_backend.source.constructors import constructor
from converters.torch_backend.source.forward import Block, Body, body
from converters.torch_backend.source.layout import call, docstring, items, text
from converters.torch_backend.source.repeats import find_repeats

__all__ = ["NetSource"]

_IMPORTED = {"torch", "nn", "Tensor", "Path", "self", "load", "float", "dict", "str", "super", "__file__"}


class NetSource:
    """A converted net as source.

    Attributes:
        module: the net.
        name: of its class.
        paths: child of the module → the same in the source: `inception_3a_1x1` → `inception_3a.conv_1x1`.
    """

    def __init__(self, module: fx.GraphModule) -> None:
        self.module = module
        self.nodes = [node for node in module.graph.nodes if node.op.startswith("call_")]
        self.modules = dict(module.named_children())
        self.name = class_name(str(about(module).get("name", type(module).__name__)))
        taken = {self.name, *_IMPORTED, *functions.__all__}
        self.classes = self._classes(taken)
        self.reserved = frozenset(taken)
        self.blocks: dict[fx.Node, tuple[Block, BlockClass, int]] = {}
        moved = {child for each in self.classes for i in range(len(each.runs)) for child in each.moved(i, "")}
        used = set(self.modules) - moved
        self.paths = {path: path for path in self.modules}
        for each in self.classes:
            names = [_instance(title, used) for title in each.titles]
            for i, block in enumerate(each.blocks(names)):
                self.blocks[block.nodes[0]] = (block, each, i)
                self.paths.update(each.moved(i, names[i]))

    def _classes(self, taken: set[str]) -> list[BlockClass]:
        tied = _tied(self.modules)
        tokens = [token(node, self.modules, tied) for node in self.nodes]
        merges = [node.op != "call_module" and len(set(node.all_input_nodes)) > 1 for node in self.nodes]
        groups = find_repeats(self.nodes, tokens, merges)
        groups.sort(key=lambda runs: runs[0].start)
        made = (block_class(runs, self.nodes, self.modules, identifier, taken) for runs in groups)
        return [each for each in made if each is not None]

    # Keys of the state.

    def key(self, key: str) -> str:
        """A key of the module's state → the same in the source's."""
        child, _, rest = key.partition(".")
        return f"{self.paths.get(child, child)}.{rest}" if rest else key

    def layers(self) -> dict[str, str]:
        """Caffe layer → where its module is in the source."""
        names: dict[str, str] = about(self.module).get("layers", {})
        return {layer: self.paths[child] for layer, child in names.items() if child in self.modules}

    def inputs(self) -> list[tuple[str, tuple[object, ...]]]:
        """The arguments of forward and their shapes, symbols by name."""
        found = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        return [(_variable(node.name), tuple(node.meta.get("shape", ()))) for node in found]

    # Text.

    def helpers(self) -> list[str]:
        """The functions and classes that the source needs of `torch_backend.functions`, in their order there."""
        used = {type(module).__name__ for module in self.modules.values() if _is_helper(module)}
        used |= {node.target.__name__ for node in self.nodes if getattr(node.target, "__module__", "") == _HELPERS}
        return [name for name in _in_order() if name in used]

    def text(self, paragraphs: Sequence[str]) -> str:
        """The file: a docstring of these paragraphs, the classes, and `load` for the weights beside it."""
        parts = [inspect.getsource(getattr(functions, name)).rstrip() for name in self.helpers()]
        parts += ["\n".join(each.lines) for each in self.classes]
        parts += ["\n".join(self._class()), "\n".join(_loader(self.name))]
        imports = ["", "from pathlib import Path", "", "import torch", "from torch import Tensor, nn"]
        code = "\n\n\n".join(parts)
        if not re.search(r"\btorch\.", code):
            imports.remove("import torch")
        return "\n".join([*docstring(paragraphs), *imports]) + "\n\n\n" + code + "\n"

    def _class(self) -> list[str]:
        lines = [f"class {self.name}(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
        made: set[fx.Node] = set()
        for node in self.nodes:
            if node in made:
                continue
            if node in self.blocks:
                block, each, i = self.blocks[node]
                made |= set(block.nodes)
                lines += call(f"self.{block.path} = {each.name}", each.making(i), 8)
            elif node.op == "call_module":
                path = str(node.target)
                how = constructor(self.modules[path])
                lines += call(f"self.{path} = {how.name}", how.arguments(), 8)
        lines += _tensors(self.modules)
        placeholders = [node for node in self.module.graph.nodes if node.op == "placeholder"]
        inputs = {node: _variable(node.name) for node in placeholders}
        results, returned, kind = self._returned()
        signature = ["self", *(f"{name}: Tensor" for name in inputs.values())]
        lines += ["", *items("def forward(", signature, f") -> {kind}:", 4)]
        blocks = {first: block for first, (block, _, _) in self.blocks.items()}
        reads = {node: f"self.{node.target}" for node in self.module.graph.nodes if node.op == "get_attr"}
        source = Body(
            self.nodes,
            {**inputs, **reads},
            results,
            lambda path: path,
            self.modules,
            lambda node: _variable(node.name),
            blocks,
            reserved=self.reserved,
            returned=returned,
        )
        return lines + body(source)

    def _returned(self) -> tuple[list[fx.Node], Callable[[Callable[[fx.Node], str]], list[str]] | None, str]:
        """The values returned, how they are written (None: one alone), and the type."""
        value = next(node for node in self.module.graph.nodes if node.op == "output").args[0]
        if isinstance(value, fx.Node):
            return [value], None, "Tensor"
        assert isinstance(value, dict)
        found: dict[str, fx.Node] = {str(name): node for name, node in value.items() if isinstance(node, fx.Node)}

        def returned(read: Callable[[fx.Node], str]) -> list[str]:
            return items("return {", [f"{text(name)}: {read(node)}" for name, node in found.items()], "}", 8)

        return list(found.values()), returned, "dict[str, Tensor]"


_HELPERS = functions.__name__


def _instance(title: str, used: set[str]) -> str:
    """The attribute of an instance of a block."""
    name = identifier(title.strip("/_-. ") or "block")
    while name in used:
        name += "_block"
    used.add(name)
    return name


def _is_helper(module: nn.Module) -> bool:
    return type(module).__module__ == _HELPERS


def _in_order() -> list[str]:
    lines = {name: inspect.getsourcelines(getattr(functions, name))[1] for name in functions.__all__}
    return sorted(lines, key=lines.__getitem__)


def _variable(name: str) -> str:
    return f"{name}_" if name in ("l", "O", "I") else name  # which look like numbers


def _tied(modules: Mapping[str, nn.Module]) -> set[str]:
    """Children that share a parameter with another."""
    owners = [(id(parameter), path) for path, module in modules.items() for parameter in module.parameters()]
    count = Counter(identity for identity, _ in owners)
    return {path for identity, path in owners if count[identity] > 1}


def _tensors(modules: Mapping[str, nn.Module]) -> Iterator[str]:
    """The children that only hold tensors, and the parameters that layers share."""
    first: dict[int, str] = {}
    for path, child in modules.items():
        plain = type(child) is nn.Module
        if plain:
            yield f"        self.{path} = nn.Module()"
        for name, parameter in child.named_parameters(recurse=False):
            if id(parameter) in first:
                yield f"        self.{path}.{name} = self.{first[id(parameter)]}"
            elif plain:
                yield from call(f"        self.{path}.{name} = nn.Parameter", [f"torch.empty({_shape(parameter)})"], 0)
            first.setdefault(id(parameter), f"{path}.{name}")
        for name, buffer in child.named_buffers(recurse=False) if plain else ():
            kind = "" if str(buffer.dtype) == "torch.float32" else f", dtype={buffer.dtype}"
            arguments = [f'"{name}"', f"torch.empty({_shape(buffer)}{kind})"]
            yield from call(f"self.{path}.register_buffer", arguments, 8)


def _shape(tensor: object) -> str:
    shape = list(getattr(tensor, "shape", ()))
    return ", ".join(map(str, shape)) if shape else "()"


def _loader(name: str) -> list[str]:
    return [
        *items("def load(", ["path: str | Path | None = None"], f") -> {name}:", 0),
        '    """The net in eval mode, its weights from the .safetensors beside this file."""',
        "    from safetensors.torch import load_file",
        "",
        f"    net = {name}()",
        '    path = path or Path(__file__).with_suffix(".safetensors")',
        "    net.load_state_dict(load_file(path))",
        "    return net.eval()",
    ]
