"""Maps as pictures: two colour scales, overlays, boxes, and the sheet of panels that ``Result.save`` writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prototxt.errors import CamcompatError
from weights.atomic import replacing

__all__ = ["Colours", "colour_index", "colourise", "draw_boxes", "ember", "jet", "overlay", "save_image", "sheet"]

Colours = Literal["ember", "jet"]
"""A colour scale: ``ember`` of the plain pipeline, ``jet`` of the published one."""

Cell: TypeAlias = tuple[Image.Image, str, float | None]
"""A picture, its caption, its score."""

Box: TypeAlias = tuple[int, int, int, int]
"""x, y, width, height in pixels, 0-based."""

_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

_INK, _FAINT, _TRACK, _BAR, _PAPER = "#1f2937", "#6b7280", "#e5e7eb", "#2563eb", "#ffffff"
_MARGIN, _GAP, _LINE = 20, 16, 20


def jet(count: int = 256) -> np.ndarray:
    """Return MATLAB's ``jet(count)``: (count, 3) float64 RGB from dark blue to dark red. Not matplotlib's.

    >>> jet()[[0, 255]].tolist()
    [[0.0, 0.0, 0.515625], [0.5, 0.0, 0.0]]
    """
    if count < 1:
        raise CamcompatError(f"jet of {count} colours", where="jet", remedy="use 1 or more")
    quarter = -(-count // 4)
    ramp = np.arange(1, quarter + 1) / quarter
    hill = np.concatenate([ramp, np.ones(quarter - 1), ramp[::-1]])
    green = -(-quarter // 2) - (count % 4 == 1) + np.arange(len(hill))
    colours = np.zeros((count, 3))
    for channel, rows in enumerate((green + quarter, green, green - quarter)):
        inside = (rows >= 0) & (rows < count)
        colours[rows[inside], channel] = hill[inside]
    return colours


def ember(count: int = 256) -> np.ndarray:
    """Return ``count`` colours from a near-black violet over red and orange to a pale yellow.

    Perceptually uniform: a curve in OKLab (Ottosson 2020) whose lightness only rises, cut into steps of equal length,
    so equal differences of a map look equally large, in grey print too. (MATLAB's jet has bright bands that are not in
    the map.)

    Returns: (count, 3) float64 RGB, 0..1.

    >>> ember(3).round(2).tolist()
    [[0.04, 0.02, 0.14], [0.75, 0.26, 0.3], [0.96, 0.97, 0.43]]
    """
    if count < 1:
        raise CamcompatError(f"ember of {count} colours", where="ember", remedy="use 1 or more")
    t = np.linspace(0, 1, 4097)
    chroma = 0.06 + 0.10 * np.sin(np.pi * np.minimum(t, 0.5))
    hue = np.radians(285 + 185 * t)  # violet, red, orange, yellow: through 360 degrees
    curve = np.stack([0.15 + 0.80 * t, chroma * np.cos(hue), chroma * np.sin(hue)], -1)
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(curve, axis=0), axis=1))])
    steps = np.linspace(0, way[-1], count)
    return _srgb(np.stack([np.interp(steps, way, axis) for axis in curve.T], -1))


def _srgb(oklab: np.ndarray) -> np.ndarray:
    """OKLab to sRGB, with the matrices of its definition (bottosson.github.io/posts/oklab)."""
    cones = oklab @ np.array(
        [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.2914855480]]
    )
    linear = cones**3 @ np.array(
        [
            [4.0767416621, -1.2684380046, -0.0041960863],
            [-3.3077115913, 2.6097574011, -0.7034186147],
            [0.2309699292, -0.3413193965, 1.7076147010],
        ]
    )
    linear = linear.clip(0, 1)
    rgb: np.ndarray = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb


def colour_index(heatmap: np.ndarray) -> np.ndarray:
    """Return the colour of each value: uint8, 0 at the minimum, 255 at the maximum (``map2jpg.m``'s rule).

    Halves round up; not-a-number, and every value of a constant map, is 0.

    >>> colour_index(np.array([-1.0, 0.0, 1.0])).tolist()
    [0, 128, 255]
    """
    values = np.array(heatmap, np.float64)
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not isfinite(high - low):  # rare, and too slow to be done always
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        values = np.clip(np.where(np.isnan(values), low, values), low, high)
    if not high > low:
        return np.zeros(values.shape, np.uint8)
    values -= low
    values /= high - low
    values *= 255
    values += 0.5
    return values.astype(np.uint8)  # rounds down


@lru_cache(maxsize=2)
def _bytes(colours: Colours) -> np.ndarray:
    if colours not in ("ember", "jet"):
        raise CamcompatError(f"colours are {colours!r}", where="colourise", remedy="use 'ember' or 'jet'")
    table = np.floor(255 * (jet() if colours == "jet" else ember()) + 0.5).astype(np.uint8)
    table.flags.writeable = False
    return table


def colourise(heatmap: np.ndarray, colours: Colours = "ember") -> np.ndarray:
    """Return a map (H, W) of any scale in colours, from "ember"'s or "jet"'s first at its minimum to the last.

    Returns: (H, W, 3) uint8 RGB.

    >>> colourise(np.array([[0.0, 1.0]]), "jet").tolist()
    [[[0, 0, 131], [128, 0, 0]]]
    """
    coloured: np.ndarray = _bytes(colours)[colour_index(heatmap)]
    return coloured


def overlay(image: Image.Image, heatmap: np.ndarray, *, alpha: float = 0.5, colours: Colours = "ember") -> Image.Image:
    """Return (1 - alpha) * image + alpha * colours of the map; a map of another size is resampled to the image's.

    Raises:
        CamcompatError: alpha outside of 0..1, or a map that is not (H, W).
    """
    if not 0 <= alpha <= 1:
        raise CamcompatError(f"alpha is {alpha}", where="overlay", remedy="use 0 (picture) to 1 (map)")
    heatmap = np.asarray(heatmap, np.float32)
    if heatmap.ndim != 2 or 0 in heatmap.shape:
        raise CamcompatError(f"map of shape {heatmap.shape}", where="overlay", remedy="expected (H, W)")
    if heatmap.shape != (image.height, image.width):
        heatmap = np.asarray(Image.fromarray(heatmap).resize(image.size, Image.Resampling.BICUBIC))
    return Image.blend(image.convert("RGB"), Image.fromarray(colourise(heatmap, colours)), alpha)


def draw_boxes(image: Image.Image, boxes: Sequence[Box], *, scale: tuple[float, float] = (1.0, 1.0)) -> Image.Image:
    """Return the image with boxes on it: the first as a solid white line, others thinner, all with a dark rim.

    Args:
        image: RGB.
        boxes: (x, y, width, height) each, in pixels of the picture; one of negative size is left out.
        scale: (x, y) factors from the picture's pixels to the image's.
    """
    image = image.copy()
    draw = ImageDraw.Draw(image)
    line = max(2, round(min(image.size) / 100))
    for rank, (x, y, width, height) in enumerate(boxes):
        left, top = x * scale[0], y * scale[1]
        right, bottom = left + width * scale[0] - 1, top + height * scale[1] - 1
        if right < left or bottom < top:
            continue
        thick = line if rank == 0 else max(1, line // 2)
        draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_INK, width=thick + 2)
        draw.rectangle((left, top, right, bottom), outline=_PAPER, width=thick)
    return image


def sheet(
    panels: Sequence[Cell], *, columns: int = 6, font: str | None = None, colours: Colours = "ember"
) -> Image.Image:
    """Return the panels in rows on white, each with its caption, and its score as a bar and a number.

    A panel without a score shows the colour scale instead.
    """
    letters, small = _font(font, 16), _font(font, 13)
    width, height = panels[0][0].size
    cell = max(width, 140)
    columns = min(columns, len(panels))
    captions = [_wrapped(text, letters, cell) for _, text, _ in panels]
    starts = range(0, len(panels), columns)
    heights = [height + 38 + _LINE * max(map(len, captions[start : start + columns])) for start in starts]
    size = (2 * _MARGIN + columns * (cell + _GAP) - _GAP, 2 * _MARGIN + sum(heights) + (len(heights) - 1) * _GAP - 8)
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    for index, ((image, _, score), lines) in enumerate(zip(panels, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = _MARGIN + column * (cell + _GAP), _MARGIN + sum(heights[:row]) + row * _GAP
        canvas.paste(image, (x + (cell - width) // 2, y))
        y += height + 10
        for text in lines:
            draw.text((x, y), text, fill=_FAINT if score is None else _INK, font=letters)
            y += _LINE
        if score is None:
            _scale(canvas, draw, (x, y + 6), cell, small, colours)
        else:
            _score(draw, (x, y + 6), cell, score, small)
    return canvas


def _scale(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], width: int, font: _Font, colours: Colours
) -> None:
    """The colour scale."""
    x, y = at
    shades = np.broadcast_to(np.linspace(0, 1, width - 44), (8, width - 44))
    canvas.paste(Image.fromarray(colourise(shades, colours)), (x, y))
    draw.text((x + width, y + 4), "CAM", fill=_FAINT, font=font, anchor="rm")


def _score(draw: ImageDraw.ImageDraw, at: tuple[int, int], width: int, score: float, font: _Font) -> None:
    """A bar and the number."""
    x, y = at
    length = width - 44
    draw.rounded_rectangle((x, y, x + length - 1, y + 7), 3, fill=_TRACK)
    filled = round(length * min(max(score, 0.0), 1.0))
    if filled >= 7:  # narrower than its own corners, Pillow refuses
        draw.rounded_rectangle((x, y, x + filled - 1, y + 7), 3, fill=_BAR)
    elif filled:
        draw.rectangle((x, y + 2, x + filled - 1, y + 5), fill=_BAR)
    draw.text((x + width, y + 4), f"{score:.2f}", fill=_INK, font=font, anchor="rm")


def _wrapped(text: str, font: _Font, width: int, lines: int = 2) -> list[str]:
    """The words in at most ``lines`` lines of ``width`` pixels; what does not fit ends in an ellipsis."""
    wrapped = [""]
    for word in text.split():
        longer = f"{wrapped[-1]} {word}".strip()
        if font.getlength(longer) <= width or not wrapped[-1]:
            wrapped[-1] = longer
        else:
            wrapped.append(word)
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], " ".join(wrapped[lines - 1 :])]
    return [_shortened(line, font, width) for line in wrapped]


def _shortened(line: str, font: _Font, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "...") > width:
        line = line[:-1]
    return line.rstrip(" ,") + "..."


def _font(path: str | None, size: int) -> _Font:
    if path is None:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(path, size)
    except (OSError, ValueError) as error:
        raise CamcompatError(f"is no font: {error}", where=path, remedy="expected a .ttf or .otf file") from None


def save_image(image: Image.Image, path: str | os.PathLike[str], *, quality: int = 92) -> None:
    """Write an image in the format of the path's suffix, JPEG with the given quality.

    Raises:
        CamcompatError: a suffix that Pillow cannot write, or a folder that does not exist or cannot be written.
    """
    target = Path(path)
    form = Image.registered_extensions().get(target.suffix.lower(), "")
    if form not in Image.SAVE:
        raise CamcompatError(f"cannot write {target.suffix or 'no suffix'!r}", where=str(target), remedy="use .png")
    try:
        with replacing(target) as temporary:
            image.save(temporary, form, **({"quality": quality} if form == "JPEG" else {}))
    except OSError as error:
        raise CamcompatError(
            f"cannot be written: {error.strerror or error}", where=str(target), remedy="check the folder"
        ) from None
