"""What a layer's function sees of its layer: parameters, blobs, and a way to refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.graph.dims import Dim, static
from converters.graph.graph import Value
from prototxt.errors import ConversionError
from prototxt.limits import check_size, get_limits, raise_hint

if TYPE_CHECKING:
    from converters.ops import Ops
    from prototxt import Layer

__all__ = ["Fetch", "LayerView", "Params", "unread"]

Fetch = Callable[[int, tuple[int, ...]], "np.ndarray | Value"]
"""Blob index and shape → the array, or the constant that all layers which share it use."""


class LayerView:
    """One layer during lowering.

    Attributes:
        name, type, where: the layer's, `where` as errors print it.
        bottoms, tops: its blobs' names.
        blob_count: how many blobs the caffemodel holds for it; None where weights are invented.
        reads: the parameter fields read so far.
        notes: sentences for the user, each told with the layer's place.
    """

    def __init__(
        self,
        layer: Layer,
        ops: Ops,
        fetch: Fetch,
        blob_count: int | None,
    ) -> None:
        self.layer, self.ops, self._fetch = layer, ops, fetch
        self.name, self.type, self.where = layer.name, layer.type, layer.where
        self.bottoms, self.tops = layer.bottoms, layer.tops
        self.blob_count = blob_count
        self.reads: set[str] = set()
        self.notes: list[str] = []  # what the user should know about how this layer was read
        self.variant = ""  # which of several layers of this type name it is, for `inspect`
        self.blobs: dict[int, Value] = {}

    def params(self, field: str) -> Params:
        """The message of that name, e.g. ``layer.params("pooling_param")``; all defaults where the file has none."""
        self.reads.add(field)
        return Params(getattr(self.layer.message, field), field, self.reads)

    def has_params(self, field: str) -> bool:
        """Whether the file gives that message."""
        return bool(self.layer.message.HasField(field))

    def blob(self, index: int, shape: Sequence[Dim], name: str) -> Value:
        """Blob `index` of the caffemodel as a constant of this shape; `name` is its role (``weight``).

        Raises WeightsError where the file's blob has another shape, or there is none.
        """
        if index not in self.blobs:
            exact = tuple(static(dim, f"the shape of blob {index} ({name}) is needed") for dim in shape)
            if problem := check_size(exact):
                raise self.error(f"blob {index} ({name}): {problem}", raise_hint("elements"))
            found = self._fetch(index, exact)
            if not isinstance(found, Value):
                found = self.ops.const(found, name, dtype="float32", learned=True)
            self.blobs[index] = found
        return self.blobs[index]

    def array(self, index: int, shape: Sequence[Dim], name: str) -> np.ndarray:
        """Like `blob`, for a layer that computes with the numbers."""
        data = self.blob(index, shape, name).data
        assert data is not None
        return data

    def axis(self, axis: int, rank: int) -> int:
        """An axis that may count from the end, checked."""
        if not -rank <= axis < rank:
            raise self.error(f"axis {axis} is outside of a blob with {rank} axes")
        return axis % rank

    def constant(self, count: int) -> None:
        """Refuse to make a constant of so many elements, before it is made."""
        most = get_limits().constant_elements
        if count > most:
            problem = f"it asks for a constant of {count:,} elements, the limit is {most:,}"
            raise self.error(problem, raise_hint("constant_elements"))

    def error(self, message: str, remedy: str = "") -> ConversionError:
        """A `ConversionError` that names this layer; raise it."""
        return ConversionError(message, where=self.where, remedy=remedy)


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
