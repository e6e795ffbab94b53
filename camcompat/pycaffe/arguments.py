"""The three ways in which pycaffe's users have called `caffe.Net`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camcompat.pycaffe.errors import CaffeError

__all__ = ["TEST", "TRAIN", "NetArguments", "net_arguments"]

TRAIN, TEST = 0, 1
_ALIASES = {"param_file": "network_file", "pretrained_file": "weights"}
_MODERN = ("network_file", "phase", "level", "stages", "weights")
_LEGACY = ("network_file", "weights", "phase")
_USAGE = "call caffe.Net(prototxt, caffe.TEST, weights=caffemodel) or caffe.Net(prototxt, caffemodel, caffe.TEST)"


@dataclass(frozen=True)
class NetArguments:
    """What a net is made of."""

    model: str
    phase: int
    level: int = 0
    stages: tuple[str, ...] = ()
    weights: str | None = None


def _is_path(value: Any) -> bool:
    return isinstance(value, (str, os.PathLike))


def net_arguments(args: Sequence[Any], kwargs: Mapping[str, Any]) -> NetArguments:
    """The arguments of `caffe.Net` in one form.

    Raises:
        CaffeError: they are none of the three forms, or a file is missing.

    >>> net_arguments((__file__, __file__, TEST), {}).phase
    1
    """
    names = _LEGACY if len(args) > 1 and _is_path(args[1]) else _MODERN
    given = dict(zip(names, args))
    for key, value in kwargs.items():
        name = _ALIASES.get(key, key)
        if name not in _MODERN or name in given:
            problem = "given twice" if name in given else "unknown"
            raise CaffeError(f"caffe.Net: the argument {key} is {problem}", remedy=_USAGE)
        given[name] = value
    if len(args) > len(names) or not _is_path(given.get("network_file")):
        raise CaffeError("caffe.Net: these arguments are none that pycaffe takes", remedy=_USAGE)
    phase = given.get("phase", TEST if "weights" in given else None)  # the oldest form has no phase
    if isinstance(phase, bool) or phase not in (TRAIN, TEST):
        raise CaffeError(f"caffe.Net: the phase is {phase!r}, not caffe.TEST or caffe.TRAIN", remedy=_USAGE)
    files = [os.fspath(given[name]) for name in ("network_file", "weights") if given.get(name) is not None]
    for path in files:
        if not Path(path).is_file():
            raise CaffeError("Could not open file: there is none", where=path, remedy="check the path")
    stages = given.get("stages") or ()
    stages = (stages,) if isinstance(stages, str) else tuple(stages)
    weights = files[1] if len(files) > 1 else None
    return NetArguments(files[0], int(phase), int(given.get("level") or 0), stages, weights)
