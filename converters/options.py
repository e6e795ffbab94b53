"""What a conversion may be told: one object on its way from the user to the file, which records it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias

from prototxt.errors import ConversionError

__all__ = ["Options", "Shapes"]

Shapes: TypeAlias = "Mapping[str, Sequence[int]] | None"

OF_THE_NET = ("outputs", "input_shapes", "keep_losses")
# How many maps a file gives is its initializer "k", and a smaller dtype stands in it beside what it cost.
ELSEWHERE = ("top_k", "dtype")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a conversion; whoever makes a form of a net reads here what concerns it.

    Attributes:
        outputs: the blobs to return (any blob of the net); None: the net's own outputs.
        input_shapes: input name → another shape than the definition declares.
        keep_losses: of a training definition: True keeps losses and labels; see `prototxt.deploy`.
        symbolic_batch: False fixes the batch axis at its declared size.
        cam: True adds the class activation maps; None: where there is a head, the outputs are the net's own, and the
            file is not portable.
        top_k: how many maps the ONNX file gives where k is not fed.
        fold: BatchNorm, Scale, Bias and Power become part of the layer before them.
        winograd: large convolutions in a form of half the multiplications; None: in files with maps.
        portable: an ONNX file for other runtimes than onnxruntime.
        dtype: of the ONNX file: "float32", "fp16" or "int8".

    Raises:
        ConversionError: two of them contradict each other.

    >>> Options(outputs=["conv1"], winograd=True).recorded()
    {'outputs': ['conv1'], 'winograd': True}
    """

    outputs: Sequence[str] | None = None
    input_shapes: Shapes = None
    keep_losses: bool | None = None
    symbolic_batch: bool = True
    cam: bool | None = None
    top_k: int = 5
    fold: bool = True
    winograd: bool | None = None
    portable: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if self.winograd and self.portable:
            raise ConversionError("a portable file has no Winograd's form", remedy="choose portable or winograd")
        if self.winograd and self.dtype == "int8":  # the quantiser takes plain convolutions
            object.__setattr__(self, "winograd", False)

    def wants_cam(self) -> bool:
        """Whether a CAM head is looked for."""
        return self.outputs is None and not self.portable if self.cam is None else self.cam

    def in_winograds_form(self, *, cam: bool) -> bool:
        """Whether large convolutions of an ONNX file with or without class activation maps take that form."""
        if self.dtype == "int8":
            return False
        return cam and not self.portable if self.winograd is None else self.winograd

    def recorded(self, only: Sequence[str] | None = None) -> dict[str, Any]:
        """What was chosen otherwise than by default, for a file's provenance; `only`: of these."""
        names = [field.name for field in fields(self) if field.name in (only or field.name)]
        chosen = {name: getattr(self, name) for name in names if name not in ELSEWHERE}
        if self.wants_cam() == replace(self, cam=None).wants_cam():
            chosen.pop("cam", None)  # to ask for what is there anyhow changes nothing in the file
        return {
            name: value
            for name, value in chosen.items()
            if (value is not None if (usual := getattr(type(self), name)) is None else value != usual)
        }
