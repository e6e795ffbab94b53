"""Packages whose names are loaded on first use, so that importing one loads nothing that its parts need."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazy_package"]


def lazy_package(
    package: str, homes: Mapping[str, str], submodules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """The ``__getattr__``, ``__dir__`` and ``__all__`` of a package.

    Args:
        package: its name.
        homes: module → the public names that are taken from it, separated by blanks.
        submodules: modules of the package that are attributes of it without an import of their own.

    >>> get, _, public = lazy_package("prototxt", {"prototxt.limits": "Limits get_limits"})
    >>> get("Limits")().axes, public
    (32, ['Limits', 'get_limits'])
    """
    home = {name: module for module, public in homes.items() for name in public.split()}
    modules = {name: f"{package}.{name}" for name in submodules}
    members = vars(sys.modules[package])

    def get(name: str) -> Any:
        if name in home:
            members[name] = getattr(import_module(home[name]), name)
            return members[name]
        if name in modules:
            return import_module(modules[name])
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def names() -> list[str]:
        return sorted({*members, *home, *(name for name in modules if "." not in name)})

    return get, names, sorted(home)
