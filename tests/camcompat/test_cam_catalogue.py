"""What a CAM file says about itself is what the catalogue says about the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from camcompat.catalogue import description
from camcompat.preprocess import Preprocess
from weights.catalog import catalog, find


def test_shapes_cam(shared: Path) -> None:
    found = description(find("shapes-cam"))
    assert found["labels"] == (shared / "shapes-cam" / "labels.txt").read_text().split()
    recipe = {"resize": [112, 112], "crop": [96, 96], "mean": [104, 117, 123], "scale": 1, "channels": "BGR"}
    assert found["preprocess"] == recipe
    assert found["source"]["name"] == "shapes-cam" and found["source"]["licence"]


def test_mean_is_in_the_networks_channel_order() -> None:
    model = find("shapes-cam")
    rgb = replace(model, input=replace(model.input, color="RGB", mean_values=(1.0, 2.0, 3.0), resize=128))
    assert description(rgb)["preprocess"] | {"crop": 0} == {
        "resize": 128,
        "crop": 0,
        "mean": [3.0, 2.0, 1.0],
        "scale": 1.0,
        "channels": "RGB",
    }


@pytest.mark.parametrize("name", [name for name, model in catalog().items() if model.cam])
def test_every_recipe_of_the_catalogue_can_be_carried_out(name: str) -> None:
    model = find(name)
    recipe = Preprocess.from_mapping(description(model)["preprocess"], input_shape=("N", 3, *model.input.crop))
    assert recipe.crop == model.input.crop
    if model.input.resize is None:
        layout = recipe.layout(1, (240, 320))
        assert layout.box(layout.crops[0], (240, 320)) == (0, 0, 320, 240)
