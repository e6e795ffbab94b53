"""The errors of camcompat: every one says where, what was found, what was expected, and what to do.

They live in the leftmost package so that all others may raise them; nothing here imports another module of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

__all__ = [
    "CamcompatError", "ConversionError", "DownloadError", "PrototxtError", "WeightsError", "escaped", "nearest_names",
    "printable",
]  # fmt: skip


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
        super().__init__(printable(f"{text}; {remedy}" if remedy else text))


_LONGEST = 2000  # characters of an error; names in files may have a million


def printable(text: str) -> str:
    """A text as one line that a terminal can show: blanks collapsed, its middle left out where it is too long.

    Names come from files: an escape sequence in one could rewrite what the terminal shows.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    return escaped(" ".join(text.split()))


def escaped(text: str) -> str:
    """A text whose control characters, line ends among them, stand as escapes.

    >>> print(escaped("a" + chr(27) + "[2J"))
    a\\x1b[2J
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class PrototxtError(CamcompatError):
    """A prototxt that cannot be read, or a net that Caffe itself would refuse."""


class WeightsError(CamcompatError):
    """A weight or mean file that is damaged, foreign, or belongs to another net."""


class DownloadError(CamcompatError):
    """A file that could not be downloaded, or that is not what its catalogue entry says."""


class ConversionError(CamcompatError):
    """A layer, shape or parameter that cannot be converted exactly."""


_TYPED = 100  # characters of a name that a person misspells
_MOST = 2000  # names that are looked at


def nearest_names(name: str, known: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """Up to `count` of the known names that resemble a misspelt one, the best first, for a remedy.

    At a bounded price, since difflib's time grows with the square of a name: none for names of absurd length.

    Args:
        cutoff: how alike they must be, from 0 to 1.

    >>> nearest_names("conv1_1", ["conv1", "pool1"])
    ['conv1']
    >>> nearest_names("x" * 1_000_000, ["x" * 999_999])
    []
    """
    from difflib import get_close_matches  # only where something is wrong already

    if len(name) > _TYPED:
        return []
    candidates = (other for other in islice(known, _MOST) if len(other) <= _TYPED)
    return get_close_matches(name, list(dict.fromkeys(candidates)), count, cutoff)
