"""What was found so far, as a file that grows: JSON lines, a header first, so that an evaluation can go on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from camcompat.evaluation.found import Found
from prototxt.errors import CamcompatError

__all__ = ["Journal"]

REMEDY = "name another journal, or delete this one"


class Journal:
    """The journal of one evaluation; a context.

    A line per picture: its path, size and time, and the findings of each pipeline. Pictures that could not be read are
    not written down, so that they are tried again.

    Args:
        path: the file; None: nothing is kept.
        header: what decides about the findings: the network and the options.

    Raises:
        CamcompatError: the file is no journal, or that of another network or of other options.
    """

    def __init__(self, path: str | os.PathLike[str] | None, header: Mapping[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.header: dict[str, Any] = json.loads(json.dumps({"journal": "camcompat evaluate", "version": 1, **header}))
        self.entries: dict[str, dict[str, Any]] = {}
        if self.path is None:
            return
        whole = self._read(self.path) if self.path.exists() else 0
        self._stream = self.path.open("ab")
        self._stream.truncate(whole)
        if not whole:
            self._write(self.header)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.path is not None:
            self._stream.close()

    def _read(self, path: Path) -> int:
        """Take in what is there; the number of bytes up to the last whole line."""
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1  # what follows was cut off in the middle
        try:
            header, *entries = [json.loads(line) for line in data[:whole].splitlines()] or [{}]
            self.entries = {
                str(entry["picture"]): {"stamp": entry["stamp"], "found": entry["found"]} for entry in entries
            }
            foreign = bool(data) and header.get("journal") != self.header["journal"]
        except (ValueError, KeyError, TypeError, AttributeError):
            foreign = True
        if foreign:
            raise CamcompatError("is no journal of an evaluation", where=str(path), remedy=REMEDY)
        if whole:
            self._same(header)
        return whole

    def _same(self, header: Mapping[str, Any]) -> None:
        for key in {**self.header, **header}:
            was, now = header.get(key), self.header.get(key)
            if was != now:
                message = f"is the journal of another evaluation: {key} was {was}, now it is {now}"
                raise CamcompatError(message, where=str(self.path), remedy=REMEDY)

    def take(self, picture: Path) -> dict[str, Found] | None:
        """Return the findings by pipeline, once; None where the picture is not there yet, or has changed since."""
        entry = self.entries.pop(str(picture), None)
        if entry is None or not picture.exists() or entry["stamp"] != _stamp(picture):
            return None
        return {pipeline: Found.of(found) for pipeline, found in entry["found"].items()}

    def add(self, picture: Path, found: Mapping[str, Found]) -> None:
        """Write down the findings."""
        if self.path is not None:
            plain = {pipeline: one.as_dict() for pipeline, one in found.items()}
            self._write({"picture": str(picture), "stamp": _stamp(picture), "found": plain})

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._stream.flush()


def _stamp(picture: Path) -> list[int]:
    """Size and time: whether it is still the same picture."""
    status = picture.stat()
    return [status.st_size, status.st_mtime_ns]
