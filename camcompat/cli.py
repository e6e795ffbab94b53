"""The `camcompat` command: a thin shell over the library."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module, metadata
from typing import Any

import click

from prototxt.errors import CamcompatError, printable

__all__ = ["main"]

EXTRAS = {"onnx": "onnx", "google": "onnx", "torch": "torch", "safetensors": "torch", "h5py": "hdf5"}

COMMANDS = {
    "list": "list_models",
    "download": "download",
    "convert": "convert",
    "inspect": "inspect",
    "cam": "cam",
    "boxes": "boxes",
    "evaluate": "evaluate",
    "verify": "verify",
    "bench": "bench",
    "run": "run",
}
"""Each command and its file in `camcompat/commands`, in the order of --help."""


class Shell(click.Group):
    """Finds each command in its own file, and turns errors that a user can cause into one line and exit status 1.

    A traceback only with --debug.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"camcompat.commands.{COMMANDS[cmd_name]}").command
        return command

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
            _fail(ctx, "interrupted; nothing half-made is left, and an unfinished download is gone on with", error, 130)
        except BrokenPipeError:  # who read the output has seen enough (`| head`): click ends without a word
            raise
        except (OSError, MemoryError) as error:
            _fail(ctx, f"{type(error).__name__}: {error}", error)


def _fail(ctx: click.Context, text: str, error: BaseException, status: int = 1) -> None:
    if ctx.params.get("debug"):
        raise error
    click.echo(f"camcompat: {printable(text)}", err=True)
    sys.exit(status)


def _version() -> str:
    try:
        return metadata.version("camcompat")
    except metadata.PackageNotFoundError:
        return "(not installed: run from the source tree)"


@click.group(cls=Shell, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(_version(), prog_name="camcompat")
def main(debug: bool) -> None:
    """Original Caffe networks as ONNX and PyTorch, and class activation maps on them with onnxruntime."""
    warnings.showwarning = _note


def _note(message: Warning | str, category: type[Warning], *args: Any, **kwargs: Any) -> None:
    for note in getattr(message, "notes", (message,)):
        click.echo(f"note: {printable(str(note))}", err=True)
