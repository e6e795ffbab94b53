"""The errors of camcompat: every one says where, what was found, what was expected, and what to do.

They live in the leftmost package so that all others may raise them; nothing here imports anything.
"""

from __future__ import annotations

__all__ = ["CamcompatError", "ConversionError", "DownloadError", "PrototxtError", "WeightsError"]


class CamcompatError(Exception):
    """Base of every error that a user can cause; its text is one line and ends in a remedy.

    Args:
        message: what was found and what was expected.
        where: the place: ``deploy.prototxt:12:3``, a file, a layer.
        remedy: what to do about it.

    >>> str(CamcompatError("it holds HTML", where="net.caffemodel", remedy="download it again"))
    'net.caffemodel: it holds HTML; download it again'
    """

    def __init__(self, message: str, *, where: str = "", remedy: str = "") -> None:
        self.message, self.where, self.remedy = message, where, remedy
        text = f"{where}: {message}" if where else message
        super().__init__(" ".join(f"{text}; {remedy}".split()) if remedy else " ".join(text.split()))


class PrototxtError(CamcompatError):
    """A prototxt that cannot be read, or a net that Caffe itself would refuse."""


class WeightsError(CamcompatError):
    """A weight or mean file that is damaged, foreign, or belongs to another net."""


class DownloadError(CamcompatError):
    """A file that could not be downloaded, or that is not what its catalogue entry says."""


class ConversionError(CamcompatError):
    """A layer, shape or parameter that cannot be converted exactly."""
