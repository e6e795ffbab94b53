"""`camcompat run`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from camcompat.commands.options import plugin_option

ORDER = 10


@click.command("run", context_settings={"allow_interspersed_args": False, "ignore_unknown_options": True})
@click.option("--backend", type=click.Choice(["torch", "onnx"]), help="What computes [torch, where it is installed].")
@plugin_option
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(script: str, arguments: Sequence[str], backend: str | None, plugin: Any) -> None:
    """Run a pycaffe script without Caffe.

    `import caffe` in SCRIPT finds camcompat.pycaffe; everything else is as `python SCRIPT ARGUMENTS…` has it.
    docs/pycaffe.md says what is offered.
    """
    from camcompat.pycaffe import set_backend
    from camcompat.pycaffe.provide import provided, run_script

    set_backend(backend or "")
    with provided():
        try:
            run_script(script, arguments)
        except Exception as error:  # as python does it: the traceback of the script, and status 1
            _print_traceback(error, script)
            sys.exit(1)


def _print_traceback(error: Exception, script: str) -> None:
    """Python's own traceback, without the frames that ran the script."""
    import traceback

    here = error.__traceback__
    while here is not None and here.tb_frame.f_code.co_filename != script:
        here = here.tb_next
    traceback.print_exception(type(error), error, here or error.__traceback__)
