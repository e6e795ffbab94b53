"""Maps as PNG pictures inside a page."""

from __future__ import annotations

import base64
import io

import numpy as np

__all__ = ["difference_uri", "map_uri", "png_uri"]

SIDE = 220


def png_uri(pixels: np.ndarray) -> str:
    """An (h, w, 3) uint8 picture as a data URI; small ones are enlarged without smoothing.

    >>> png_uri(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    scale = max(1, SIDE // max(pixels.shape[:2]))
    large = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(large, np.uint8)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def map_uri(cam: np.ndarray, low: float, high: float) -> str:
    """A map (h, w) in the colours of `render.ember`, ``low`` to ``high``; what is not a number is black."""
    from camcompat.pictures.render import ember

    finite = np.nan_to_num(cam.astype(np.float64), nan=low, posinf=high, neginf=low)
    share = np.clip((finite - low) / ((high - low) or 1.0), 0, 1)
    colours = np.rint(ember(256) * 255).astype(np.uint8)
    pixels = colours[np.rint(share * 255).astype(int)]
    pixels[~np.isfinite(cam)] = 0
    return png_uri(pixels)


def difference_uri(ours: np.ndarray, theirs: np.ndarray, scale: float) -> str:
    """Where two maps differ: white is equal, red is more and blue is less by ``scale``."""
    share = np.nan_to_num((ours.astype(np.float64) - theirs) / (scale or 1.0), nan=1.0, posinf=1.0, neginf=-1.0)
    share = np.clip(share, -1, 1)[..., None]
    white, red, blue = (np.array(colour, np.float64) for colour in ((247, 247, 247), (178, 24, 43), (33, 102, 172)))
    pixels = white + np.abs(share) * (np.where(share > 0, red, blue) - white)
    return png_uri(np.rint(pixels).astype(np.uint8))
