"""`python -m docs.pictures` draws docs/images/*.png from the embedded net and its pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

import camcompat
from camcompat.cam.model import Model
from camcompat.conversion.metadata import description
from camcompat.pictures.render import colourise
from converters import to_onnx
from weights.models import find

FOLDER = Path(__file__).parent / "images"
NAMES = ("05-star", "06-arrow", "12-heart")
SIZE = (144, 144)


def draw(folder: Path) -> list[Path]:
    """Draw every picture into a folder and return their paths."""
    with tempfile.TemporaryDirectory() as temporary:
        model = _model(Path(temporary) / "shapes-cam.onnx")
    pictures = [find("shapes-cam").folder / "pictures" / f"{name}.jpg" for name in NAMES]
    drawn = {
        "overview": _overview(model, pictures),
        "plain": model(pictures[2], top=2, boxes="paper").figure(panel=144),
        "ten-crops": model(pictures[2], top=2, boxes="paper", crops=10).figure(panel=144),
        "matlab": model(pictures[2], top=5, pipeline="matlab").figure(),
        "boxes": _row(model(pictures[2], top=1, boxes=rule).overlay(size=SIZE) for rule in ("paper", "dt-box")),
        "colours": _colours(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in drawn.items():
        few = image if name == "colours" else image.quantize(256)  # a third of the bytes
        few.save(folder / f"{name}.png", optimize=True)
    return [folder / f"{name}.png" for name in drawn]


def _model(path: Path) -> Model:
    entry = find("shapes-cam")
    to_onnx(entry.path("prototxt"), entry.path("caffemodel"), path, cam=True, metadata=description(entry))
    return camcompat.load(path)


def _overview(model: Model, pictures: list[Path]) -> Image.Image:
    """Each picture and the map of its class."""
    panels = []
    for result in model(pictures, top=1, boxes="paper"):
        panels += [result.image.resize(SIZE, Image.Resampling.LANCZOS), result.overlay(size=SIZE)]
    return _row(panels)


def _row(images: Iterable[Image.Image]) -> Image.Image:
    panels = list(images)
    row = Image.new("RGB", (len(panels) * (SIZE[0] + 8) - 8, SIZE[1]), "white")
    for index, panel in enumerate(panels):
        row.paste(panel, (index * (SIZE[0] + 8), 0))
    return row


def _colours() -> Image.Image:
    """ember over jet."""
    ramp = np.broadcast_to(np.linspace(0, 1, 512), (24, 512))
    gap = np.full((8, 512, 3), 255, np.uint8)
    return Image.fromarray(np.concatenate([colourise(ramp, "ember"), gap, colourise(ramp, "jet")]))


if __name__ == "__main__":
    for path in draw(FOLDER):
        print(f"{path}  {path.stat().st_size / 1e3:.0f} kB")
