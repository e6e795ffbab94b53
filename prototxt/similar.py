"""The nearest known name to a misspelt one, at a bounded price: difflib's time grows with the square of a name."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

__all__ = ["nearest_names"]

_LONGEST = 100  # characters of a name that a person misspells
_MOST = 2000  # names that are looked at


def nearest_names(name: str, known: Iterable[str], count: int = 1) -> list[str]:
    """Up to `count` of the known names that resemble a name, the best first; none for names of absurd length.

    >>> nearest_names("conv1_1", ["conv1", "pool1"])
    ['conv1']
    >>> nearest_names("x" * 1_000_000, ["x" * 999_999])
    []
    """
    if len(name) > _LONGEST:
        return []
    candidates = (each for each in islice(known, _MOST) if len(each) <= _LONGEST)
    return get_close_matches(name, list(dict.fromkeys(candidates)), count)
