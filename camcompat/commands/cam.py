"""`camcompat cam`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from prototxt.errors import CamcompatError


@click.command("cam")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", default=5, show_default=True, help="How many classes.")
@click.option("--class", "classes", multiple=True, help="Maps of this class instead, by label or index (repeatable).")
@click.option("--pipeline", type=click.Choice(["plain", "matlab"]), default="plain", show_default=True,
              help="Today's way, or the published release's, number by number.")  # fmt: skip
@click.option("--crops", type=click.Choice(["1", "10", "dense"]), help="Crops of a picture.  [plain: 1, matlab: 10]")
@click.option("--boxes", type=click.Choice(["paper", "dt-box"]),
              help="Find boxes: the largest part above 20 % of the maximum, or the release's program.")  # fmt: skip
@click.option("--border", type=click.Choice(["mirror", "clamp"]),
              help="Beyond the edge, for matlab's resampling: MATLAB today, or of old.  [mirror]")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Picture, or folder for pictures [IMAGE-cam.png].")
@click.option("--no-pictures", is_flag=True, help="Print only; draw nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line per picture.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line per class; boxes are `x y width height;…`.")
def command(
    model: str,
    images: Sequence[Path],
    classes: Sequence[str],
    crops: str | None,
    out: Path | None,
    no_pictures: bool,
    as_json: bool,
    as_csv: bool,
    **options: Any,
) -> None:
    """Map pictures: scores, overlays, boxes.

    MODEL is a name of the catalogue or a converted .onnx file.
    """
    import camcompat
    from camcompat.tables import CSV_HEADER, csv_lines, print_result

    if as_json and as_csv:
        raise click.UsageError("choose --json or --csv")
    network = camcompat.load(model)
    wanted = [int(entry) if entry.isdigit() else entry for entry in classes] or None
    results = network.stream(images, classes=wanted, crops=int(crops) if crops in ("1", "10") else crops, **options)
    targets = [None] * len(images) if no_pictures else _targets(images, out)
    if as_csv:
        click.echo(CSV_HEADER)
    for result, target in zip(results, targets, strict=True):
        if target is not None:
            result.save(target)
        if as_json:
            click.echo(result.to_json())
        elif as_csv:
            click.echo(csv_lines(result), nl=False)
        else:
            print_result(result, target)


def _targets(images: Sequence[Path], out: Path | None) -> list[Path | None]:
    """Where each image's picture goes; refused before any is written if two would get one name."""
    folder = out or Path()
    if out is not None and len(images) == 1 and out.suffix and not out.is_dir():
        return [out]
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
    return list(targets)
