"""MATLAB's ``imresize``: the resampling of the published CAM scripts, without MATLAB.

Pillow and OpenCV differ from it in the kernel, in antialiasing or at the border, and so in every number that follows.
The rules are MATLAB's published definition: output pixel i (0-based) has its centre at (i + 0.5) / scale - 0.5 of the
input; its weights are the kernel's values there, divided by their sum; where a side shrinks, the kernel is stretched by
1 / scale (antialiasing). One dimension after the other, the one of the smaller scale first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Literal

import numpy as np

from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["Border", "Method", "resize", "weights"]

Method = Literal["bicubic", "bilinear", "box"]
Border = Literal["mirror", "clamp"]

_BLOCK = 1 << 22
"""Values that are worked on at once: a large picture never becomes float64 as a whole."""


def _bicubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _bilinear(x: np.ndarray) -> np.ndarray:
    values: np.ndarray = np.maximum(1 - np.abs(x), 0)
    return values


def _box(x: np.ndarray) -> np.ndarray:
    return ((x >= -0.5) & (x < 0.5)).astype(np.float64)


_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "bicubic": (_bicubic, 4.0),
    "bilinear": (_bilinear, 2.0),
    "box": (_box, 1.0),
}
"""Each kernel and its width."""


@lru_cache(maxsize=64)
def weights(
    length: int,
    wanted: int,
    method: Method = "bicubic",
    *,
    scale: float | None = None,
    border: Border = "mirror",
    antialias: bool = True,
) -> csr_matrix:
    """Return what one dimension of ``resize`` multiplies with, cached.

    Args:
        length: of the input, in pixels; ``wanted``: of the output.
        method, border, antialias: as in ``resize``.
        scale: the factor; None: wanted / length.

    Returns: SciPy's sparse (wanted, length) float64; every row sums to 1.

    >>> weights(2, 4, "bilinear").toarray().tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    from scipy.sparse import csr_matrix  # a third of a second, and only this pipeline needs it

    kernel, width = _KERNELS[method]
    scale = wanted / length if scale is None else scale
    shrink = scale if antialias and scale < 1 else 1.0
    width /= shrink
    centres = (np.arange(wanted) + 0.5) / scale - 0.5
    first = np.floor(centres - width / 2).astype(np.int64)
    taps = first[:, np.newaxis] + np.arange(ceil(width) + 2)
    values = kernel(shrink * (centres[:, np.newaxis] - taps))
    values /= values.sum(1, keepdims=True)
    if border == "mirror":  # ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
        turned = taps % (2 * length)
        taps = np.minimum(turned, 2 * length - 1 - turned)
    else:
        taps = taps.clip(0, length - 1)
    rows = np.repeat(np.arange(wanted), taps.shape[1])
    matrix = csr_matrix((values.ravel(), (rows, taps.ravel())), shape=(wanted, length))
    matrix.eliminate_zeros()
    return matrix


def resize(
    image: np.ndarray,
    size: tuple[int, int] | float,
    method: Method = "bicubic",
    *,
    border: Border = "mirror",
    antialias: bool = True,
) -> np.ndarray:
    """Return an image of another size, as MATLAB's ``imresize(image, size, method)``.

    Args:
        image: (H, W) or (H, W, C), uint8, float32 or float64.
        size: (height, width) of the result, or the factor of both; a factor gives ``ceil(factor * side)`` pixels.
        method: "bicubic" (Keys' kernel, a = -0.5), "bilinear" or "box".
        border: pixels beyond the edge: "mirror" (MATLAB today) or "clamp" (the nearest one; MATLAB of old).
        antialias: whether the kernel is stretched where a side shrinks.

    Returns: the image's dtype, C order. The arithmetic is float64; uint8 is rounded (halves up) and cut to 0..255 after
        each of the two dimensions, as MATLAB does it: the CAM release's inputs come out to the last digit that way, and
        up to 4 grey levels off with one rounding at the end.

    Raises:
        CamcompatError: another dtype or number of dimensions, an empty image, a size under 1, an unknown name.

    >>> resize(np.array([[0, 100]], np.uint8), (1, 4)).tolist()
    [[0, 20, 80, 109]]
    """
    image = np.asarray(image)
    _check(image, method, border)
    (height, width), factors = _sizes(image, size)
    options = {"border": border, "antialias": antialias}
    down = weights(image.shape[0], height, method, scale=factors[0], **options)
    across = weights(image.shape[1], width, method, scale=factors[1], **options)
    if factors[0] <= factors[1]:
        return np.ascontiguousarray(_columns(_rows(image, down), across))
    return np.ascontiguousarray(_rows(_columns(image, across), down))


def _check(image: np.ndarray, method: str, border: str) -> None:
    if image.dtype not in (np.uint8, np.float32, np.float64) or image.ndim not in (2, 3) or 0 in image.shape:
        raise CamcompatError(
            f"found {image.dtype} of shape {image.shape}",
            where="resize",
            remedy="expected uint8, float32 or float64 of (H, W) or (H, W, C)",
        )
    if method not in _KERNELS or border not in ("mirror", "clamp"):
        raise CamcompatError(
            f"method {method!r}, border {border!r}",
            where="resize",
            remedy=f"methods: {', '.join(_KERNELS)}; borders: mirror, clamp",
        )


def _sizes(image: np.ndarray, size: tuple[int, int] | float) -> tuple[tuple[int, int], tuple[float, float]]:
    """(height, width) of the result, and the factor of each side."""
    sides = image.shape[:2]
    if isinstance(size, (int, float, np.number)):
        wanted = tuple(ceil(size * side) for side in sides) if size > 0 else (0, 0)
        factors = (float(size), float(size))
    else:
        wanted = tuple(int(side) for side in size)
        factors = (wanted[0] / sides[0], wanted[1] / sides[1]) if len(wanted) == 2 else (0.0, 0.0)
    if len(wanted) != 2 or min(wanted) < 1:
        raise CamcompatError(
            f"size is {size}", where="resize", remedy="expected (height, width), 1 or more, or a factor"
        )
    return (wanted[0], wanted[1]), factors


def _rows(image: np.ndarray, matrix: csr_matrix) -> np.ndarray:
    """The matrix along the first dimension."""
    flat = image.reshape(len(image), -1)
    out = np.empty((matrix.shape[0], flat.shape[1]), image.dtype)
    step = max(1, _BLOCK // max(matrix.shape))
    for start in range(0, flat.shape[1], step):
        block = np.ascontiguousarray(flat[:, start : start + step], np.float64)
        out[:, start : start + step] = _as(matrix @ block, image.dtype)
    return out.reshape(matrix.shape[0], *image.shape[1:])


def _columns(image: np.ndarray, matrix: csr_matrix) -> np.ndarray:
    """The matrix along the second dimension."""
    return _rows(image.swapaxes(0, 1), matrix).swapaxes(0, 1)


def _as(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype != np.uint8:
        return values.astype(dtype, copy=False)
    return np.floor(values.clip(0, 255) + 0.5).astype(np.uint8)
