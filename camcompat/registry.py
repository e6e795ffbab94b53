"""What users choose by name, such as a box rule: one object in one module of a folder, with the options it takes."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Option", "Registry"]


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


@dataclass(frozen=True)
class Option:
    """An option of what is chosen by name: a keyword argument in Python, ``--name`` on the command line.

    Attributes:
        name: of the argument.
        type: of the value: ``int``, ``float``, ``bool`` for a flag, or the words that it may be.
        default: the value where none is given.
        help: a sentence for ``--help``.
        metavar: what stands for the value there; None: the name of its type.
        count: how many values there are.
    """

    name: str
    type: type | tuple[str, ...]
    default: Any
    help: str
    metavar: str | None = None
    count: int = 1


class Registry(Generic[Entry]):
    """Entries by name. Every module of the folder adds its own; they are imported when the first name is asked for.

    Args:
        folder: the package whose modules hold the entries.
        default: the name that stands first.
    """

    def __init__(self, folder: str, *, default: str) -> None:
        self._folder, self._default = folder, default
        self._entries: dict[str, Entry] = {}
        self._complete = False

    def add(self, entry: Entry) -> None:
        """Register an entry under its name.

        Raises:
            ValueError: another entry has this name.
        """
        if self._entries.setdefault(entry.name, entry) is not entry:
            raise ValueError(f"{self._folder}: two entries are called {entry.name!r}")

    def names(self) -> tuple[str, ...]:
        """Return all names: the default first, the others in alphabetical order."""
        if not self._complete:
            folder = import_module(self._folder)
            for module in pkgutil.iter_modules(folder.__path__, f"{self._folder}."):
                import_module(module.name)
            self._complete = True
        return tuple(sorted(self._entries, key=lambda name: (name != self._default, name)))

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> Entry:
        self.names()
        return self._entries[name]
