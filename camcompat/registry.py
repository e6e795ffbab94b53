"""What users choose by name, such as a box rule: an object each, in a module of its own, found by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Registry"]


class Named(Protocol):
    """What a registry holds."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """Entries by name. Every module of a folder adds its own; they are imported when the first name is asked for.

    Args:
        folder: the package whose modules hold the entries.
        order: entry → what all of them are sorted by.
    """

    def __init__(self, folder: str, *, order: Callable[[Entry], Any]) -> None:
        self._folder, self._order = folder, order
        self._entries: dict[str, Entry] = {}
        self._complete = False

    def add(self, entry: Entry) -> Entry:
        """Register an entry under its name, and return it.

        Raises:
            ValueError: another entry has this name.
        """
        if self._entries.setdefault(entry.name, entry) is not entry:
            raise ValueError(f"{self._folder}: two entries are called {entry.name!r}")
        return entry

    def __iter__(self) -> Iterator[Entry]:
        if not self._complete:
            for module in iter_modules(import_module(self._folder).__path__):
                import_module(f"{self._folder}.{module.name}")
            self._complete = True
        return iter(sorted(self._entries.values(), key=self._order))

    def names(self) -> tuple[str, ...]:
        """Return all names, in order."""
        return tuple(entry.name for entry in self)

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __getitem__(self, name: str) -> Entry:
        return {entry.name: entry for entry in self}[name]
