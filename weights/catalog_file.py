"""Reading catalogue files: TOML tables in, checked tables out; a wrong key is named, never skipped."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prototxt.errors import DownloadError, nearest_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["HASH_DIGITS", "Table", "merge", "parse", "read_toml"]

Table = dict[str, Any]
"""A TOML table."""

HASH_DIGITS = {"sha1": 40, "sha256": 64, "sha384": 96, "gitblob": 40}
"""Hash name → number of hexadecimal digits."""

_STRING, _BOOL, _STRINGS = "a string", "true or false", "a list of strings"
_SIZE, _DIGITS, _NUMBER = "a whole number above 0", "lower-case hexadecimal digits", "a number"
_PAIR, _PAIR_OR_SIDE = "[height, width]", "[height, width] or one whole number"
_BGR, _ORDER = "[blue, green, red]", '"BGR" or "RGB"'
_SHARED = ("labels", "mean")
_MODEL_KEYS = {
    **dict.fromkeys(("title", "source", "licence", "citation", "paper", "note"), _STRING),
    **dict.fromkeys(("features", "classifier", "embedded", "package"), _STRING),
    **dict.fromkeys(("aliases", "tags"), _STRINGS),
    "cam": _BOOL,
}
_MODEL_NEEDS = ("source", "licence", "citation", "cam", "input", "prototxt", "caffemodel")
_FILE_KEYS = {
    "name": _STRING,
    "urls": _STRINGS,
    "size": _SIZE,
    "min_size": _SIZE,
    **dict.fromkeys(HASH_DIGITS, _DIGITS),
}
_INPUT_KEYS = {
    "crop": _PAIR,
    "resize": _PAIR_OR_SIDE,
    "mean_values": _BGR,
    "scale": _NUMBER,
    "color": _ORDER,
}
_ARCHIVE = re.compile(r"\.(zip|tar|tgz|gz|bz2|xz|zst|7z|rar)$", re.IGNORECASE)
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def read_toml(path: Path) -> Table:
    """The tables of a TOML file.

    Raises:
        DownloadError: it cannot be read, or is no TOML; says where.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        remedy = "create the file, or unset CAMCOMPAT_CATALOG"
        raise DownloadError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error
    except ValueError as error:  # TOMLDecodeError and UnicodeDecodeError
        raise DownloadError(f"is not TOML: {error}", where=str(path), remedy="correct that place") from error


def merge(below: Table, above: Table) -> Table:
    """Both tables in one: what ``above`` says wins, tables are merged key by key, lists are replaced.

    >>> merge({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [3]}, "b": 4})
    {'a': {'x': 1, 'y': [3]}, 'b': 4}
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def parse(tables: Table, *, where: str) -> dict[str, Table]:
    """Model name → its table, checked; ``labels`` and ``mean`` that name a shared table are replaced by it.

    Raises:
        DownloadError: an unknown or missing key, or a value of the wrong form.
    """
    _known(tables, ("models", *_SHARED), where)
    for kind in _SHARED:
        for name, table in tables.get(kind, {}).items():
            _check_file(table, f"{where}: {kind}.{name}", embedded=False)
    return {name: _check_model(name, table, tables, where) for name, table in tables.get("models", {}).items()}


def _check_model(name: str, table: Any, tables: Table, where: str) -> Table:
    where = f"{where}: models.{name}"
    if not isinstance(table, dict):
        raise _wrong(where, table, "a table")
    if not _SAFE.fullmatch(name):
        raise DownloadError("the name becomes a folder", where=where, remedy="use letters, digits and . _ + - only")
    _known(table, (*_MODEL_KEYS, "input", "prototxt", "caffemodel", *_SHARED), where)
    for key in _MODEL_NEEDS:
        if key not in table:
            raise DownloadError(f"the key {key!r} is missing", where=where, remedy=f"add {key!r}")
    for key, form in _MODEL_KEYS.items():
        if key in table:
            _check_value(table[key], form, f"{where}.{key}")
    for key in ("crop", "mean_values"):
        if not isinstance(table["input"], dict) or key not in table["input"]:
            raise DownloadError(f"the key {key!r} is missing", where=f"{where}.input", remedy=f"add {key!r}")
    _check_keys(table["input"], _INPUT_KEYS, f"{where}.input")
    whole: Table = {**table, **{kind: _shared(table, kind, tables, where) for kind in _SHARED if kind in table}}
    for kind in ("prototxt", "caffemodel", *_SHARED):
        if kind in whole and not (kind == "labels" and isinstance(whole[kind], list)):
            _check_file(whole[kind], f"{where}.{kind}", embedded="embedded" in whole)
    return whole


def _shared(table: Table, kind: str, tables: Table, where: str) -> Any:
    value = table[kind]
    if isinstance(value, list) and kind == "labels":
        _check_value(value, _STRINGS, f"{where}.{kind}")
    if not isinstance(value, str):
        return value
    shared = tables.get(kind, {})
    if value not in shared:
        remedy = f"known: {', '.join(shared)}; or give a table with name and urls"
        raise DownloadError(f"there is no {kind}.{value}", where=f"{where}.{kind}", remedy=remedy)
    return shared[value]


def _check_file(table: Any, where: str, *, embedded: bool) -> None:
    if not isinstance(table, dict):
        raise _wrong(where, table, "a table with name and urls")
    _check_keys(table, _FILE_KEYS, where)
    for key in ("name",) if embedded else ("name", "urls"):
        if not table.get(key):
            raise DownloadError(f"the key {key!r} is missing", where=where, remedy=f"add {key!r}")
    if not _SAFE.fullmatch(table["name"]):
        raise DownloadError(f"{table['name']!r} is no plain file name", where=where, remedy="leave folders out")
    for text in (table["name"], *(url.split("?")[0] for url in table.get("urls", ()))):
        if _ARCHIVE.search(text):
            raise DownloadError(f"{text!r} is an archive", where=where, remedy="name the file itself: none is unpacked")
    for url in table.get("urls", ()):
        if not re.match(r"https?://[^/\s]+/\S", url):
            raise DownloadError(f"{url!r} is no http address", where=where, remedy="write http:// or https://")
    if not table.keys() & {"size", "min_size", *HASH_DIGITS}:
        remedy = "add size, min_size or a hash"
        raise DownloadError("nothing says how to tell a good file from a bad one", where=where, remedy=remedy)


def _check_keys(table: Mapping[str, Any], forms: Mapping[str, str], where: str) -> None:
    _known(table, tuple(forms), where)
    for key, value in table.items():
        _check_value(value, forms[key], f"{where}.{key}")
        if key in HASH_DIGITS and len(value) != HASH_DIGITS[key]:
            raise _wrong(f"{where}.{key}", f"{len(value)} digits", f"{HASH_DIGITS[key]} digits")


def _known(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            close = nearest_names(key, known)
            remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            raise DownloadError(f"unknown key {key!r}", where=where, remedy=remedy)


def _check_value(value: Any, form: str, where: str) -> None:
    if not _GOOD[form](value):
        raise _wrong(where, value, form)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(_whole(item) for item in value)


def _wrong(where: str, found: object, expected: str) -> DownloadError:
    return DownloadError(f"found {found!r}, expected {expected}", where=where, remedy="correct it")


_GOOD: dict[str, Callable[[Any], bool]] = {
    _STRING: lambda value: isinstance(value, str),
    _BOOL: lambda value: isinstance(value, bool),
    _STRINGS: lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    _SIZE: _whole,
    _DIGITS: lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-f]+", value) is not None,
    _PAIR: _pair,
    _PAIR_OR_SIDE: lambda value: _pair(value) or _whole(value),
    _BGR: lambda value: isinstance(value, list) and len(value) == 3 and all(_number(item) for item in value),
    _NUMBER: _number,
    _ORDER: lambda value: value in ("BGR", "RGB"),
}
