"""The error of wrong usage: pycaffe raises RuntimeError or Exception, with Caffe's own abort behind most of them."""

from __future__ import annotations

from typing import NoReturn

from prototxt.errors import CamcompatError

__all__ = ["CaffeError", "not_offered"]


class CaffeError(CamcompatError, RuntimeError):
    """What pycaffe would raise as RuntimeError, or abort the process for."""


def not_offered(what: str, why: str, remedy: str) -> NoReturn:
    """Refuse a part of pycaffe that this stand-in does not have; CaffeError, always."""
    raise CaffeError(f"{what} is not offered: {why}", where="camcompat.pycaffe", remedy=remedy)
