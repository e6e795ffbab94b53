"""The oldest format, V0: ``layers { layer { type: "conv" … } bottom … }``, rewritten as V1.

After ``UpgradeV0Net`` in ``caffe/util/upgrade_proto.cpp``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prototxt.errors import PrototxtError, nearest_names
from prototxt.schema import message_class

__all__ = ["V0_TYPES", "fold_padding", "upgrade_v0_layer"]

#: V0's type strings and V1's enum names. ``padding`` is not among them: it is folded into the layer that follows.
V0_TYPES = {
    "accuracy": "ACCURACY",
    "bnll": "BNLL",
    "concat": "CONCAT",
    "conv": "CONVOLUTION",
    "data": "DATA",
    "dropout": "DROPOUT",
    "euclidean_loss": "EUCLIDEAN_LOSS",
    "flatten": "FLATTEN",
    "hdf5_data": "HDF5_DATA",
    "hdf5_output": "HDF5_OUTPUT",
    "im2col": "IM2COL",
    "images": "IMAGE_DATA",
    "infogain_loss": "INFOGAIN_LOSS",
    "innerproduct": "INNER_PRODUCT",
    "lrn": "LRN",
    "multinomial_logistic_loss": "MULTINOMIAL_LOGISTIC_LOSS",
    "pool": "POOLING",
    "relu": "RELU",
    "sigmoid": "SIGMOID",
    "softmax": "SOFTMAX",
    "softmax_loss": "SOFTMAX_LOSS",
    "split": "SPLIT",
    "tanh": "TANH",
    "window_data": "WINDOW_DATA",
}

_ANY = ""
_CONV, _FC, _POOL = "convolution_param", "inner_product_param", "pooling_param"
_IMAGE, _WINDOW = "image_data_param", "window_data_param"

#: Where a V0 field goes: V0 type (``_ANY``: every type) to the parameter message and field of V1.
_FIELDS: dict[str, dict[str, tuple[str, str]]] = {
    "num_output": {"conv": (_CONV, "num_output"), "innerproduct": (_FC, "num_output")},
    "biasterm": {"conv": (_CONV, "bias_term"), "innerproduct": (_FC, "bias_term")},
    "weight_filler": {"conv": (_CONV, "weight_filler"), "innerproduct": (_FC, "weight_filler")},
    "bias_filler": {"conv": (_CONV, "bias_filler"), "innerproduct": (_FC, "bias_filler")},
    "pad": {"conv": (_CONV, "pad"), "pool": (_POOL, "pad")},
    "kernelsize": {"conv": (_CONV, "kernel_size"), "pool": (_POOL, "kernel_size")},
    "group": {"conv": (_CONV, "group")},
    "stride": {"conv": (_CONV, "stride"), "pool": (_POOL, "stride")},
    "pool": {"pool": (_POOL, "pool")},
    "dropout_ratio": {"dropout": ("dropout_param", "dropout_ratio")},
    "local_size": {"lrn": ("lrn_param", "local_size")},
    "alpha": {"lrn": ("lrn_param", "alpha")},
    "beta": {"lrn": ("lrn_param", "beta")},
    "k": {"lrn": ("lrn_param", "k")},
    "source": {
        "data": ("data_param", "source"),
        "hdf5_data": ("hdf5_data_param", "source"),
        "images": (_IMAGE, "source"),
        "window_data": (_WINDOW, "source"),
        "infogain_loss": ("infogain_loss_param", "source"),
    },
    "scale": {_ANY: ("transform_param", "scale")},
    "meanfile": {_ANY: ("transform_param", "mean_file")},
    "batchsize": {
        "data": ("data_param", "batch_size"),
        "hdf5_data": ("hdf5_data_param", "batch_size"),
        "images": (_IMAGE, "batch_size"),
        "window_data": (_WINDOW, "batch_size"),
    },
    "cropsize": {_ANY: ("transform_param", "crop_size")},
    "mirror": {_ANY: ("transform_param", "mirror")},
    "rand_skip": {"data": ("data_param", "rand_skip"), "images": (_IMAGE, "rand_skip")},
    "shuffle_images": {"images": (_IMAGE, "shuffle")},
    "new_height": {"images": (_IMAGE, "new_height")},
    "new_width": {"images": (_IMAGE, "new_width")},
    "concat_dim": {"concat": ("concat_param", "concat_dim")},
    "det_fg_threshold": {"window_data": (_WINDOW, "fg_threshold")},
    "det_bg_threshold": {"window_data": (_WINDOW, "bg_threshold")},
    "det_fg_fraction": {"window_data": (_WINDOW, "fg_fraction")},
    "det_context_pad": {"window_data": (_WINDOW, "context_pad")},
    "det_crop_mode": {"window_data": (_WINDOW, "crop_mode")},
}


def fold_padding(net: Any, where: Callable[[int | None], str]) -> list[tuple[int, Any]]:
    """Copies of a V0 net's layers with their indices, padding layers folded into what follows (UpgradeV0PaddingLayers).

    Raises:
        PrototxtError: a padding layer feeds something else than one convolution or pooling.
    """
    producer: dict[str, int] = dict.fromkeys(net.input, -1)
    kept: list[tuple[int, Any]] = []
    for index, layer in enumerate(net.layers):
        if layer.layer.type != "padding":
            copy = message_class("V1LayerParameter")()
            copy.CopyFrom(layer)
            kept.append((index, copy))
        for position, bottom in enumerate(layer.bottom):
            if bottom not in producer:
                near = next(iter(nearest_names(bottom, producer)), "")
                remedy = f"did you mean {near}?" if near else "declare it with input"
                raise PrototxtError(f'unknown bottom blob "{bottom}"', where=where(index), remedy=remedy)
            source = net.layers[producer[bottom]] if producer[bottom] >= 0 else None
            if source is not None and source.layer.type == "padding":
                _check_padding(layer, source, where(index))
                copy.layer.pad = source.layer.pad
                copy.bottom[position] = source.bottom[0]
        producer.update(dict.fromkeys(layer.top, index))
    return kept


def _check_padding(layer: Any, padding: Any, where: str) -> None:
    if layer.layer.type not in ("conv", "pool") or len(layer.bottom) != 1:
        message = (
            f"a padding layer feeds a layer of type {layer.layer.type}; Caffe pads single-input conv and pool only"
        )
    elif len(padding.bottom) != 1 or len(padding.top) != 1:
        message = f'the padding layer "{padding.layer.name}" needs exactly one bottom and one top'
    else:
        return
    raise PrototxtError(message, where=where, remedy="write the net in the new format")


def upgrade_v0_layer(old: Any, where: str) -> tuple[Any, list[tuple[str, str]]]:
    """A V0 layer as a V1LayerParameter, and the fields that Caffe drops: (path, value) (UpgradeV0LayerParameter).

    Raises:
        PrototxtError: Caffe has no such layer type.
    """
    new = message_class("V1LayerParameter")(bottom=old.bottom, top=old.top)
    dropped = [
        (descriptor.name, _shown(value))
        for descriptor, value in old.ListFields()
        if descriptor.name not in ("layer", "bottom", "top")
    ]
    inner = old.layer
    if inner.HasField("type"):
        if inner.type not in V0_TYPES:
            near = next(iter(nearest_names(inner.type, V0_TYPES)), "")
            message = f'"{inner.type}" is no layer type of the oldest format' + (f"; nearest: {near}" if near else "")
            raise PrototxtError(message, where=where, remedy="write the net in the new format")
        new.type = new.LayerType.Value(V0_TYPES[inner.type])
    for descriptor, value in inner.ListFields():
        name = descriptor.name
        if name == "name":
            new.name = value
        elif name in ("blobs", "blobs_lr", "weight_decay"):
            getattr(new, name).extend(value)
        elif name == "hdf5_output_param" and inner.type == "hdf5_output":
            new.hdf5_output_param.CopyFrom(value)
        elif name != "type":
            homes = _FIELDS.get(name, {})
            home = homes.get(inner.type) or homes.get(_ANY)
            if home is None:
                dropped.append((f"layer.{name}", _shown(value)))
            else:
                _set(getattr(new, home[0]), home[1], value)
    return new, dropped


def _set(message: Any, name: str, value: Any) -> None:
    current = getattr(message, name)
    if hasattr(current, "append"):
        current.append(value)
    elif hasattr(current, "CopyFrom"):
        current.CopyFrom(value)
    else:
        setattr(message, name, value)


def _shown(value: Any) -> str:
    return " ".join(str(value).split())
