"""Nets of Caffe's older formats, rewritten in today's: V0 to V1 to V2, as Caffe does when it loads a file.

The steps and their order are those of ``UpgradeNetAsNeeded`` in ``caffe/util/upgrade_proto.cpp``. What Caffe only logs
and then drops is returned in :attr:`Upgraded.ignored` here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prototxt.errors import PrototxtError
from prototxt.generations.v0 import fold_padding, upgrade_v0_layer
from prototxt.generations.v1_types import FORK_TYPES, V1_TYPES
from prototxt.schema import message_class

__all__ = ["Upgraded", "upgrade"]

_DATA_PARAMS = {"DATA": "data_param", "IMAGE_DATA": "image_data_param", "WINDOW_DATA": "window_data_param"}
# C3D v1.1 calls them by other names than C3D v1.0, which had no choice but to extend BVLC's.
_OTHER_NAMES = {"convolution3d_param": "convolution_param", "pooling3d_param": "pooling_param"}
_TRANSFORM_FIELDS = ("scale", "mean_file", "crop_size", "mirror")


@dataclass(frozen=True)
class Upgraded:
    """A net in today's format.

    Attributes:
        message: a NetParameter with ``layer`` only; no ``layers``, ``input``, ``input_dim`` or ``input_shape``.
        origins: for each layer its index among the layers of the original, None for an Input layer that was made here.
        ignored: what Caffe drops on the way: (index of the original layer or None, path of the field, its value).
    """

    message: Any
    origins: tuple[int | None, ...]
    ignored: tuple[tuple[int | None, str, str], ...] = field(default=())


def upgrade(net: Any, where: Callable[[int | None], str] = lambda index: "") -> Upgraded:
    """Rewrite a net of any generation in today's format.

    Args:
        net: a NetParameter of :mod:`prototxt.schema`, from a text or a caffemodel; it is not changed. Blobs are copied
            along, so strip them from a big one first.
        where: the place of a layer (or with None of the net), for errors.

    Raises:
        PrototxtError: Caffe would refuse the net, or drop whole layers of it.

    >>> old = message_class("NetParameter")()
    >>> old.layers.add(name="r", type=18, bottom=["x"], top=["x"]).relu_param.negative_slope = 0.5
    >>> upgrade(old).message.layer[0].type
    'ReLU'
    """
    result = message_class("NetParameter")()
    ignored: list[tuple[int | None, str, str]] = []
    if net.layers and net.layer:
        message = "it has both layers { } (old format) and layer { }: Caffe would drop every layer { }"
        raise PrototxtError(message, where=where(None), remedy="write all of them as layer { }")
    if net.layers:
        for descriptor, value in net.ListFields():
            if descriptor.name != "layers":
                _copy(result, descriptor.name, value)
        origins: list[int | None] = []
        for index, old in _v1_layers(net, where, ignored):
            _upgrade_data(old)
            _upgrade_v1_layer(old, result.layer.add(), where(index))
            origins.append(index)
    else:
        result.CopyFrom(net)
        origins = list(range(len(net.layer)))
    if _upgrade_input(result, where, ignored):
        origins.insert(0, None)
    _upgrade_batch_norm(result)
    _unify_names(result)
    return Upgraded(result, tuple(origins), tuple(ignored))


def _v1_layers(
    net: Any, where: Callable[[int | None], str], ignored: list[tuple[int | None, str, str]]
) -> list[tuple[int, Any]]:
    """Copies of the layers in V1's format, each with its index; V0's padding layers are gone."""
    if not any(old.HasField("layer") for old in net.layers):
        new: list[tuple[int, Any]] = []
        for index, old in enumerate(net.layers):
            new.append((index, message_class("V1LayerParameter")()))
            new[-1][1].CopyFrom(old)
        return new
    for index, old in enumerate(net.layers):
        if not old.HasField("layer"):
            message = "this layer lacks the inner layer { } that the other layers of this (V0) net have"
            raise PrototxtError(message, where=where(index), remedy="write all layers in one format")
    upgraded = []
    for index, old in fold_padding(net, where):
        new_layer, dropped = upgrade_v0_layer(old, where(index))
        ignored.extend((index, path, value) for path, value in dropped)
        upgraded.append((index, new_layer))
    return upgraded


def _copy(target: Any, name: str, value: Any) -> None:
    """Set a field of any kind to a value of the same field of a like message."""
    current = getattr(target, name)
    if hasattr(current, "extend"):
        current.extend(value)
    elif hasattr(current, "CopyFrom"):
        current.CopyFrom(value)
    else:
        setattr(target, name, value)


def _upgrade_data(old: Any) -> None:
    """Move V1's data transformations to ``transform_param`` (UpgradeNetDataTransformation)."""
    name = _data_param(old)
    if not name:
        return
    data = getattr(old, name)
    for field_name in _TRANSFORM_FIELDS:
        if data.HasField(field_name):
            setattr(old.transform_param, field_name, getattr(data, field_name))
            data.ClearField(field_name)


def _data_param(old: Any) -> str:
    """The field with a data layer's parameters, "" if there is none; a fork's data layer borrows one of BVLC's."""
    own = _DATA_PARAMS.get(_type_name(old))
    candidates = [own] if own else _DATA_PARAMS.values() if _type_name(old) in FORK_TYPES else ()
    return next((name for name in candidates if old.HasField(name)), "")


def _type_name(old: Any) -> str:
    names = old.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
    return str(names[old.type].name)


def _upgrade_v1_layer(old: Any, new: Any, where: str) -> None:
    """Rewrite a V1 layer (UpgradeV1LayerParameter)."""
    special = ("type", "param", "blob_share_mode", "blobs_lr", "weight_decay")
    for descriptor, value in old.ListFields():
        if descriptor.name not in special:
            _copy(new, descriptor.name, value)
    if old.HasField("type"):
        new.type = V1_TYPES[_type_name(old)]
    else:
        _check_fork_type(old, where)
    for name, values in (
        ("name", old.param),
        ("share_mode", old.blob_share_mode),
        ("lr_mult", old.blobs_lr),
        ("decay_mult", old.weight_decay),
    ):
        for index, value in enumerate(values):
            while len(new.param) <= index:
                new.param.add()
            setattr(new.param[index], name, value)


def _check_fork_type(old: Any, where: str) -> None:
    """Refuse a layer whose type number, in a binary file, is not one of BVLC's."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    number = old.DESCRIPTOR.fields_by_name["type"].number
    unknown = UnknownFieldSet(old)
    for index in range(len(unknown)):
        if unknown[index].field_number == number:
            message = f"layer type number {unknown[index].data} of Caffe's old format is a fork's"
            raise PrototxtError(message, where=where, remedy="give the prototxt of the net, with the type by name")


def _upgrade_input(net: Any, where: Callable[[int | None], str], ignored: list[tuple[int | None, str, str]]) -> bool:
    """Turn ``input`` and its dimensions into an Input layer at the front (UpgradeNetInput); whether there were any."""
    shapes = [tuple(shape.dim) for shape in net.input_shape]
    dims = list(net.input_dim)
    if not net.input:
        for name in ("input_shape", "input_dim"):
            if getattr(net, name):
                ignored.append((None, name, ", ".join(str(value).strip() for value in getattr(net, name))))
                net.ClearField(name)
        return False
    count = len(net.input)
    if dims and len(dims) != 4 * count:
        message = f"{count} input(s) need {4 * count} input_dim (4 each), found {len(dims)}"
        raise PrototxtError(
            message, where=where(None), remedy="use input_shape { dim: ... } for other than 4 dimensions"
        )
    if shapes and len(shapes) != count:
        message = f"{count} input(s) need {count} input_shape, found {len(shapes)}"
        raise PrototxtError(message, where=where(None), remedy="give one input_shape per input, in the same order")
    old = [tuple(dims[4 * index : 4 * index + 4]) for index in range(count)] if dims else []
    if shapes and old and shapes != old:
        message = f"input_shape ({shapes}) and input_dim ({old}) contradict each other"
        raise PrototxtError(message, where=where(None), remedy="keep input_shape only")
    rest = message_class("NetParameter")(layer=net.layer)
    layer = message_class("LayerParameter")(name="input", type="Input", top=net.input)
    for shape in shapes or old:
        layer.input_param.shape.add(dim=shape)
    for name in ("input", "input_shape", "input_dim", "layer"):
        net.ClearField(name)
    net.layer.append(layer)
    net.layer.extend(rest.layer)
    return True


def _upgrade_batch_norm(net: Any) -> None:
    """Freeze the statistics of BatchNorm layers that declare three ``param`` (UpgradeNetBatchNorm)."""
    for layer in net.layer:
        if layer.type == "BatchNorm" and len(layer.param) == 3:
            for spec in layer.param:
                spec.lr_mult = spec.decay_mult = 0


def _unify_names(net: Any) -> None:
    """Move the parameters of a layer to the field that other forks keep them in, so that there is one to read."""
    for layer in net.layer:
        for other, usual in _OTHER_NAMES.items():
            if layer.HasField(other) and not layer.HasField(usual):
                getattr(layer, usual).CopyFrom(getattr(layer, other))
                layer.ClearField(other)
