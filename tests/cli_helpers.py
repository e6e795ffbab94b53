"""What tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable

import click.testing

__all__ = ["Run", "refused"]

Run = Callable[..., click.testing.Result]


def refused(result: click.testing.Result, *parts: str) -> None:
    """Exit status 1, one line of error that holds all parts, and no traceback."""
    assert result.exit_code == 1, result.output
    errors = [line for line in result.stderr.splitlines() if not line.startswith("note: ")]
    assert len(errors) == 1, result.stderr
    for part in parts:
        assert part in errors[0], errors[0]
