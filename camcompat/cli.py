"""The `camcompat` command: a thin shell over the library."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from prototxt.errors import CamcompatError

__all__ = ["main"]

CAM_MODELS = (
    "googlenet-cam-imagenet",
    "vgg16-cam-imagenet",
    "googlenet-cam-places205",
    "alexnetplus-cam-imagenet",
    "alexnetplus-cam-places205",
    "shapes-cam",
)


EXTRAS = {"onnx": "onnx", "google": "onnx", "torch": "torch", "safetensors": "torch", "h5py": "hdf5"}


class Shell(click.Group):
    """Turns errors that a user can cause into one line and exit status 1; a traceback only with --debug."""

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
        except (OSError, MemoryError) as error:
            _fail(ctx, f"{type(error).__name__}: {error}", error)


def _fail(ctx: click.Context, text: str, error: BaseException) -> None:
    if ctx.params.get("debug"):
        raise error
    click.echo(f"camcompat: {text}", err=True)
    sys.exit(1)


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
    click.echo(f"note: {message}", err=True)


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
    from converters.plugin import load_plugin

    for value in values:
        load_plugin(value)
    return values


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
cam_option = click.option("--cam-models", is_flag=True, help="The five published CAM models and the embedded one.")


def _named(names: Sequence[str], cam_models: bool, verb: str) -> tuple[str, ...]:
    chosen = (*names, *(CAM_MODELS if cam_models else ()))
    if not chosen:
        raise click.UsageError(f"name what to {verb}, or give --cam-models; `camcompat list` shows the names")
    return chosen


@main.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def list_(as_json: bool) -> None:
    """List the models that are known."""
    from camcompat.tables import print_catalogue

    print_catalogue(as_json)


@main.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@cam_option
@keep_going_option
@click.option("--force", is_flag=True, help="Fetch again what is there.")
@click.option("--offline", is_flag=True, help="Only check what is there.")
def download(names: Sequence[str], cam_models: bool, keep_going: bool, force: bool, offline: bool) -> None:
    """Fetch and verify models.

    Exit status 1 if one cannot be had. Files that were put in place by hand are verified the same way.
    """
    from camcompat.conversion import check_structure
    from camcompat.tables import print_outcomes
    from weights.catalog import find
    from weights.download import download_all

    def check(path: Path) -> None:
        check_structure(path, find(path.parent.name))

    outcomes = download_all(_named(names, cam_models, "download"), force=force, offline=offline, check=check)
    print_outcomes(outcomes)
    if not keep_going and not all(outcome.ok for outcome in outcomes):
        sys.exit(1)


@main.command()
@click.argument("sources", nargs=-1, metavar="(NAME... | [PROTOTXT] CAFFEMODEL)")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for the results [the model's own, or .]; or a .onnx file.",
)
@click.option("--name", help="The files' name [the caffemodel's].")
@click.option(
    "--format", "formats", multiple=True, type=click.Choice(["onnx", "torch"]), help="Default: both (repeatable)."
)
@click.option("--output", "outputs", multiple=True, metavar="BLOB", help="Return these blobs instead (repeatable).")
@click.option("--cam/--no-cam", default=None, help="Class activation maps in the ONNX file [where there is a head].")
@click.option("--top-k", default=5, show_default=True, help="Default number of maps.")
@losses_option
@shape_option
@plugin_option
@cam_option
@keep_going_option
def convert(sources: Sequence[str], out: Path | None, cam_models: bool, keep_going: bool, **options: Any) -> None:
    """Convert to ONNX and PyTorch, and prove it.

    Before a file reaches its name, onnxruntime, torch and a NumPy evaluation must agree on a random input.
    """
    from camcompat.conversion import FORMATS, convert
    from camcompat.sources import as_files
    from camcompat.tables import artefact_line

    options.pop("plugin")
    options["outputs"] = options["outputs"] or None
    if out is not None and out.suffix == ".onnx":
        out, options["name"], options["formats"] = out.parent, out.stem, ("onnx",)
    options["formats"] = options["formats"] or FORMATS
    options = {key: value for key, value in options.items() if key != "name" or value is not None}
    prototxt, caffemodel = as_files(sources) or (None, None)
    jobs: list[Callable[[], Any]] = []
    if prototxt is None and caffemodel is None:
        jobs += [partial(_convert_name, name, out, options) for name in _named(sources, cam_models, "convert")]
    elif caffemodel is None:
        raise CamcompatError("the weights are missing", where=prototxt or "", remedy="give the caffemodel as well")
    else:
        jobs.append(partial(convert, prototxt, caffemodel, out or ".", **options))
    failed = 0
    for job in jobs:
        try:
            for artefact in job():
                click.echo(artefact_line(artefact))
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
    from camcompat.conversion import convert_model
    from weights.catalog import find

    return convert_model(find(name), out, **options)


@main.command()
@click.argument("sources", nargs=-1, metavar="(NAME | PROTOTXT [CAFFEMODEL] | CAFFEMODEL)", required=True)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@losses_option
@shape_option
@plugin_option
def inspect(sources: Sequence[str], as_json: bool, plugin: Any, **options: Any) -> None:
    """List layers, shapes and costs.

    Also what is not supported, where the CAM head is, and why the batch axis is fixed if it is.
    """
    from camcompat.inspection import inspect
    from camcompat.sources import as_files
    from camcompat.tables import print_inspection
    from weights.catalog import find

    files: tuple[str | Path | None, str | Path | None] | None = as_files(sources)
    if files is None:
        if len(sources) > 1:
            raise click.UsageError("give one model's name, or the files of one net")
        model = find(sources[0])
        files = (model.path("prototxt"), model.path("caffemodel") if model.present("caffemodel") else None)
    print_inspection(inspect(*files, **options), as_json)


@main.command()
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", default=5, show_default=True, help="How many classes.")
@click.option("--class", "classes", multiple=True, help="Maps of this class instead, by label or index (repeatable).")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Picture, or folder for pictures [IMAGE-cam.png].")
def cam(model: str, images: Sequence[Path], top: int, classes: Sequence[str], out: Path | None) -> None:
    """Map pictures: scores and overlays.

    MODEL is a name of the catalogue or a converted .onnx file.
    """
    import camcompat
    from camcompat.tables import print_result

    network = camcompat.load(model)
    wanted = [int(entry) if entry.isdigit() else entry for entry in classes] or None
    for image, target in _pictures(images, out):
        result = network(image, top=top, classes=wanted)
        result.save(target)
        print_result(image, result, target)


def _pictures(images: Sequence[Path], out: Path | None) -> list[tuple[Path, Path]]:
    """Where each image's picture goes; refused before any is written if two would get one name."""
    folder = out or Path()
    if out is not None and len(images) == 1 and out.suffix and not out.is_dir():
        return [(images[0], out)]
    if folder.suffix and not folder.is_dir():
        raise CamcompatError(f"{len(images)} pictures do not go into one file", where=str(out), remedy="name a folder")
    targets: dict[Path, Path] = {}
    for image in images:
        target = folder / f"{image.stem}-cam.png"
        if target in targets:
            remedy = "map them in two runs, with a folder each"
            raise CamcompatError(f"{targets[target]} and {image} would both go there", where=str(target), remedy=remedy)
        targets[target] = image
    folder.mkdir(parents=True, exist_ok=True)
    return [(image, target) for target, image in targets.items()]
