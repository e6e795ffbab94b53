"""A layer's parameters as the layer reads them, remembering which were read.

A field that the file sets and nobody reads would change the result in Caffe and not here, so `unread` finds it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Params", "unread"]

# Fields that only training, initialisation or the choice of an implementation reads: no forward pass depends on them.
_IRRELEVANT = """
    name type bottom top phase loss_weight param blobs propagate_down include exclude weight_filler bias_filler
    filler slope_filler scale_filler engine force_nd_im2col moving_average_fraction stable_prod_grad
    dropout_ratio debug_info mean_file blob_share_mode blobs_lr weight_decay share_mode
    relu6_inplace shift_filler momentum frozen fix_gradient bp_norm transform_param save_output_param save_file
    visualize visualize_threshold share_in_parallel strict_dim cudnn_convolution_algo_seeker conv_algos_override
    update_global_stats sqrt_scale blob_filler
"""
IRRELEVANT = frozenset(_IRRELEVANT.split())


class Params:
    """One message of a layer, read field by field: `params.num_output`.

    Enums read as their names, repeated fields as tuples, messages as `Params`; an unset field as its default.
    """

    def __init__(self, message: Any, path: str, reads: set[str]) -> None:
        self._message, self._path, self._reads = message, path, reads

    def __getattr__(self, name: str) -> Any:
        field = self._message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise AttributeError(f"{self._message.DESCRIPTOR.name} has no field {name}")
        path = f"{self._path}.{name}"
        self._reads.add(path)
        value = getattr(self._message, name)
        repeated = not isinstance(value, (str, bytes)) and hasattr(value, "__len__")
        return tuple(self._plain(field, item, path) for item in value) if repeated else self._plain(field, value, path)

    def has(self, name: str) -> bool:
        """Whether the file sets this field."""
        self._reads.add(f"{self._path}.{name}")
        return _is_set(self._message, name)

    def _plain(self, field: Any, value: Any, path: str) -> Any:
        if field.message_type is not None:
            return Params(value, path, self._reads)
        if field.enum_type is not None:
            return field.enum_type.values_by_number[value].name
        # A float field holds a float32: 1e-5 reads as 1e-05, not as 9.999999747378752e-06.
        return float(str(np.float32(value))) if isinstance(value, float) else value

    def __repr__(self) -> str:
        return f"{self._path} {{ {' '.join(str(self._message).split())} }}"


def _is_set(message: Any, name: str) -> bool:
    return any(field.name == name for field, _ in message.ListFields())


def unread(message: Any, reads: set[str], path: str = "") -> list[str]:
    """The dotted names of the fields that are set in a layer and that nothing read."""
    names: list[str] = []
    for field, value in message.ListFields():
        name = f"{path}.{field.name}" if path else field.name
        if field.name in IRRELEVANT:
            continue
        if field.message_type is not None and name in reads:
            for item in value if hasattr(value, "__len__") else (value,):
                names += [inner for inner in unread(item, reads, name) if inner not in names]
        elif name not in reads:
            names.append(name)
    return names
