"""Maps as pictures: MATLAB's jet, overlays, and the sheet of panels that ``Result.save`` writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from prototxt.errors import CamcompatError

__all__ = ["colour_index", "colourise", "jet", "overlay", "save_image", "sheet"]

Panel: TypeAlias = tuple[Image.Image, str, float | None]
"""A picture, its caption, its score."""

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


@lru_cache(maxsize=1)
def _jet_bytes() -> np.ndarray:
    table = np.floor(255 * jet() + 0.5).astype(np.uint8)
    table.flags.writeable = False
    return table


def colourise(heatmap: np.ndarray) -> np.ndarray:
    """Return a map (H, W) of any scale in MATLAB's jet, from dark blue at its minimum to dark red at its maximum.

    Returns: (H, W, 3) uint8 RGB.

    >>> colourise(np.array([[0.0, 1.0]])).tolist()
    [[[0, 0, 131], [128, 0, 0]]]
    """
    colours: np.ndarray = _jet_bytes()[colour_index(heatmap)]
    return colours


def overlay(image: Image.Image, heatmap: np.ndarray, *, alpha: float = 0.5) -> Image.Image:
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
    return Image.blend(image.convert("RGB"), Image.fromarray(colourise(heatmap)), alpha)


def sheet(panels: Sequence[Panel], *, columns: int = 6, font: str | None = None) -> Image.Image:
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
        _score(canvas, draw, (x, y + 6), cell, score, small)
    return canvas


def _score(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], width: int, score: float | None, font: _Font
) -> None:
    """A bar and the number, or the colour scale."""
    x, y = at
    length = width - 44
    if score is None:
        shades = np.broadcast_to(np.linspace(0, 1, length), (8, length))
        canvas.paste(Image.fromarray(colourise(shades)), (x, y))
        draw.text((x + width, y + 4), "CAM", fill=_FAINT, font=font, anchor="rm")
        return
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


def save_image(image: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write an image in the format of the path's suffix (JPEG with quality 92).

    Raises:
        CamcompatError: a suffix that Pillow cannot write, or a folder that does not exist or cannot be written.
    """
    target = Path(path)
    form = Image.registered_extensions().get(target.suffix.lower(), "")
    if form not in Image.SAVE:
        raise CamcompatError(f"cannot write {target.suffix or 'no suffix'!r}", where=str(target), remedy="use .png")
    try:
        image.save(target, form, **({"quality": 92} if form == "JPEG" else {}))
    except OSError as error:
        raise CamcompatError(
            f"cannot be written: {error.strerror or error}", where=str(target), remedy="check the folder"
        ) from None
