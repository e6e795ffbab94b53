"""caffe.io, caffe.Classifier and caffe.Detector in cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import camcompat.pycaffe as caffe
import weights

# Pictures.


def save(path: Path, values: object, mode: str) -> str:
    Image.fromarray(np.array(values, np.uint8), mode).save(path)
    return str(path)


def test_load_image(tmp_path: Path) -> None:
    rgb = save(tmp_path / "rgb.png", [[[255, 0, 51], [0, 102, 255]]], "RGB")
    image = caffe.io.load_image(rgb)
    assert image.shape == (1, 2, 3) and image.dtype == np.float32
    assert np.allclose(image[0], [[1, 0, 0.2], [0, 0.4, 1]])
    grey = caffe.io.load_image(rgb, color=False)
    assert grey.shape == (1, 2, 1)
    assert np.allclose(grey[0, :, 0], [0.2125 + 0.0721 * 0.2, 0.7154 * 0.4 + 0.0721])


def test_load_image_of_other_modes(tmp_path: Path) -> None:
    grey = save(tmp_path / "grey.png", [[0, 51, 255]], "L")
    assert np.allclose(caffe.io.load_image(grey)[0], [[0] * 3, [0.2] * 3, [1] * 3])
    assert caffe.io.load_image(grey, color=False).shape == (1, 3, 1)
    alpha = save(tmp_path / "alpha.png", [[[255, 0, 51, 0]]], "RGBA")
    assert np.allclose(caffe.io.load_image(alpha), [[[1, 0, 0.2]]])
    Image.fromarray(np.array([[[255, 0, 51]]], np.uint8)).quantize(2).save(tmp_path / "palette.png")
    assert np.allclose(caffe.io.load_image(str(tmp_path / "palette.png")), [[[1, 0, 0.2]]])
    Image.fromarray(np.array([[0, 13107, 65535]], np.uint16)).save(tmp_path / "deep.png")
    assert np.allclose(caffe.io.load_image(str(tmp_path / "deep.png"), False)[0, :, 0], [0, 0.2, 1], atol=1e-6)


def bilinear(row: list[float], size: int) -> list[float]:
    """One row by the definition: half-pixel centres, no antialiasing, the minimum beyond the border."""
    low = min(row)
    padded = [low, *row, low]
    result = []
    for i in range(size):
        place = (i + 0.5) * len(row) / size - 0.5 + 1
        left = int(np.floor(place))
        result.append(padded[left] * (left + 1 - place) + padded[left + 1] * (place - left))
    return result


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 11])
@pytest.mark.parametrize("row", [[3.0, -1.0, 4.0, 1.0, 5.0], [0.0, 1.0], [7.0, 2.0, 2.0]])
def test_resize_image_of_one_channel(row: list[float], size: int) -> None:
    resized = caffe.io.resize_image(np.array(row).reshape(1, -1, 1), (1, size))
    assert resized.dtype == np.float32 and resized.shape == (1, size, 1)
    assert np.allclose(resized[0, :, 0], bilinear(row, size), atol=1e-6)


def test_resize_image_of_three_channels_takes_one_range_for_all() -> None:
    """The minimum that lies beyond the border is that of the whole image."""
    image = np.zeros((1, 2, 3))
    image[..., 0], image[..., 1], image[..., 2] = [1, 2], [5, 9], [3, 3]
    resized = caffe.io.resize_image(image, (1, 4))
    assert np.allclose(resized[0, :, 0], [1, 1.25, 1.75, 0.75 * 2 + 0.25 * 1])
    assert np.allclose(resized[0, :, 1], [0.25 * 1 + 0.75 * 5, 6, 8, 0.75 * 9 + 0.25 * 1])
    assert np.allclose(resized[0, :, 2], [0.25 + 2.25, 3, 3, 2.5])


def test_resize_image_of_a_constant_and_of_other_channels() -> None:
    assert (caffe.io.resize_image(np.full((2, 2, 3), 7.0), (5, 4)) == 7).all()
    image = np.array([0.0, 1, 2]).reshape(1, 3, 1) * np.ones((2, 1, 4))
    resized = caffe.io.resize_image(image, (2, 5))  # corners coincide
    assert np.allclose(resized[:, :, 3], [[0, 0.5, 1, 1.5, 2]] * 2)


@pytest.mark.parametrize(("side", "crop", "centre"), [(256, 227, 14), (256, 224, 16), (5, 2, 1), (4, 4, 0)])
def test_oversample(side: int, crop: int, centre: int) -> None:
    """227 out of 256: an odd margin of 29; the centre begins at 14, in MATLAB's rule at 15."""
    image = np.arange(side * side, dtype=np.float32).reshape(side, side, 1)
    crops = caffe.io.oversample([image, image + 0.5], (crop, crop))
    assert crops.shape == (20, crop, crop, 1) and crops.dtype == np.float32
    end = side - crop
    for i, (y, x) in enumerate([(0, 0), (0, end), (end, 0), (end, end), (centre, centre)]):
        window = image[y : y + crop, x : x + crop]
        assert np.array_equal(crops[i], window) and np.array_equal(crops[i + 5], window[:, ::-1])
        assert np.array_equal(crops[10 + i], window + 0.5)
    with pytest.raises(caffe.CaffeError, match="do not fit"):
        caffe.io.oversample([image], (side + 1, 1))


# Transformer.


def transformer() -> caffe.io.Transformer:
    made = caffe.io.Transformer({"data": (10, 3, 2, 2)})
    made.set_transpose("data", (2, 0, 1))
    made.set_channel_swap("data", (2, 1, 0))
    made.set_raw_scale("data", 255)
    made.set_mean("data", np.array([104.0, 117.0, 123.0]))
    made.set_input_scale("data", 0.5)
    return made


def test_the_order_of_preprocess() -> None:
    image = np.random.default_rng(0).random((2, 2, 3)).astype(np.float32)
    before = image.copy()
    found = transformer().preprocess("data", image)
    wanted = (image[:, :, ::-1].transpose(2, 0, 1) * 255 - np.array([104, 117, 123]).reshape(3, 1, 1)) * 0.5
    assert found.dtype == np.float32 and np.allclose(found, wanted, atol=1e-4)
    assert np.array_equal(image, before)
    assert np.allclose(transformer().deprocess("data", found), image, atol=1e-6)


def test_a_swap_that_is_no_exchange_is_undone() -> None:
    made = caffe.io.Transformer({"data": (1, 3, 4, 5)})
    made.set_transpose("data", (2, 1, 0))
    made.inputs = {"data": (1, 3, 5, 4)}
    made.set_channel_swap("data", (1, 2, 0))
    image = np.random.default_rng(1).random((5, 4, 3)).astype(np.float32)
    found = made.preprocess("data", image)
    assert np.array_equal(found, image.transpose(2, 1, 0)[[1, 2, 0]])
    assert np.array_equal(made.deprocess("data", found), image)


def test_preprocess_resizes_first() -> None:
    image = np.random.default_rng(2).random((5, 7, 3)).astype(np.float32)
    small = caffe.io.resize_image(image, (2, 2))
    assert np.allclose(transformer().preprocess("data", image), transformer().preprocess("data", small))


def test_a_mean_image() -> None:
    made = caffe.io.Transformer({"data": (1, 3, 2, 2)})
    mean = np.arange(12.0).reshape(3, 2, 2)
    made.set_mean("data", mean)
    made.set_transpose("data", (2, 0, 1))
    assert np.allclose(made.preprocess("data", np.ones((2, 2, 3))), 1 - mean)
    grey = caffe.io.Transformer({"data": (1, 1, 2, 2)})
    grey.set_mean("data", np.ones((2, 2)))
    assert grey.mean["data"].shape == (2, 2)


def test_what_the_transformer_refuses() -> None:
    made = transformer()
    for call, message in [
        (lambda: made.set_mean("data", np.zeros(2)), "Mean channels incompatible with input"),
        (lambda: made.set_mean("data", np.zeros((3, 256, 256))), "Mean shape incompatible with input shape"),
        (lambda: made.set_mean("data", np.zeros((1, 3, 2, 2))), "Mean shape invalid"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    for call, message in [
        (lambda: made.set_transpose("data", (0, 1)), "Transpose order needs to have the same number of dimensions"),
        (lambda: made.set_channel_swap("data", (0, 1)), "Channel swap needs to have the same number of dimensions"),
        (lambda: made.preprocess("image", np.zeros((2, 2, 3))), "image is not one of the net inputs"),
        (lambda: made.set_raw_scale("image", 1), "image is not one of the net inputs"),
    ]:
        with pytest.raises(Exception, match=message):
            call()


# Messages.


def test_blob_protos() -> None:
    array = np.arange(6.0).reshape(1, 2, 3)
    blob = caffe.io.array_to_blobproto(array, diff=-array)
    assert np.array_equal(caffe.io.blobproto_to_array(blob), array)
    assert np.array_equal(caffe.io.blobproto_to_array(blob, return_diff=True), -array)
    legacy = caffe.proto.caffe_pb2.BlobProto(num=1, channels=3, height=1, width=2, data=range(6))
    assert caffe.io.blobproto_to_array(legacy).shape == (1, 3, 1, 2)
    text = caffe.io.arraylist_to_blobprotovecor_str([array, array[0]])
    again = caffe.io.blobprotovector_str_to_arraylist(text)
    assert [each.shape for each in again] == [(1, 2, 3), (2, 3)] and isinstance(text, bytes)


def test_datums() -> None:
    pixels = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    datum = caffe.io.array_to_datum(pixels, label=4)
    assert datum.label == 4 and datum.data == bytes(range(12)) and not datum.float_data
    assert np.array_equal(caffe.io.datum_to_array(datum), pixels)
    floats = caffe.io.datum_to_array(caffe.io.array_to_datum(pixels / 8))
    assert floats.dtype == float and np.array_equal(floats, pixels / 8)
    with pytest.raises(ValueError, match="Incorrect array shape"):
        caffe.io.array_to_datum(np.zeros((2, 2)))
    with pytest.raises(caffe.CaffeError, match="encoded"):
        caffe.io.datum_to_array(caffe.proto.caffe_pb2.Datum(encoded=True))


# Classifier and Detector, on a net that sums each channel of its 2x2 input.


@pytest.fixture
def sums(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "sum.prototxt").write_text(
        'input: "data" input_shape { dim: 3 dim: 3 dim: 2 dim: 2 } layer { name: "fc" type: "InnerProduct" '
        'bottom: "data" top: "fc" inner_product_param { num_output: 3 bias_term: false } }'
    )
    path = tmp_path / "sum.caffemodel"
    weights.write(path, "sum", {"fc": [np.kron(np.eye(3), np.ones(4))]}, types={"fc": "InnerProduct"})
    return str(tmp_path / "sum.prototxt"), str(path)


def test_classifier(sums: tuple[str, str]) -> None:
    classifier = caffe.Classifier(
        *sums, image_dims=(3, 4), mean=np.array([1.0, 2.0, 3.0]), raw_scale=10, channel_swap=(2, 1, 0)
    )
    rng = np.random.default_rng(3)
    images = [rng.random((3, 4, 3)).astype(np.float32) for _ in range(2)]

    def score(crop: np.ndarray) -> np.ndarray:
        return crop[:, :, ::-1].sum((0, 1)) * 10 - 4 * np.array([1, 2, 3])

    centre = classifier.predict(images, oversample=False)
    assert centre.shape == (2, 3)
    assert np.allclose(centre, [score(image[0:2, 1:3]) for image in images], atol=1e-4)
    corners = [(0, 0), (0, 2), (1, 0), (1, 2), (0, 1)]
    wanted = [np.mean([score(image[y : y + 2, x : x + 2]) for y, x in corners], axis=0) for image in images]
    assert np.allclose(classifier.predict(images), wanted, atol=1e-4)  # 20 crops in batches of 3


def test_classifier_without_image_dims_takes_the_inputs(sums: tuple[str, str]) -> None:
    classifier = caffe.Classifier(*sums)
    image = np.random.default_rng(4).random((6, 5, 3)).astype(np.float32)
    small = caffe.io.resize_image(image, (2, 2))
    assert np.allclose(classifier.predict([image]), [small.sum((0, 1))], atol=1e-5)


def test_image_dims_below_the_crop_are_refused(sums: tuple[str, str]) -> None:
    with pytest.raises(caffe.CaffeError, match="smaller than the input"):
        caffe.Classifier(*sums, image_dims=(1, 4))


def test_detector(sums: tuple[str, str], tmp_path: Path) -> None:
    pixels = np.random.default_rng(5).integers(0, 256, (6, 8, 3))
    path = save(tmp_path / "p.png", pixels, "RGB")
    detector = caffe.Detector(*sums, raw_scale=255)
    windows = [(0, 0, 2, 2), (1, 3, 3, 5), (4, 6, 6, 8), (2, 2, 4, 4)]
    found = detector.detect_windows([(path, windows)])
    assert [each["window"] for each in found] == windows and {each["filename"] for each in found} == {path}
    for each, (top, left, bottom, right) in zip(found, windows):
        assert np.allclose(each["prediction"], pixels[top:bottom, left:right].sum((0, 1)), atol=1e-2)
    assert detector.detect_windows([]) == []
    with pytest.raises(caffe.CaffeError, match="empty"):
        detector.detect_windows([(path, [(3, 3, 3, 5)])])
    with pytest.raises(caffe.CaffeError, match=r"not offered.*MATLAB"):
        detector.detect_selective_search([path])


def test_detector_with_context(sums: tuple[str, str], tmp_path: Path) -> None:
    """R-CNN's context: the window in the middle of the crop, the mean where the picture ends."""
    proto = Path(sums[0])
    proto.write_text(proto.read_text().replace("dim: 2 dim: 2", "dim: 8 dim: 8"))
    weights.write(sums[1], "sum", {"fc": [np.zeros((3, 192))]}, types={"fc": "InnerProduct"})
    detector = caffe.Detector(*sums, mean=np.array([10.0, 20.0, 30.0]), channel_swap=(2, 1, 0), context_pad=2)
    image = np.ones((20, 20, 3), np.float32)
    inside = detector.crop(image, np.array([8, 8, 11, 11]))  # 4 pixels wide with its ends: 2 of context on each side
    assert inside.shape == (8, 8, 3) and (inside == 1).all()
    corner = detector.crop(image, np.array([0, 0, 3, 3]))
    assert np.allclose(corner[0, 0], [30, 20, 10]) and (corner[-1, -1] == 1).all()
    with pytest.raises(caffe.CaffeError, match="context_pad 4"):
        detector.configure_crop(4)
