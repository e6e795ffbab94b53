"""`camcompat cam`."""

from __future__ import annotations

import csv
import glob
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from camcompat.commands.options import (
    Command,
    boxes_option,
    crops_option,
    pipeline_option,
    provider_option,
    worker_options,
)
from prototxt.errors import CamcompatError, printable

if TYPE_CHECKING:
    from camcompat.cam.model import Model
    from camcompat.cam.result import Result

ORDER = 5
CSV_HEADER = "picture,rank,class,label,score,boxes"


@click.command("cam", cls=Command)
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", default=5, show_default=True, help="How many classes.")
@click.option("--class", "classes", multiple=True, help="Maps of this class instead, by label or index (repeatable).")
@pipeline_option()
@crops_option
@boxes_option()
@click.option("--border", type=click.Choice(["mirror", "clamp"]),
              help="Beyond the edge, for matlab's resampling: MATLAB today, or of old.  [mirror]")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path),
              help="Picture, or folder for pictures.  [IMAGE-cam.png; of folders: MODEL-cam/]")  # fmt: skip
@click.option("--no-pictures", is_flag=True, help="Draw nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line per picture.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line per class; boxes are `x y width height;…`.")
@worker_options("Of a folder: ")
@click.option("--maps", is_flag=True, help="Of a folder: write the maps as arrays too (NAME-maps.npz).")
@click.option("--force", is_flag=True, help="Of a folder: begin anew instead of going on.")
@provider_option
@click.option("--keep-going", is_flag=True, help="Exit with 0 even if a picture cannot be mapped.")
def command(
    model: str,
    images: Sequence[Path],
    classes: Sequence[str],
    providers: Sequence[str],
    keep_going: bool,
    **options: Any,
) -> None:
    """Map pictures: scores, overlays, boxes.

    MODEL is a name of the catalogue or a converted .onnx file.

    IMAGES are files, printed one by one; or folders and 'patterns/**/*.jpg', whose results go into one folder
    with a list of all of them. Such a job goes on where it stopped, if it is run again. A picture that cannot be
    mapped is reported and does not stop the others; the exit status is then 1.
    """
    if options["as_json"] and options["as_csv"]:
        raise click.UsageError("choose --json or --csv")
    call = {key: options.pop(key) for key in ("top", "pipeline", "crops", "boxes", "border")}
    call["classes"] = [int(entry) if entry.isdigit() else entry for entry in classes] or None
    job = {key: options.pop(key) for key in ("workers", "engine", "maps", "force")}
    several = any(image.is_dir() or (glob.has_magic(str(image)) and not image.exists()) for image in images)
    if several or job != {"workers": 1, "engine": "local", "maps": False, "force": False}:
        failed = _many(model, images, {**job, **call, "providers": providers or None}, _Results(**options))
    else:
        failed = _each(model, images, providers or None, call, _Results(**options))
    if failed and not keep_going:
        sys.exit(1)


@dataclass(frozen=True)
class _Results:
    """What becomes of the results, as the options of the command say it."""

    out: Path | None
    no_pictures: bool
    as_json: bool
    as_csv: bool


def _many(model: str, images: Sequence[Path], options: dict[str, Any], wanted: _Results) -> int:
    """Folders and patterns: a job; how many pictures failed."""
    from camcompat.jobs.mapping import map_pictures

    folder = wanted.out or Path(f"{Path(model).stem}-cam")
    done = map_pictures(model, images, folder, draw=not wanted.no_pictures, progress=True, **options)
    if wanted.as_json:
        click.echo(done.results.read_text(encoding="utf-8").partition("\n")[2], nl=False)
    elif wanted.as_csv:
        click.echo(done.results.with_suffix(".csv").read_text(encoding="utf-8"), nl=False)
    else:
        before = f", {done.before} were mapped before" if done.before else ""
        bad = f", {len(done.bad)} could not be" if done.bad else ""
        click.echo(f"{done.mapped} pictures are mapped{before}{bad}: {done.results}")
    return len(done.bad)


def _each(
    model: str, images: Sequence[Path], providers: Sequence[str] | None, options: dict[str, Any], wanted: _Results
) -> int:
    """Files: one by one; how many failed."""
    from camcompat.loading import load
    from weights.atomic import make_folder

    network = load(model, providers=providers)
    network.stream([], **options)  # a wrong option is said once, before any picture
    targets = [None] * len(images) if wanted.no_pictures else _targets(images, wanted.out)
    if wanted.as_csv:
        click.echo(CSV_HEADER)
    failed = 0
    for result, target in zip(_results(network, images, options), targets, strict=True):
        if result is None:
            failed += 1
            continue
        if target is not None:
            if target != wanted.out:  # a folder is made with the first picture that goes there
                make_folder(target.parent)
            result.save(target)
        if wanted.as_json:
            click.echo(result.to_json())
        elif wanted.as_csv:
            click.echo(csv_lines(result), nl=False)
        else:
            print_result(result, target)
    return failed


def _results(network: Model, images: Sequence[Path], options: dict[str, Any]) -> Iterator[Result | None]:
    for image in images:
        try:
            yield network(image, **options)
        except CamcompatError as error:
            if len(images) == 1:
                raise
            click.echo(f"camcompat: {error}", err=True)
            yield None


def _targets(images: Sequence[Path], out: Path | None) -> list[Path | None]:
    """Where each image's picture goes; refused before any is written if two would get one name."""
    from camcompat.jobs.pictures import short_name

    folder = out or Path()
    if out is not None and len(images) == 1 and out.suffix and not out.is_dir():
        return [out]
    if folder.suffix and not folder.is_dir():
        raise CamcompatError(f"{len(images)} pictures do not go into one file", where=str(out), remedy="name a folder")
    targets: dict[Path, Path] = {}
    for image in images:
        target = folder / f"{short_name(image.stem)}-cam.png"
        if target in targets:
            remedy = "map them in two runs, with a folder each"
            raise CamcompatError(f"{targets[target]} and {image} would both go there", where=str(target), remedy=remedy)
        targets[target] = image
    return list(targets)


def print_result(result: Result, saved: Path | None) -> None:
    """A picture's classes, their boxes where asked for, and where the maps were drawn."""
    click.echo(result.source if saved is None else f"{result.source} -> {saved}")
    for rank, line in enumerate(result.lines()):
        boxes = () if result.rule is None else result.boxes[rank]
        click.echo("  ".join([printable(line), *(f"[{_box(box)}]" for box in boxes)]))  # labels come from a file


def csv_lines(result: Result) -> str:
    """A line per class."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    found = result.as_dict()
    for entry in found["classes"]:
        boxes = ";".join(map(_box, entry.get("boxes", ())))
        writer.writerow([found["picture"], entry["rank"], entry["class"], entry["label"], entry["score"], boxes])
    return stream.getvalue()


def _box(box: Sequence[int]) -> str:
    return " ".join(map(str, box))
