"""Caffe's data layers, and what they say about the shape of what they read.

After ``DataTransformer::InferBlobShape``, ``image_data_layer.cpp``, ``memory_data_layer.cpp`` and
``window_data_layer.cpp`` of BVLC Caffe, and the ``resize_param`` of the SSD branch.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from prototxt.errors import PrototxtError

__all__ = ["Partial", "UnknownShape", "is_data", "keep_transform", "top_shape"]

#: A shape whose unknown sizes are None.
Partial = tuple["int | None", ...]

_TRANSFORMED = ("Data", "ImageData", "AnnotatedData", "WindowData", "MemoryData", "VideoData")
_MADE_UP = ("DummyData", "Input", "Parameter")  # no bottoms, but no data from outside either
_BATCHES = (
    "data_param",
    "image_data_param",
    "window_data_param",
    "memory_data_param",
    "hdf5_data_param",
    "video_data_param",
)


class UnknownShape(PrototxtError):
    """The prototxt does not say how large an input is.

    Attributes:
        name: the input blob.
        shape: what is known of its shape.
        reader: name of the first layer with weights that reads it, "" if there is none.
    """

    def __init__(self, name: str, shape: Partial, reader: str, where: str) -> None:
        self.name, self.shape, self.reader = name, shape, reader
        letters, usual = ("NCHW", (1, 3, 227, 227)) if len(shape) == 4 else ("NCLHW", (1, 3, 16, 112, 112))
        sizes = ",".join(str(size or letter) for size, letter in zip(shape, letters, strict=True))
        example = ",".join(str(size or number) for size, number in zip((1, *shape[1:]), usual, strict=True))
        message = f'the size of input "{name}" ({sizes}) is not known: its data layer has no crop_size'
        remedy = f"give it: --input-shape {name}={example} (input_shapes in Python)"
        super().__init__(message, where=where, remedy=remedy)


def is_data(layer: Any, own: Container[str] = ()) -> bool:
    """Whether a LayerParameter reads data from outside of the net; `own` are types that the user has registered."""
    if layer.bottom or layer.type in _MADE_UP or not layer.top:
        return False
    if layer.type == "Python":
        return f"Python:{layer.python_param.module}.{layer.python_param.layer}" not in own
    return layer.type not in own and ("Data" in layer.type or layer.type in _TRANSFORMED)


def keep_transform(layer: Any, made: Any) -> None:
    """What a data layer does to its pictures, noted in the Input layer that takes its place.

    Caffe reads neither field of an Input layer. A ``transform_param`` that is set and empty says: nothing.
    """
    if layer.type not in _TRANSFORMED:
        return
    made.transform_param.SetInParent()
    made.transform_param.CopyFrom(layer.transform_param)
    if layer.image_data_param.new_height and layer.image_data_param.new_width:
        made.image_data_param.new_height = layer.image_data_param.new_height
        made.image_data_param.new_width = layer.image_data_param.new_width


def top_shape(layer: Any, index: int) -> Partial:
    """The shape of one of a data layer's tops: (N, C, H, W), of videos (N, C, L, H, W), or (N,) of labels."""
    batch = _batch(layer)
    if layer.type not in _TRANSFORMED:
        return (batch, None, None, None)
    if index == 0:
        return (batch, _channels(layer), *_length(layer), *_size(layer))
    # SSD's label is a list of boxes: image, class, instance, four corners, difficult.
    return (1, 1, 1, 8) if layer.type == "AnnotatedData" else (batch,)


def _batch(layer: Any) -> int:
    """The declared number of items, 1 if none is."""
    for name in _BATCHES:
        if layer.HasField(name) and getattr(layer, name).batch_size:
            return int(getattr(layer, name).batch_size)
    return 1


def _channels(layer: Any) -> int | None:
    """The number of channels where the layer settles it: a database may hold grey or coloured pictures."""
    transform = layer.transform_param
    if layer.type == "MemoryData":
        return layer.memory_data_param.channels or None
    if transform.force_gray:
        return 1
    if transform.force_color or layer.type in ("WindowData", "VideoData") or len(transform.mean_value) == 3:
        return 3
    if layer.type == "ImageData":
        return 3 if layer.image_data_param.is_color else 1
    return None


def _length(layer: Any) -> tuple[int | None, ...]:
    """The number of frames of C3D's VideoData, which gives it in one of two places; () for pictures."""
    if layer.type != "VideoData":
        return ()
    lengths = [getattr(layer, name).new_length for name in ("image_data_param", "video_data_param")]
    return (max(lengths),) if max(lengths) > 1 else ()


def _size(layer: Any) -> tuple[int | None, int | None]:
    """Height and width: of the crop, else of the resized picture."""
    transform, resize = layer.transform_param, layer.transform_param.resize_param
    memory, images = layer.memory_data_param, layer.image_data_param
    candidates = [
        (memory.height, memory.width),
        (transform.crop_size, transform.crop_size),
        (layer.window_data_param.crop_size,) * 2,
        (transform.crop_h, transform.crop_w),
        (images.new_height, images.new_width),
    ]
    if resize.resize_mode != resize.FIT_SMALL_SIZE:  # which keeps the picture's proportions
        candidates.append((resize.height, resize.width))
    return next(((int(h), int(w)) for h, w in candidates if h and w), (None, None))
