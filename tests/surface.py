"""What users have in their scripts: public names and their parameters, commands and their options, what files say.

`python -m tests.surface` writes `data/surface.json` anew. Do so when something was added; `test_surface.py` fails
while something is gone.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

import camcompat
from camcompat.cli import main
from weights.models import find

RECORDED = Path(__file__).parent / "data" / "surface.json"
FACES = (
    "prototxt", "weights", "converters", "camcompat", "camcompat.benchmark", "camcompat.boxes", "camcompat.evaluation",
    "camcompat.pycaffe", "camcompat.verification",
)  # fmt: skip


def surface() -> dict[str, list[str]]:
    """Lines that may only become more."""
    return {"names": sorted({*_names()}), "commands": sorted({*_commands()}), "metadata": sorted({*_metadata()})}


def _names() -> Iterator[str]:
    for face in FACES:
        module = import_module(face)
        for name in module.__all__:
            value = getattr(module, name)
            yield from _parameters(f"{face}.{name}", value)
            for member, held in _members(value) if inspect.isclass(value) else ():
                yield from _parameters(f"{face}.{name}.{member}", held)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """Public methods, properties and fields that the class has from us, not from torch or click."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] in FACES:
            yield from ((name, held) for name, held in vars(base).items() if not name.startswith("_"))
            yield from ((name, None) for name in vars(base).get("__dataclass_fields__", ()) if not name.startswith("_"))


def _parameters(path: str, value: Any) -> Iterator[str]:
    yield path
    try:
        parameters = inspect.signature(value).parameters if callable(value) else {}
    except (TypeError, ValueError):
        return
    for name, parameter in parameters.items():
        if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and name != "self":
            yield f"{path}({name})"


def _commands() -> Iterator[str]:
    for name in main.list_commands(click.Context(main)):
        command = main.get_command(click.Context(main), name)
        assert command is not None
        yield name
        for parameter in command.get_params(click.Context(command)):
            if isinstance(parameter, click.Option) and "--help" not in parameter.opts:
                yield from (f"{name} {flag}" for flag in (*parameter.opts, *parameter.secondary_opts))
                for choice in getattr(parameter.type, "choices", ()):
                    yield f"{name} {parameter.opts[-1]} {choice}"


def _metadata() -> Iterator[str]:
    with TemporaryDirectory() as folder:
        model = find("shapes-cam")
        made = camcompat.convert(model.path("prototxt"), model.path("caffemodel"), folder, winograd=True)
        for artefact in made:
            yield f"{artefact.what}: {artefact.path.suffix}"
        said = camcompat.load(next(a.path for a in made if a.path.suffix == ".onnx")).metadata
        yield from _keys(said)


def _keys(entry: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key, value in entry.items():
        yield f"{path}{key}"
        if isinstance(value, Mapping) and key != "fused":
            yield from _keys(value, f"{path}{key}.")


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(surface(), indent=1) + "\n")
