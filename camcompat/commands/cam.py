"""`camcompat cam`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from prototxt.errors import CamcompatError


@click.command("cam")
@click.argument("model")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--top", default=5, show_default=True, help="How many classes.")
@click.option("--class", "classes", multiple=True, help="Maps of this class instead, by label or index (repeatable).")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Picture, or folder for pictures [IMAGE-cam.png].")
def command(model: str, images: Sequence[Path], top: int, classes: Sequence[str], out: Path | None) -> None:
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
