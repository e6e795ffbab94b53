"""docs/errors.md is what the source says, and the source says what it should."""

from __future__ import annotations

import ast

import pytest

from docs.error_source import Made, Source, classes, errors, sources
from docs.errors import OTHERWISE, PAGE, page


@pytest.fixture(scope="module")
def files() -> list[Source]:
    return sources()


def test_the_page_of_errors_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m docs errors`"


def test_every_class_says_what_it_means(files: list[Source]) -> None:
    known = classes(files)
    assert {"PrototxtError", "WeightsError", "DownloadError", "ConversionError", "LockError"} <= known.keys()
    for name, (_, meaning) in known.items():
        assert len(meaning) > 20, name


def test_messages_are_read_off_the_source(files: list[Source]) -> None:
    """Samples that were written down by hand: a plain one, a constant of the module, a function that makes errors."""
    made = errors(files)
    found = {(each.kind, each.message): each.remedy for each in made}
    assert found["DownloadError", "there is no model called ‹name›"].startswith("did you mean")
    assert "unpack it and give the file inside" in found["WeightsError", "it is ‹what›, not weights"]
    assert ("PrototxtError", "the file is empty") in found
    assert {each.kind for each in made} >= OTHERWISE.keys()
    assert not [each for each in made if each.message.count("‹") != each.message.count("›")]


def test_alternatives_local_names_and_makers_are_followed() -> None:
    text = """
LATER = "come back later"
class CamcompatError(Exception):
    "Base."
class OddError(CamcompatError):
    "Odd."
def odd(where, problem, remedy=""):
    return OddError(f"{where} {problem}", remedy=remedy)
def passed(message):
    return OddError(message, remedy=LATER)
def check(n):
    message, remedy = f"{n} is odd", "take an even one"
    raise OddError(message, remedy=remedy)
def other(n):
    raise passed(f"it is {'small' if n else 'large'}: {n.size:,}")
def again(error):
    raise OddError(error.message, remedy=error.remedy)
"""
    assert set(errors([Source("m", ast.parse(text))])) == {
        Made("OddError", "‹n› is odd", "take an even one", "m"),
        Made("OddError", "it is ‹…›: ‹size›", "come back later", "m"),
    }
