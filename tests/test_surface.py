"""Nothing that users may have in their scripts is gone."""

from __future__ import annotations

import json

import pytest
from surface import RECORDED, surface


@pytest.fixture(scope="module")
def today() -> dict[str, list[str]]:
    return surface()


@pytest.mark.parametrize("what", ["names", "commands", "metadata"])
def test_what_was_public_is_public(what: str, today: dict[str, list[str]]) -> None:
    recorded = json.loads(RECORDED.read_text())[what]
    assert len(recorded) > 30
    gone = sorted(set(recorded) - set(today[what]))
    assert not gone, f"gone: {gone}"
    new = sorted(set(today[what]) - set(recorded))
    assert not new, f"new, and not recorded (python -m tests.surface): {new}"
