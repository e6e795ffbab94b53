"""The `camcompat` command: a thin shell over the library."""

from __future__ import annotations

import codecs
import io
import sys
import warnings
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import click

from camcompat import commands
from prototxt.errors import CamcompatError, printable

__all__ = ["main"]

EXTRAS = {"onnx": "onnx", "google": "onnx", "torch": "torch", "safetensors": "torch", "h5py": "hdf5"}
COMMAND_FILES = tuple(module.name for module in iter_modules(commands.__path__))


class Shell(click.Group):
    """Finds each command in its own file, and turns errors that a user can cause into one line and exit status 1.

    A traceback only with --debug.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every module of `camcompat.commands` that has a ``command``, in the ORDER that it states."""
        modules = {name: import_module(f"{commands.__name__}.{name}") for name in COMMAND_FILES}
        return sorted(
            (name for name, module in modules.items() if hasattr(module, "command")),
            key=lambda name: modules[name].ORDER,
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMAND_FILES:
            return None
        return getattr(import_module(f"{commands.__name__}.{cmd_name}"), "command", None)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CamcompatError as error:
            _fail(ctx, str(error), error)
        except ImportError as error:
            if error.name is None or error.name.split(".")[0] in {"camcompat", "converters", "prototxt", "weights"}:
                raise
            extra = EXTRAS.get(error.name.split(".")[0], "all")
            _fail(ctx, f'this needs the package {error.name}; pip install "camcompat[{extra}]"', error)
        except KeyboardInterrupt as error:
            _fail(ctx, "interrupted; nothing half-made is left, and an unfinished download will be resumed", error, 130)
        except BrokenPipeError:  # who read the output has seen enough (`| head`): click ends without a word
            raise
        except (OSError, MemoryError) as error:
            _fail(ctx, f"{type(error).__name__}: {error}", error)


def _fail(ctx: click.Context, text: str, error: BaseException, status: int = 1) -> None:
    if ctx.params.get("debug"):
        raise error
    click.echo(f"camcompat: {printable(text)}", err=True)
    sys.exit(status)


def _print_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata  # which takes as long to load as all the rest

    try:
        version = metadata.version("camcompat")
    except metadata.PackageNotFoundError:
        version = "(not installed: run from the source tree)"
    click.echo(f"camcompat, version {version}")
    ctx.exit()


@click.group(cls=Shell, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.option("--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version,
              help="Show the version and exit.")  # fmt: skip
def main(debug: bool) -> None:
    """Original Caffe networks as ONNX and PyTorch, and class activation maps on them with onnxruntime."""
    warnings.showwarning = _note
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files may be any bytes: what cannot be encoded is escaped
            encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding  # as click has it
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _note(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
    for note in getattr(message, "notes", (message,)):
        click.echo(f"note: {printable(str(note))}", err=True)
