"""The published pipeline: the release's own data and results, and small numbers by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import converters
import weights
from camcompat.cam.pipelines.matlab import Matlab, blend, demo_image, merge_ten_crop, prepare_image, result_picture
from camcompat.cam.result import cam_maps
from camcompat.loading import load
from camcompat.pictures.preprocess import Preprocess, layout_of
from camcompat.pictures.render import colour_index
from prototxt.errors import CamcompatError

TOP5 = [(968, 0.233702), (967, 0.149828), (969, 0.0989611), (550, 0.0879282), (809, 0.0791297)]  # CAM.md, 0-based


@pytest.fixture(scope="module")
def demo(shared: Path) -> Any:
    return np.load(shared / "cam" / "expected" / "demo_img1.npz")


@pytest.fixture(scope="module")
def maps(shared: Path, demo: Any) -> np.ndarray:
    """The low-resolution maps (5, 10, 14, 14) of the release's cached activations."""
    from scipy.io import loadmat

    features = loadmat(shared / "cam" / "data_img1.mat")["activation_lastconv"].transpose(3, 2, 1, 0)
    weights = loadmat(shared / "cam" / "data_net.mat")["weights_LR"].T
    return cam_maps(features, weights, demo["IDX_category_top5"] - 1)


def test_top5_is_the_mean_over_the_crops(shared: Path) -> None:
    from scipy.io import loadmat

    scores = loadmat(shared / "cam" / "data_img1.mat")["scores"].reshape(1000, 10).mean(1)
    best = np.argsort(-scores)[:5]
    assert best.tolist() == [index for index, _ in TOP5]
    assert scores[best] == pytest.approx([score for _, score in TOP5], rel=3e-6)


def test_low_resolution_maps(maps: np.ndarray, demo: Any) -> None:
    expected = demo["cam_lowres"].transpose(2, 3, 1, 0)
    assert np.abs(maps - expected).max() < 1e-5 * expected.max()


@pytest.mark.parametrize("border", ["mirror", "clamp"])
def test_merged_maps_and_their_colours(maps: np.ndarray, demo: Any, border: str) -> None:
    merged = merge_ten_crop(maps, border=border)
    expected = demo[f"merged_matlab_{border}"].transpose(2, 0, 1)
    assert merged.dtype == np.float32 and merged.shape == (5, 256, 256)
    assert np.abs(merged - expected).max() <= 1e-6 * expected.max()
    for rank in range(5):
        assert np.array_equal(colour_index(merged[rank]), demo[f"heatidx_matlab_{border}"][..., rank])


def test_result_picture(shared: Path, maps: np.ndarray, demo: Any) -> None:
    image = demo_image(np.asarray(Image.open(shared / "cam" / "img1.jpg").convert("RGB")))
    assert np.array_equal(image, demo["img256_matlab"])
    assert np.array_equal(result_picture(image, merge_ten_crop(maps)), demo["result_u8_matlab"])


@pytest.mark.parametrize("name", ["img1", "img2"])
def test_crops(shared: Path, name: str) -> None:
    recipe = Preprocess.from_mapping(
        {"resize": [256, 256], "mean": shared / "cam" / "ilsvrc_2012_mean.mat"}, input_shape=(10, 3, 224, 224)
    )
    expected = np.load(shared / "cam" / "expected" / f"prepare_{name}.npz")
    image = np.asarray(Image.open(shared / "cam" / f"{name}.jpg").convert("RGB"))
    for crops, key in ((prepare_image(demo_image(image), recipe), "demo256"), (prepare_image(image, recipe), "raw")):
        assert crops.shape == (10, 3, 224, 224) and crops.dtype == np.float32
        assert np.abs(crops[expected[f"{key}_crop_index"]] - expected[f"crops_{key}"]).max() < 1e-4


def test_cam_maps_by_hand() -> None:
    features = np.arange(2 * 3 * 2 * 2, dtype=np.float32).reshape(2, 3, 2, 2)
    weights = np.array([[1, 0, 0], [0, 1, -1]], np.float32)
    maps = cam_maps(features, weights, [1, 0])
    assert maps.shape == (2, 2, 2, 2) and (maps[0] == -4).all() and np.array_equal(maps[1], features[:, 0])
    assert np.array_equal(cam_maps(features[1], weights, [1, 0]), maps[:, 1])
    with pytest.raises(CamcompatError, match=r"weights \(2, 3\)"):
        cam_maps(features[:, :2], weights, [0])


def test_crop_offsets() -> None:
    """x is the outer loop; an odd margin's half is rounded up here, down in Caffe."""
    for side, margin, centre in ((224, 32, 16), (227, 29, 15)):
        crops = layout_of(10, (256, 256), (side, side), odd="up").crops
        five = [(0, 0), (0, margin), (margin, 0), (margin, margin), (centre, centre)]
        assert [(crop.left, crop.top) for crop in crops] == 2 * five
        assert [crop.mirrored for crop in crops] == [False] * 5 + [True] * 5
    assert layout_of(10, (256, 256), (227, 227)).crops[4].left == 14
    oblong = layout_of(10, (100, 300), (90, 200), odd="up").crops
    assert [(crop.left, crop.top) for crop in oblong[:5]] == [(0, 0), (0, 10), (100, 0), (100, 10), (50, 5)]
    for wrong in ((5, (256, 256), (224, 224)), (1, (200, 256), (224, 224))):
        with pytest.raises(CamcompatError):
            layout_of(*wrong)


def test_merging_sums_absolute_values_of_what_covers() -> None:
    """Constant maps: 3 channels times how many of the ten crops cover a pixel: 2 in corners, 4, 6, all."""
    merged = merge_ten_crop(np.full((10, 4, 5), -2.0), crop=(80, 90), canvas=(100, 120))
    assert merged.shape == (100, 120)
    assert merged[0, 0] == merged[99, 119] == 2 * 2 * 3 and merged[50, 60] == 10 * 2 * 3
    assert merged[50, 0] == 4 * 2 * 3 and merged[50, 16] == 6 * 2 * 3
    one = merge_ten_crop(np.full((1, 4, 5), -2.0), crop=(80, 90), canvas=(100, 120))
    assert one[0, 0] == 0 and one[50, 60] == 6


def test_mirrored_crops_are_turned_back() -> None:
    """A map that rises to the right, seen by the mirrored crops as one that falls, merges to twice the map."""
    rise = np.tile(np.arange(7.0), (7, 1))
    both = merge_ten_crop(np.stack([rise] * 5 + [rise[:, ::-1]] * 5))
    first = merge_ten_crop(np.stack([rise] * 5 + [np.zeros((7, 7))] * 5))
    assert np.abs(both - 2 * first).max() < 1e-3 and both[128, 200] > 5 * both[128, 30]
    with pytest.raises(CamcompatError, match=r"maps of shape \(9, 7, 7\)"):
        merge_ten_crop(np.zeros((9, 7, 7)))


def test_overlay_and_result_picture_by_hand() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    heat = np.array([[0, 1, 2], [2, 2, 2.0]])
    mixed = blend(image, heat)
    assert mixed[0, 0] == pytest.approx([20 / 255, 20 / 255, 20 / 255 + 0.7 * 0.515625])
    picture = result_picture(image, heat[np.newaxis])
    assert picture.shape == (2, 3 + 8 + 3, 3) and (picture[:, 3:11] == 255).all() and (picture[:, :3] == 100).all()
    assert picture[1, 13].tolist() == [round(20 + 0.35 * 255), 20, 20]


def recipe_of(**values: Any) -> Preprocess:
    return Preprocess.from_mapping(values, input_shape=("N", 3, 96, 96))


def test_the_whole_way_through_a_network(cam_file: Callable[..., Path], net: Any, noise: np.ndarray) -> None:
    """Ten crops, scores their mean, the chosen classes' maps of every crop, in the picture's own size."""
    model = load(cam_file(metadata={"preprocess": {"resize": [112, 112], "mean": [100.0, 110.0, 120.0]}}))
    result = model(noise, pipeline="matlab", top=3)
    crops = prepare_image(demo_image(noise, (112, 112)), model.preprocess)
    prob, cams = net(crops)
    mean = prob.mean(0)
    best = np.argsort(-mean)[:3]
    assert result.classes.tolist() == best.tolist() and np.abs(result.scores - mean[best]).max() < 1e-6
    assert result.cams.shape == (3, 10, 12, 12)
    assert np.abs(result.cams - cams[:, best].swapaxes(0, 1)).max() < 1e-5 * np.abs(cams).max()
    assert result.merged.shape == (3, 112, 112) and result.maps.shape == (3, 150, 200)
    assert result.maps.dtype == np.float32 and result.maps.max((1, 2)).tolist() == [1, 1, 1]
    chosen = model(noise, pipeline="matlab", classes=[4, 1])
    assert chosen.classes.tolist() == [4, 1] and np.abs(chosen.scores - mean[[4, 1]]).max() < 1e-6
    assert np.abs(chosen.cams - cams[:, [4, 1]].swapaxes(0, 1)).max() < 1e-5 * np.abs(cams).max()


def test_grey_and_rgb_networks_and_scale(noise: np.ndarray) -> None:
    image = demo_image(noise, (112, 112))
    grey = Preprocess.from_mapping({"resize": [112, 112], "mean": 10, "scale": 0.5}, input_shape=("N", 1, 96, 96))
    luma = image @ np.array([0.299, 0.587, 0.114])
    crops = prepare_image(image, grey)
    assert crops.shape == (10, 1, 96, 96)
    assert np.abs(crops[3, 0] - (luma[16:, 16:] - 10) / 2).max() <= 0.5  # Pillow's luma is rounded
    assert np.array_equal(crops[8], crops[3][:, :, ::-1])
    rgb = recipe_of(resize=[112, 112], mean=[1, 2, 3], channels="RGB")
    assert np.array_equal(prepare_image(image, rgb)[1].transpose(1, 2, 0), image[16:, :96] - np.float32([1, 2, 3]))


def test_figure_is_the_result_picture(cam_file: Callable[..., Path], noise: np.ndarray, tmp_path: Path) -> None:
    model = load(cam_file(metadata={"preprocess": {"resize": [112, 112]}}))
    result = model(noise, pipeline="matlab", top=2)
    picture = np.asarray(result.figure())
    assert np.array_equal(picture, result_picture(demo_image(noise, (112, 112)), result.merged))
    result.save(tmp_path / "result.jpg")
    with Image.open(tmp_path / "result.jpg") as saved, Image.open(tmp_path / "result.jpg") as again:
        luma = saved.quantization[0]
        assert saved.size == (112 + 2 * 120, 112) and luma[0] == 8 and again.format == "JPEG"  # 16 at quality 50
    with pytest.raises(CamcompatError, match="fixed look"):
        result.figure(alpha=0.3)
    boxed = model(noise, pipeline="matlab", top=2, boxes="paper")
    changed = (np.asarray(boxed.figure()) != picture).any((0, 2))
    assert not changed[:112].any() and changed[120:232].any() and changed[240:].any()


def test_border_and_options(cam_file: Callable[..., Path], noise: np.ndarray) -> None:
    model = load(cam_file())
    mirror, clamp = (model(noise, pipeline="matlab", border=border).merged for border in ("mirror", "clamp"))
    assert 0 < np.abs(mirror - clamp).max() < 0.1 * mirror.max()
    assert model(noise, pipeline="matlab", crops=1).cams.shape == (5, 12, 12)
    for options, message in (
        ({"border": "mirror"}, "only pipeline='matlab' has a border rule"),
        ({"pipeline": "matlab", "border": "wrap"}, "use 'mirror' or 'clamp'"),
        ({"pipeline": "octave"}, "use 'plain' or 'matlab'"),
        ({"pipeline": "matlab", "crops": 5}, "use 1 or 10"),
    ):
        with pytest.raises(CamcompatError, match=message):
            model(noise, **options)
    with pytest.raises(CamcompatError, match="the plain pipeline has none"):
        model(noise).merged  # noqa: B018


def test_a_map_without_a_positive_value_is_zero() -> None:
    way = Matlab(recipe_of(resize=[112, 112]), 10)
    heat = way.heat(np.zeros((10, 12, 12), np.float32), (30, 40), (30, 40))
    assert not heat.any() and not way.normalised(heat).any()


HEAD = """
name: "head"
input: "CAM_conv"
input_shape { dim: 10 dim: 1024 dim: 14 dim: 14 }
layer { name: "CAM_pool" type: "Pooling" bottom: "CAM_conv" top: "CAM_pool"
        pooling_param { pool: AVE kernel_size: 14 stride: 14 } }
layer { name: "CAM_fc" type: "InnerProduct" bottom: "CAM_pool" top: "CAM_fc"
        inner_product_param { num_output: 1000 } }
layer { name: "prob" type: "Softmax" bottom: "CAM_fc" top: "prob" }
"""


def test_the_head_of_the_release_as_a_caffe_net(shared: Path, demo: Any, tmp_path: Path) -> None:
    """data_net.mat and the recovered bias, written by us as a caffemodel: the cached scores and maps come out."""
    from scipy.io import loadmat

    data = loadmat(shared / "cam" / "data_img1.mat")
    features = data["activation_lastconv"].transpose(3, 2, 1, 0)
    matrix = loadmat(shared / "cam" / "data_net.mat")["weights_LR"].T
    bias = np.load(shared / "cam" / "expected" / "fc_bias_img1.npz")["bias_mean_centred"].astype(np.float32)
    (tmp_path / "head.prototxt").write_text(HEAD)
    blobs = {"CAM_fc": [np.ascontiguousarray(matrix), bias]}
    weights.write(tmp_path / "head.caffemodel", "head", blobs, types={"CAM_fc": "InnerProduct"})
    converters.to_onnx(tmp_path / "head.prototxt", tmp_path / "head.caffemodel", tmp_path / "head.onnx", cam=True)
    model = load(tmp_path / "head.onnx")
    outputs = model.run(features, top=1000)
    assert np.abs(outputs["prob"] - data["scores"].reshape(1000, 10).T).max() < 2e-6
    top = demo["IDX_category_top5"] - 1
    expected = demo["cam_lowres"].transpose(3, 2, 1, 0)
    for crop in range(10):
        places = np.argsort(outputs["classes"][crop])[top]
        assert np.abs(outputs["cams"][crop, places] - expected[crop]).max() < 1e-5 * expected.max()
    with pytest.raises(CamcompatError, match="takes 1024 channels, no pictures; give its input"):
        model(np.zeros((20, 30), np.uint8))
