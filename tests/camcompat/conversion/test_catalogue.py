"""What a CAM file says about itself is what the catalogue says about the network."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from camcompat.conversion.metadata import description
from camcompat.pictures.preprocess import Preprocess
from weights.models import catalog, find


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


@pytest.mark.parametrize("color", ["BGR", "RGB"])
def test_the_mean_image_is_in_the_file_where_it_is_present(color: str, tmp_path: Path) -> None:
    """The ImageNet models subtract a whole image; ten crops take the part of it under each of them."""
    model = replace(find("googlenet-cam-imagenet"), root=tmp_path)
    model = replace(model, input=replace(model.input, color=color))
    flat = [104.00698793, 116.66876762, 122.67891434]
    assert description(model)["preprocess"]["mean"] == (flat if color == "BGR" else flat[::-1])
    image = np.random.default_rng(0).uniform(90, 130, (3, 256, 256))
    model.path("mean").parent.mkdir(parents=True)
    np.save(model.path("mean"), image)
    recipe = Preprocess.from_mapping(
        json.loads(json.dumps(description(model)["preprocess"])), input_shape=("N", 3, 224, 224)
    )
    picture = np.full((256, 256, 3), 7, np.uint8)
    blobs = recipe.blobs(Image.fromarray(picture), recipe.layout(10, (256, 256)))
    expected = 7 - image if color == "BGR" else (7 - image)[::-1]
    assert np.allclose(blobs[1], expected[:, 32:, :224], atol=1e-4)
    assert np.allclose(blobs[0], expected[:, :224, :224], atol=1e-4)
    assert np.allclose(blobs[5], expected[:, :224, :224][:, :, ::-1], atol=1e-4)


@pytest.mark.parametrize("name", [name for name, model in catalog().items() if model.cam])
def test_every_recipe_of_the_catalogue_can_be_carried_out(name: str) -> None:
    model = find(name)
    recipe = Preprocess.from_mapping(description(model)["preprocess"], input_shape=("N", 3, *model.input.crop))
    assert recipe.crop == model.input.crop
    if model.input.resize is None:
        layout = recipe.layout(1, (240, 320))
        assert layout.box(layout.crops[0], (240, 320)) == (0, 0, 320, 240)
