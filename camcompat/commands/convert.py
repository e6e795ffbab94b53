"""`camcompat convert`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from camcompat.commands.options import cam_option, keep_going_option, losses_option, named, plugin_option, shape_option
from prototxt.errors import CamcompatError

ORDER = 3


@click.command("convert")
@click.argument("sources", nargs=-1, metavar="(NAME... | [PROTOTXT] CAFFEMODEL)")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results [the model's own, or .]; or a .onnx file.",
)
@click.option("--name", help="The files' name [the caffemodel's].")
@click.option(
    "--format",
    "--to",
    "formats",
    multiple=True,
    type=click.Choice(["onnx", "torch", "python"]),
    help="Default: onnx and torch, which is python: source and weights (repeatable).",
)
@click.option("--output", "outputs", multiple=True, metavar="BLOB", help="Return these blobs instead (repeatable).")
@click.option("--cam/--no-cam", default=None, help="Class activation maps in the ONNX file [where there is a head].")
@click.option("--top-k", default=5, show_default=True, help="Default number of maps.")
@click.option("--labels", type=click.Path(path_type=str), metavar="FILE", help="Class names, a line each.")
@click.option("--mean", metavar="B,G,R|FILE", help="What is subtracted from pictures: numbers, or a mean file.")
@click.option("--resize", metavar="S|HxW", help="Of pictures before the crop: the shorter side, both sides, or none.")
@click.option("--scale", type=float, help="Factor of the pixels after the mean is subtracted.")
@click.option("--channels", type=click.Choice(["BGR", "RGB", "GRAY"]), help="Of the network's input.  [BGR]")
@click.option("--fold/--no-fold", default=True, help="BatchNorm, Scale, … in the layer before them (ONNX) [yes].")
@click.option(
    "--winograd/--no-winograd", default=None, help="Large convolutions in onnxruntime's fastest form [with CAM]."
)
@click.option("--portable", is_flag=True, help="An ONNX file for other runtimes, as OpenCV 5: plain float32, no maps.")
@click.option("--dtype", default="float32", type=click.Choice(["float32", "fp16", "int8"]), help="Of the ONNX file.")
@click.option("--calibrate", type=click.Path(path_type=Path), metavar="FOLDER", help="Pictures, for int8.")
@click.option("--dense", is_flag=True, help="Also NAME-dense.onnx, for `cam --crops dense`.")
@losses_option
@shape_option
@plugin_option
@cam_option
@keep_going_option
def command(sources: Sequence[str], out: Path | None, cam_models: bool, keep_going: bool, **options: Any) -> None:
    """Convert to ONNX and PyTorch, and prove it.

    Before a file reaches its name, onnxruntime, torch and a NumPy evaluation must agree on a random input.

    --labels, --mean, --resize, --scale and --channels go into the ONNX file, which then needs nothing else to map
    pictures. Models of the catalogue have them already.
    """
    from camcompat.conversion.converter import FORMATS, as_files, convert
    from camcompat.conversion.metadata import metadata_of

    options.pop("plugin")
    said = metadata_of(**{key: options.pop(key) for key in ("labels", "mean", "resize", "scale", "channels")})
    options["metadata"] = said or None
    options["outputs"] = options["outputs"] or None
    if out is not None and out.suffix == ".onnx":
        out, options["name"], options["formats"] = out.parent, out.stem, ("onnx",)
    default = FORMATS if options["dtype"] == "float32" and not options["portable"] else ("onnx",)
    options["formats"] = ["torch" if each == "python" else each for each in options["formats"] or default]
    options = {key: value for key, value in options.items() if key != "name" or value is not None}
    prototxt, caffemodel = as_files(sources) or (None, None)
    jobs: list[Callable[[], Any]] = []
    if prototxt is None and caffemodel is None:
        jobs += [partial(_convert_name, name, out, options) for name in named(sources, cam_models, "convert")]
    elif caffemodel is None:
        raise CamcompatError("the weights are missing", where=prototxt or "", remedy="give the caffemodel as well")
    else:
        jobs.append(partial(convert, prototxt, caffemodel, out or ".", **options))
    failed = 0
    for job in jobs:
        try:
            for artefact in job():
                click.echo(f"{artefact.path}  {artefact.size / 1e6:.1f} MB  {artefact.what}  ({artefact.proof})")
        except CamcompatError as error:
            if len(jobs) == 1 and not keep_going:
                raise
            failed += 1
            click.echo(f"{error}", err=True)
    if len(jobs) > 1:
        click.echo(f"{len(jobs) - failed} of {len(jobs)} models are converted")
    if failed and not keep_going:
        sys.exit(1)


def _convert_name(name: str, out: Path | None, options: dict[str, Any]) -> Any:
    from camcompat.conversion.converter import convert_model
    from weights.models import find

    return convert_model(find(name), out, **options)
