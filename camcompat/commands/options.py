"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Sequence

import click

__all__ = [
    "cam_option",
    "crops_option",
    "keep_going_option",
    "losses_option",
    "named",
    "plugin_option",
    "provider_option",
    "shape_option",
]


def _shape(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for value in values:
        name, _, dims = value.rpartition("=")
        try:
            shapes[name] = tuple(int(dim) for dim in dims.replace("x", ",").split(","))
        except ValueError:
            shapes[name] = ()
        if not name or min(shapes[name], default=0) < 1:
            raise click.BadParameter(f"{value!r} is not of the form NAME=1,3,224,224")
    return shapes


def _plugins(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    for value in values:
        from converters.lowering.plugin import load_plugin  # which loads every layer, and protobuf

        load_plugin(value)
    return values


def _crops(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    return int(value) if value in ("1", "10") else value


crops_option = click.option(
    "--crops", type=click.Choice(["1", "10", "dense"]), callback=_crops,
    help="Crops of a picture; dense: of a file of `convert --dense`.  [plain: 1, matlab: 10]",
)  # fmt: skip
shape_option = click.option(
    "--input-shape", "input_shapes", multiple=True, callback=_shape, metavar="NAME=N,C,H,W",
    help="Another input size than the prototxt declares (repeatable).",
)  # fmt: skip
plugin_option = click.option(
    "--plugin", multiple=True, callback=_plugins, is_eager=True, metavar="FILE",
    help="A Python file that registers layers of your own (repeatable).",
)  # fmt: skip
losses_option = click.option(
    "--keep-losses/--drop-losses", default=None,
    help="Keep losses, metrics and labels, or turn them into scores [the latter for training definitions].",
)  # fmt: skip
keep_going_option = click.option(
    "--keep-going", is_flag=True, help="Report what fails in the final table and exit with 0."
)
provider_option = click.option(
    "--provider", "providers", multiple=True, metavar="NAME",
    help="What onnxruntime computes on, as `cuda` (repeatable, in falling preference).  [cpu]",
)  # fmt: skip
cam_option = click.option("--cam-models", is_flag=True, help="The five published CAM models and the embedded one.")


def named(names: Sequence[str], cam_models: bool, verb: str) -> tuple[str, ...]:
    """The models that a command is about: those named, and with --cam-models the CAM models."""
    from weights.models import tagged

    chosen = (*names, *(tagged("cam-models") if cam_models else ()))
    if not chosen:
        raise click.UsageError(f"name what to {verb}, or give --cam-models; `camcompat list` shows the names")
    return chosen
