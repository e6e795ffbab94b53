"""A Caffe net as a Python file that needs nothing but PyTorch."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from torch import fx, nn

from . import torch_functions
from .blobs import WeightsLike
from .build import NetLike, Shapes, umask
from .torch_module import to_torch

__all__ = ["python_source", "to_python"]

HEADER = '''"""{title}

Written by camcompat from {source}. It needs PyTorch only; weights: `load()` ({weights} beside it, by safetensors) or
`net.load_state_dict(...)`. Children carry the names of the Caffe layers.
"""

import torch
from torch import {imports}

'''

LOADER = '''

def load(path=None):
    """The net with its weights, in eval mode; they lie beside this file unless a path is given."""
    import os

    from safetensors.torch import load_file

    net = {name}()
    net.load_state_dict(load_file(str(path or os.path.join(os.path.dirname(__file__), "{weights}"))))
    return net.eval()
'''


def to_python(
    prototxt: NetLike | None,
    caffemodel: WeightsLike,
    path: str | os.PathLike[str],
    *,
    outputs: Sequence[str] | None = None,
    input_shapes: Shapes = None,
    keep_losses: bool | None = None,
) -> Path:
    """Write a Caffe net as Python source and, beside it, its weights as `.safetensors`.

    Args:
        prototxt, caffemodel, outputs, input_shapes, keep_losses: as for `to_torch`.
        path: the .py file to write; the weights get its name with the suffix .safetensors.

    Raises:
        PrototxtError, WeightsError, ConversionError: with the place and the remedy.

    >>> to_python("deploy.prototxt", "net.caffemodel", "net.py")     # doctest: +SKIP
    PosixPath('net.py')
    """
    module = to_torch(prototxt, caffemodel, outputs=outputs, input_shapes=input_shapes, keep_losses=keep_losses)
    return write_python(module, Path(path), source=str(getattr(prototxt, "source", prototxt or caffemodel)))


def write_python(module: fx.GraphModule, path: Path, *, source: str) -> Path:
    """Write the source and the safetensors of a converted module."""
    weights = path.with_suffix(".safetensors")
    save_weights(module, weights)
    text = python_source(module, source=Path(source).name, weights=weights.name)
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
    return path


def save_weights(module: nn.Module, path: Path) -> Path:
    """The state of a module as safetensors; tensors that layers share are written for each of them."""
    from safetensors.torch import save_file

    state = {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}
    temporary = path.with_name(f".{path.name}.part")
    try:
        save_file(state, str(temporary))
        temporary.chmod(0o666 & ~umask())  # safetensors makes it private
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def python_source(module: fx.GraphModule, *, source: str = "a Caffe net", weights: str = "net.safetensors") -> str:
    """The module as the text of a Python file."""
    name = type(module).__name__
    code = module.graph.python_code("self", verbose=False)
    body = _forward(code.src)
    helpers = [key for key in torch_functions.__all__ if re.search(rf"\b\w*{key}\b", body)]
    helpers += [type(m).__name__ for m in module.children() if type(m).__module__ == torch_functions.__name__]
    for helper in helpers:
        body = re.sub(rf"\bconverters_torch_functions_{helper}\b", helper, body)
    body = re.sub(r"(?<![.\w])device\(", "torch.device(", body)
    lines = [f"class {name}(nn.Module):", "    def __init__(self):", "        super().__init__()"]
    lines += [f"        {line}" for line in _children(module)]
    blocks = [inspect.getsource(getattr(torch_functions, helper)) for helper in dict.fromkeys(helpers)]
    if re.search(r"\binf\b", body):
        blocks.insert(0, 'inf = float("inf")\n')
    imports = "Tensor, nn" if any("Tensor" in block for block in blocks) else "nn"
    text = HEADER.format(title=f"{name}: a Caffe net in PyTorch.", source=source, weights=weights, imports=imports)
    text += "".join(f"\n{block}\n" for block in blocks)
    return text + "\n" + "\n".join(lines) + "\n\n" + body + "\n" + LOADER.format(name=name, weights=weights)


def _forward(source: str) -> str:
    """fx's forward without the `; x = None` that frees memory early, indented as a method."""
    text = re.sub(r";\s+[\w = ]+= None\b.*$", "", source.strip(), flags=re.MULTILINE)
    return "\n".join(f"    {line}" if line.strip() else "" for line in text.splitlines())


def _children(module: fx.GraphModule) -> Iterator[str]:
    first: dict[int, str] = {}
    for path, child in module.named_children():
        yield f"self.{path} = {_constructor(child)}"
        for name, parameter in child.named_parameters(recurse=False):
            if type(child) is nn.Module:
                yield f'self.{path}.register_parameter("{name}", nn.Parameter(torch.empty({list(parameter.shape)})))'
            if id(parameter) in first:
                yield f"self.{path}.{name} = self.{first[id(parameter)]}"
            first.setdefault(id(parameter), f"{path}.{name}")
        for name, buffer in child.named_buffers(recurse=False) if type(child) is nn.Module else ():
            yield f'self.{path}.register_buffer("{name}", torch.empty({list(buffer.shape)}, dtype={buffer.dtype}))'
    if not any(True for _ in module.children()):
        yield "pass"


def _constructor(child: nn.Module) -> str:
    """The expression that makes an equal module: torch's repr, but for what it leaves out or adds by release."""
    if type(child) is nn.Module:
        return "nn.Module()"
    if isinstance(child, (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)):
        shape = f"{child.kernel_size}, {child.stride}, {child.padding}, ceil_mode={child.ceil_mode}"
        return f"nn.{type(child).__name__}({shape})"
    if isinstance(child, nn.modules.batchnorm._BatchNorm):
        return f"nn.{type(child).__name__}({child.num_features}, eps={child.eps}, affine=False)"
    prefix = "" if type(child).__module__ == torch_functions.__name__ else "nn."
    return f"{prefix}{child!r}"
