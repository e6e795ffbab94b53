"""How patient a download is."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace

from prototxt.errors import DownloadError

__all__ = ["Policy"]


@dataclass(frozen=True)
class Policy:
    """How patient a download is; times in seconds.

    Args:
        retries: how often an address is tried again after a broken connection or an error of the server (429, 5xx).
        backoff: the pause before the first retry; it doubles every time. A server's Retry-After may lengthen it.
        longest_pause: no pause is longer, whatever a server asks for.
        connect_timeout, read_timeout: how long to wait for the connection, and for the next bytes.
        min_speed, min_speed_time: bytes per second, on average over so many seconds, below which a server is given up.
        chunk: bytes per write.
        patience: how long to wait for another process that is fetching the same file.

    >>> Policy().read_timeout
    60.0
    """

    retries: int = 2
    backoff: float = 0.5
    longest_pause: float = 30.0
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    min_speed: float = 1000.0
    min_speed_time: float = 60.0
    chunk: int = 1 << 16
    patience: float = 600.0

    @classmethod
    def of_environment(cls) -> Policy:
        """The defaults, with $CAMCOMPAT_TIMEOUT as both timeouts and $CAMCOMPAT_RETRIES as the retries, where set.

        Raises:
            DownloadError: one of them is no number.
        """
        policy, timeout, retries = cls(), _number("CAMCOMPAT_TIMEOUT"), _number("CAMCOMPAT_RETRIES")
        if timeout is not None:
            policy = replace(policy, connect_timeout=timeout, read_timeout=timeout)
        return policy if retries is None else replace(policy, retries=int(retries))


def _number(variable: str) -> float | None:
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    # A timeout of 0 would forbid every connection, and sockets know no infinity.
    if not (0 if variable == "CAMCOMPAT_RETRIES" else 0.001) <= value <= 1e6:
        raise DownloadError(f"{text!r} is no such number", where=f"${variable}", remedy="set it to a number above 0")
    return value
