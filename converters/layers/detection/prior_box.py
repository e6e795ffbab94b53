"""PriorBox (SSD: prior_box_layer.cpp): the boxes that detections are offsets from. They depend on shapes alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converters.graph.dims import static
from converters.graph.graph import Value
from converters.layers.registry import layer
from converters.layers.view import LayerView, Params
from converters.ops import Ops

# Fields of forks whose layer draws other boxes under the same name.
FOREIGN = ("fixed_size", "fixed_ratio", "density", "width", "height")


@dataclass(frozen=True)
class Grid:
    """The cells of the feature map: how many, how far apart in image pixels, and the image itself."""

    height: int
    width: int
    image_h: int
    image_w: int
    step_h: np.float32
    step_w: np.float32
    offset: np.float32


@layer("PriorBox", bottoms=2)
def prior_box(ops: Ops, view: LayerView, x: Value, image: Value) -> Value:
    """boxes of several sizes and shapes at each cell of a map, and their variances (SSD: prior_box_layer.cpp)"""
    p = view.params("prior_box_param")
    for name in FOREIGN:
        if p.has(name):
            raise view.error(f"{name} belongs to a fork's PriorBox", "give min_size and aspect_ratio as SSD does")
    grid = _grid(view, p, x, image)
    sizes = _sizes(view, p)
    view.constant(8 * grid.height * grid.width * len(sizes))
    boxes = _boxes(grid, sizes)
    if not p.has("clip"):
        view.notes.append("clip is not stated; boxes are clipped, as SSD's first release did and later ones do not")
    if p.clip:
        boxes = boxes.clip(0, 1)
    variances = np.broadcast_to(np.asarray(_variances(view, p), np.float32), boxes.shape)
    return ops.const(np.stack([boxes.reshape(-1), variances.reshape(-1)])[None], "priors")


def _pair(view: LayerView, p: Params, stem: str, single: str) -> tuple[float, float] | None:
    """`step` or `img_size` as (h, w): given once, or as _h and _w; None where it is not given."""
    names = [f"{stem}_{side}" for side in "hw"]
    if any(map(p.has, names)):
        if p.has(single):
            raise view.error(f"{single} excludes {names[0]} and {names[1]}", f"remove {single}")
        values = (getattr(p, names[0]), getattr(p, names[1]))
    elif p.has(single):
        values = (getattr(p, single),) * 2
    else:
        return None
    if min(values) <= 0:
        raise view.error(f"{single} is {values[0]} x {values[1]}; both must be positive")
    return values


def _grid(view: LayerView, p: Params, x: Value, image: Value) -> Grid:
    why = "PriorBox needs the size of both bottoms"
    height, width = (static(dim, why) for dim in x.shape[2:4])
    size = _pair(view, p, "img", "img_size")
    image_h, image_w = map(int, size) if size else (static(dim, why) for dim in image.shape[2:4])
    step = _pair(view, p, "step", "step")
    step_h, step_w = map(np.float32, step or (np.float32(image_h) / height, np.float32(image_w) / width))
    return Grid(height, width, image_h, image_w, step_h, step_w, np.float32(p.offset))


def _ratios(p: Params) -> list[float]:
    """The aspect ratios besides 1, each followed by its inverse if `flip`; one that is there already is not added."""
    ratios = [np.float32(1)]
    for ratio in map(np.float32, p.aspect_ratio):
        if all(abs(float(ratio) - float(known)) >= 1e-6 for known in ratios):
            ratios += [ratio, np.float32(1 / float(ratio))] if p.flip else [ratio]
    return [float(ratio) for ratio in ratios if abs(float(ratio) - 1) >= 1e-6]


def _sizes(view: LayerView, p: Params) -> np.ndarray:
    """Width and height of each box of a cell, (boxes, 2) float32, in Caffe's order."""
    least, most = p.min_size, p.max_size
    if not least or min(least) <= 0:
        raise view.error(f"min_size {list(least)} must hold one positive size at least")
    if most and len(most) != len(least):
        raise view.error(f"{len(most)} max_size for {len(least)} min_size", "give one for each, or none")
    if any(big <= small for small, big in zip(least, most)):
        raise view.error(f"max_size {list(most)} must be greater than min_size {list(least)}")
    if any(ratio <= 0 for ratio in p.aspect_ratio):
        raise view.error(f"aspect_ratio {list(p.aspect_ratio)} must be positive")
    sizes: list[tuple[float, float]] = []
    for i, small in enumerate(map(int, least)):  # Caffe keeps the sizes in int variables here: 30.6 draws 30
        sizes.append((small, small))
        if most:
            middle = (small * int(most[i])) ** 0.5
            sizes.append((middle, middle))
        sizes += [(small * ratio**0.5, small / ratio**0.5) for ratio in _ratios(p)]
    return np.asarray(sizes, np.float32)


def _boxes(grid: Grid, sizes: np.ndarray) -> np.ndarray:
    """(height, width, boxes, 4) [xmin ymin xmax ymax] as shares of the image, rounded where Caffe rounds."""
    x = (np.arange(grid.width, dtype=np.float32) + grid.offset) * grid.step_w
    y = (np.arange(grid.height, dtype=np.float32) + grid.offset) * grid.step_h
    centres = np.stack(np.meshgrid(x, y), axis=-1)[:, :, None].astype(np.float64)
    half = sizes.astype(np.float64) / 2
    image = np.array([grid.image_w, grid.image_h], np.float64)
    return np.concatenate([(centres - half) / image, (centres + half) / image], axis=-1).astype(np.float32)


def _variances(view: LayerView, p: Params) -> tuple[float, ...]:
    values = tuple(p.variance) or (0.1,)
    if len(values) not in (1, 4) or min(values) <= 0:
        raise view.error(f"variance {list(values)} must be one positive number, or four")
    return values
