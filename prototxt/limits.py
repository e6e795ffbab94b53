"""Every limit on what a file may ask for, in one place: beyond them a file is refused with a typed error.

Model files come from strangers. Without limits a prototxt of 100 bytes can ask for terabytes, and a net of a million
layers for hours. The defaults are far above every published net; each can be raised by the environment variable
``CAMCOMPAT_LIMIT_<NAME>`` (``CAMCOMPAT_LIMIT_LAYERS=50000``) or by `set_limits`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from prototxt.errors import CamcompatError

__all__ = ["Limits", "check_beside", "check_blob", "check_size", "get_limits", "limited", "raise_hint", "set_limits"]

_PREFIX = "CAMCOMPAT_LIMIT_"
_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a file may ask for; every value is a whole number above 0.

    Attributes:
        text_bytes: of a prototxt. The largest published ones have 2 MB.
        nesting: groups within each other in a weight file, protobuf's (its own limit) or HDF5's.
        layers: of a net or a weight file. ResNet-1001 has 3,500.
        blobs_per_layer: bottoms, tops, or stored blobs of one layer.
        unknown_fields: that a prototxt may hold; more of them are no net of any fork.
        axes: of a blob; ``kMaxBlobAxes`` in Caffe's ``blob.hpp``.
        elements: of one item of a blob (axes 1 and on), and of axis 0; after Caffe's "blob size exceeds INT_MAX"
            (``Blob::Reshape``), which counts the batch as well.
        constant_elements: of a constant that a layer's parameters ask for (DummyData, PriorBox, Reorg).
        invented_elements: of a weight blob that is made up (synthetic weights); a stored one takes its file's room.
        nodes: primitives in a converted graph; an LSTM takes about 15 for each time step.
        window: kernel, stride, pad, dilation and ``local_size`` of a layer.
        expansion: how many times its file's size the numbers of an HDF5, .mat or .npy file may take unpacked, beyond
            ``expansion_free``.
        expansion_free: bytes that such a file may unpack to in any case.
        mean_bytes: of a mean file. ImageNet's has 0.8 MB.
        picture_pixels: of a picture; Pillow takes 4 bytes for each.
        picture_expansion: pixels for each byte of a picture's file, beyond ``picture_free``. Photographs have 50 at
            most, a single colour in PNG 1000.
        picture_free: pixels that a picture may have in any case.
        onnx_bytes: of an ONNX file that is scanned before onnxruntime opens it; protobuf itself reads 2 GB at most.
        metadata_bytes: of the ``camcompat`` entry of an ONNX file.

    >>> Limits().axes
    32
    """

    text_bytes: int = 64 * _MIB
    nesting: int = 100
    layers: int = 10_000
    blobs_per_layer: int = 10_000
    unknown_fields: int = 10_000
    axes: int = 32
    elements: int = 2**31 - 1
    constant_elements: int = 1 << 25
    invented_elements: int = 1 << 28
    nodes: int = 50_000
    window: int = 65_536
    expansion: int = 16
    expansion_free: int = 8 * _MIB
    mean_bytes: int = 256 * _MIB
    picture_pixels: int = 1 << 26
    picture_expansion: int = 1024
    picture_free: int = 1 << 22
    onnx_bytes: int = 1 << 31
    metadata_bytes: int = 16 * _MIB

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise CamcompatError(
                    f"the limit {field.name} is {value!r}", where="limits", remedy="give a whole number above 0"
                )


_current: Limits | None = None


def get_limits() -> Limits:
    """The limits in force: those of the environment when first asked, or what `set_limits` was given.

    Raises:
        CamcompatError: an environment variable is not a whole number above 0, or names no limit.

    >>> with limited(layers=5):
    ...     get_limits().layers
    5
    """
    global _current
    if _current is None:
        _current = _from_environment()
    return _current


def set_limits(limits: Limits | None) -> None:
    """Put other limits in force for the whole process; None: those of the environment again."""
    global _current
    _current = limits


@contextmanager
def limited(**values: int) -> Iterator[Limits]:
    """Other limits inside of a with block: ``with limited(layers=50_000): ...``.

    Raises:
        CamcompatError: a value is not a whole number above 0.
    """
    before = get_limits()
    set_limits(replace(before, **values))
    try:
        yield get_limits()
    finally:
        set_limits(before)


def _from_environment() -> Limits:
    known = [field.name for field in fields(Limits)]
    values: dict[str, int] = {}
    for variable, text in os.environ.items():
        if not variable.startswith(_PREFIX):
            continue
        name = variable.removeprefix(_PREFIX).lower()
        if name not in known:
            raise CamcompatError("there is no such limit", where=variable, remedy=f"choose from {', '.join(known)}")
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise CamcompatError(f"it is {text!r}", where=variable, remedy="give a whole number above 0")
        values[name] = int(text)
    return Limits(**values)


def raise_hint(name: str) -> str:
    """How to raise a limit, for the remedy of an error.

    >>> raise_hint("layers")
    'if the file is to be trusted, raise the limit: CAMCOMPAT_LIMIT_LAYERS'
    """
    return f"if the file is to be trusted, raise the limit: {_PREFIX}{name.upper()}"


def check_blob(shape: tuple[int, ...]) -> str:
    """Like `check_size` for a blob with a batch: training files declare thousands, and nobody runs them at once.

    >>> check_blob((2000, 3, 1024, 1024))
    ''
    """
    return check_size(shape[:1]) or check_size((1, *shape[1:]))


def check_size(shape: Iterable[int], name: str = "elements") -> str:
    """ "" where a shape keeps to a limit of elements and to that of axes; else what is wrong with it, in words.

    >>> check_size((1, 3, 224, 224)), check_size((10**9, 10**9))
    ('', '1000000000x1000000000 has 1,000,000,000,000,000,000 elements, the limit is 2,147,483,647')
    """
    limits, count, sizes = get_limits(), 1, tuple(shape)
    if len(sizes) > limits.axes:
        return f"a shape of {len(sizes):,} axes is impossible, Caffe has at most {limits.axes}"
    for size in sizes:
        count *= size
    most: int = getattr(limits, name)
    if count <= most:
        return ""
    many = f"{count:,}" if count < 10**30 else f"more than 10^{len(str(count)) - 1 if count < 10**300 else 300}"
    return f"{'x'.join(map(str, sizes))} has {many} elements, the limit is {most:,}"


def check_beside(name: str, path: Path) -> str:
    """ "" where the other file that a file names lies beside it; else what is wrong with the name, in words.

    Whoever follows a path or a link out of a file of strangers reads whatever they like.

    >>> check_beside("net.onnx.data", Path("net.onnx")), check_beside("../x", Path("net.onnx"))
    ('', "its numbers lie in '../x', which is no plain name of a file beside it")
    """
    plain = all(kind(name).name == name for kind in (PurePosixPath, PureWindowsPath)) and name not in ("", ".", "..")
    if plain and not (path.parent / name).is_symlink():
        return ""
    return f"its numbers lie in {name!r}, which is no plain name of a file beside it"
