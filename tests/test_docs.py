"""docs/layers.md is what the code does, and no layer claims a proof that it does not have."""

from __future__ import annotations

from pathlib import Path

from converters.layers.registry import layer_types
from docs.layers import CASES, PAGE, page


def test_the_page_of_layers_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m docs`"


def test_every_layer_says_what_it_computes() -> None:
    for name, entry in layer_types().items():
        assert entry.summary, name


def test_verified_by_caffe_means_that_there_is_a_case() -> None:
    cased = {path.parent.parent.name for path in Path(CASES).glob("*/*/io.npz")} | {"Input"}
    for entry in set(layer_types().values()):
        if entry.verified == "by Caffe":
            assert cased & {entry.name, *entry.aliases}, f"{entry.name} has no conformance case"
