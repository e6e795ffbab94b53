"""CAM files on onnxruntime: the numbers of numpy, every documented way to ask, and the errors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import camcompat
from camcompat import CamcompatError, load

CamFile = Callable[..., Path]
LABELS = ["circle", "square", "star", "ring", "cross", "heart", "arrow"]
RECIPE = {"resize": [112, 128], "crop": [96, 96], "mean": [100.0, 110.0, 120.0], "scale": 0.5, "channels": "BGR"}
METADATA = {"format": 1, "input": "data", "prob": "prob", "labels": LABELS, "preprocess": RECIPE}


@pytest.fixture
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(11)
    sizes = [(150, 200), (96, 96), (60, 400)]
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)) for size in sizes]


def by_hand(picture: Image.Image) -> np.ndarray:
    """RECIPE, in other words than those under test: resize to 128 wide, 112 high; crop from (16, 8)."""
    rgb = np.asarray(picture.resize((128, 112), Image.Resampling.BILINEAR), np.float64)[8:104, 16:112]
    planes = [(rgb[..., 2] - 100) / 2, (rgb[..., 1] - 110) / 2, (rgb[..., 0] - 120) / 2]
    return np.stack(planes)[np.newaxis].astype(np.float32)


def test_run_gives_the_numbers_of_numpy(cam_file: CamFile, net: Any) -> None:
    x = (np.random.default_rng(2).standard_normal((3, 3, 96, 96)) * 60).astype(np.float32)
    prob, maps = net(x)
    outputs = load(cam_file()).run(x, top=4)
    order = np.argsort(-prob, axis=1)[:, :4]
    assert np.array_equal(outputs["classes"], order) and outputs["classes"].dtype == np.int64
    assert np.abs(outputs["prob"] - prob).max() < 1e-6
    assert np.abs(outputs["scores"] - np.take_along_axis(prob, order, 1)).max() < 1e-6
    assert outputs["cams"].shape == (3, 4, 12, 12) and outputs["cams"].dtype == np.float32
    expected = np.take_along_axis(maps, order[:, :, np.newaxis, np.newaxis], 1)
    assert np.abs(outputs["cams"] - expected).max() < 1e-5 * np.abs(maps).max()


def test_call_reads_prepares_runs_and_names(cam_file: CamFile, net: Any, pictures: list[Image.Image]) -> None:
    model = load(cam_file(metadata=METADATA))
    for picture in pictures:
        prob, maps = net(by_hand(picture))
        result = model(picture, top=3)
        order = np.argsort(-prob[0])[:3]
        assert result.classes.tolist() == order.tolist()
        assert result.labels == tuple(LABELS[index] for index in order)
        assert np.abs(result.scores - prob[0, order]).max() < 1e-5
        assert np.abs(result.cams - maps[0, order]).max() < 1e-4 * np.abs(maps).max()
        assert result.image.size == picture.size and result.maps.shape == (3, picture.height, picture.width)


PECULIARITIES = [{}, {"batch": 2}, {"batch": 1}, {"size": ("H", "W")}]


@pytest.mark.parametrize("peculiarity", PECULIARITIES)
@pytest.mark.parametrize("options", [{}, {"crops": 10}, {"pipeline": "matlab"}])
def test_several_equal_single(
    cam_file: CamFile, pictures: list[Image.Image], peculiarity: dict[str, Any], options: dict[str, Any]
) -> None:
    model = load(cam_file(metadata=METADATA, **peculiarity))
    results = model(iter(pictures), top=7, batch_size=2, **options)
    assert isinstance(results, list) and len(results) == 3
    for picture, result in zip(pictures, results, strict=True):
        single = model(picture, top=7, **options)
        assert np.array_equal(single.classes, result.classes) and single.labels == result.labels
        assert np.allclose(single.scores, result.scores, atol=1e-6)
        assert np.allclose(single.cams, result.cams, atol=1e-5)
        assert result.image is picture


def test_lists_tuples_and_generators(cam_file: CamFile, pictures: list[Image.Image], tmp_path: Path) -> None:
    model = load(cam_file())
    path = tmp_path / "a.png"
    pictures[0].save(path)
    sources = [path, str(path), pictures[0], np.asarray(pictures[0]), path.open("rb")]
    for several in (sources, tuple(sources[:4]), (source for source in sources[:4])):
        results = model(several)
        assert len({result.scores.tobytes() for result in results}) == 1
    assert [result.source for result in results] == [str(path), str(path), "", ""]
    assert model([]) == []


def test_a_stream_reads_no_more_than_a_batch_ahead(cam_file: CamFile, noise: np.ndarray) -> None:
    taken = []

    def endless() -> Any:
        while True:
            taken.append(1)
            yield noise

    stream = load(cam_file()).stream(endless(), batch_size=3)
    for _ in range(4):
        assert len(next(stream)) == 5
    assert len(taken) == 6


def test_what_comes_before_a_bad_picture_is_still_mapped(cam_file: CamFile, noise: np.ndarray, tmp_path: Path) -> None:
    for batch_size in (1, 2, 8):
        stream = load(cam_file()).stream([noise, noise, tmp_path / "none.png", noise], batch_size=batch_size)
        assert len(next(stream)) == len(next(stream)) == 5
        with pytest.raises(CamcompatError, match=r"none.png: no such file"):
            next(stream)
        assert not list(stream)


def test_ten_crops_average_over_what_the_crops_say(cam_file: CamFile, net: Any, noise: np.ndarray) -> None:
    model = load(cam_file(metadata=METADATA))
    rgb = np.asarray(Image.fromarray(noise).resize((128, 112), Image.Resampling.BILINEAR), np.float64)
    bgr = ((rgb[:, :, ::-1] - [100.0, 110.0, 120.0]) / 2).transpose(2, 0, 1)
    corners = [(0, 0), (16, 0), (0, 32), (16, 32), (8, 16)]
    five = [bgr[:, y : y + 96, x : x + 96] for y, x in corners]
    prob, maps = net(np.stack([*five, *(crop[:, :, ::-1] for crop in five)]).astype(np.float32))
    mean = prob.mean(0)
    best = np.argsort(-mean)[:4]
    result = model(noise, crops=10, top=4)
    assert result.classes.tolist() == best.tolist() and np.abs(result.scores - mean[best]).max() < 1e-5
    assert np.abs(result.cams - maps[:, best].swapaxes(0, 1)).max() < 1e-4 * np.abs(maps).max()


def test_equal_runs_give_equal_bits(cam_file: CamFile, pictures: list[Image.Image]) -> None:
    path = cam_file(metadata=METADATA)
    first, second = (load(path, threads=2)(pictures[0], top=7) for _ in range(2))
    assert first.cams.tobytes() == second.cams.tobytes() and first.scores.tobytes() == second.scores.tobytes()


def test_top_is_all_where_the_net_has_fewer(cam_file: CamFile, noise: np.ndarray) -> None:
    model = load(cam_file())
    assert len(model(noise)) == 5 and len(model(noise, top=1)) == 1 and len(model(noise, top=1000)) == 7
    with pytest.raises(CamcompatError, match="top is 0"):
        model(noise, top=0)


def test_chosen_classes_by_index_and_label(cam_file: CamFile, net: Any, pictures: list[Image.Image]) -> None:
    model = load(cam_file(metadata=METADATA))
    prob, maps = net(by_hand(pictures[0]))
    result = model(pictures[0], classes=[6, "Circle", np.int64(3)])
    assert result.classes.tolist() == [6, 0, 3] and result.labels == ("arrow", "circle", "ring")
    assert np.abs(result.scores - prob[0, [6, 0, 3]]).max() < 1e-5
    assert np.abs(result.cams - maps[0, [6, 0, 3]]).max() < 1e-4 * np.abs(maps).max()
    assert model(pictures[0], classes="star").classes.tolist() == [2]
    for classes, message in (([7], "class 7"), (["stars"], "did you mean 'star'"), ([], "is empty")):
        with pytest.raises(CamcompatError, match=message):
            model(pictures[0], classes=classes)


def test_heat_lies_on_the_object(tmp_path: Path, cam_file: CamFile, net: Any) -> None:
    """A net of three features, the colours; its maps must point at the coloured squares of the whole picture."""
    colours = type(net)(features=3, classes=3)
    colours.conv[:] = -1 / 192
    for feature in range(3):
        colours.conv[feature, 2 - feature] = 2 / 192  # BGR: feature 0 is red
    colours.fc[:], colours.bias[:] = np.eye(3), 0
    model = load(cam_file(of=colours), labels=["red", "green", "blue"], preprocess={"mean": 0, "resize": [112, 112]})
    picture = Image.new("RGB", (400, 300), (90, 90, 90))
    picture.paste((255, 0, 0), (250, 60, 310, 120))
    picture.paste((0, 0, 255), (60, 180, 120, 240))
    result = model(picture, classes=["red", "blue"])
    for heatmap, (x, y) in zip(result.maps, [(280, 90), (90, 210)], strict=True):
        rows, columns = np.nonzero(heatmap > 0.5)
        assert abs(columns.mean() + 0.5 - x) < 8 and abs(rows.mean() + 0.5 - y) < 8  # a cell is 29 x 21 pixels
    result.save(tmp_path / "colours.png")


def test_file_without_metadata(cam_file: CamFile, noise: np.ndarray, net: Any) -> None:
    model = load(cam_file())
    assert model.labels is None and model.metadata == {}
    assert model.preprocess.crop == (96, 96) and model.preprocess.resize == (110, 110)
    result = model(noise, top=2)
    assert result.labels == tuple(f"class {index}" for index in result.classes)
    rgb = np.asarray(Image.fromarray(noise).resize((110, 110), Image.Resampling.BILINEAR))[7:103, 7:103]
    x = (rgb[:, :, ::-1] - np.array([104.0, 117.0, 123.0])).transpose(2, 0, 1)[np.newaxis]
    assert np.abs(result.scores - np.sort(net(x)[0][0])[::-1][:2]).max() < 1e-5
    with pytest.raises(CamcompatError, match="the network has no labels"):
        model(noise, classes=["star"])


def test_labels_and_preprocess_of_the_caller_win(cam_file: CamFile, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("\n".join("abcdefg"))
    model = load(cam_file(metadata=METADATA), labels=tmp_path / "names.txt", preprocess={"resize": None})
    assert model.labels == tuple("abcdefg")
    assert model.preprocess.resize is None and model.preprocess.scale == 0.5
    with pytest.raises(CamcompatError, match="2 labels for a network of 7 classes"):
        load(cam_file(), labels=["a", "b"])
    with pytest.raises(CamcompatError, match="unknown preprocessing key 'size'"):
        load(cam_file(), preprocess={"size": 3})


def test_file_with_a_fixed_k(cam_file: CamFile, noise: np.ndarray) -> None:
    model = load(cam_file(k=False))
    assert len(model(noise, top=5)) == 5 and len(model(noise, top=2)) == 2
    for request in ({"top": 6}, {"classes": [0]}, {"crops": 10}):
        with pytest.raises(CamcompatError, match="gives 5 classes and has no input 'k'"):
            model(noise, **request)


def test_file_without_cams(cam_file: CamFile) -> None:
    with pytest.raises(CamcompatError, match=r"no output scores, classes, cams \(it has prob\).*camcompat convert"):
        load(cam_file(cams=False))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"threads": 0}, "threads is 0"),
        ({"providers": ["NoExecutionProvider"]}, "has no 'NoExecutionProvider'; it has .*CPUExecutionProvider"),
    ],
)
def test_wrong_options(cam_file: CamFile, argument: dict[str, Any], message: str) -> None:
    with pytest.raises(CamcompatError, match=message):
        load(cam_file(), **argument)


def test_options(cam_file: CamFile, noise: np.ndarray) -> None:
    for providers in (["CPUExecutionProvider"], "CPUExecutionProvider", [("CPUExecutionProvider", {})], ["cpu"], "Cpu"):
        model = load(cam_file(), threads=1, providers=providers)
        assert model.session.get_session_options().intra_op_num_threads == 1
        assert len(model(noise)) == 5
    assert repr(model) == "<Model net.onnx: 7 classes, input data 3x96x96>"


@pytest.mark.parametrize("shape", [(3, 96, 96), (0, 3, 96, 96), (1, 1, 96, 96), (1, 3, 95, 96)])
def test_run_names_the_expected_shape(cam_file: CamFile, shape: tuple[int, ...]) -> None:
    with pytest.raises(CamcompatError, match=r"input 'data': found an array of shape .*, expected \(N, 3, 96, 96\)"):
        load(cam_file()).run(np.zeros(shape, np.float32))


def test_call_refuses(cam_file: CamFile, noise: np.ndarray, tmp_path: Path) -> None:
    model = load(cam_file())
    with pytest.raises(CamcompatError, match="expected several; pass a list"):
        model.stream(noise)
    with pytest.raises(CamcompatError, match="batch_size is 0"):
        model([noise], batch_size=0)
    with pytest.raises(CamcompatError, match=r"none.png: no such file"):
        model([noise, tmp_path / "none.png"])
    with pytest.raises(CamcompatError, match="found NoneType, expected a path"):
        model(None)
    for boxes in ("paper-box", ("dt-box", 3), {"thresholds": (1, 2, 3)}, 7):
        with pytest.raises(CamcompatError, match="use 'dt-box' or 'paper'"):
            model(noise, boxes=boxes)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (20_000, 1), (20_000, 150), (3, 9000)])
@pytest.mark.parametrize("options", [{}, {"crops": 10}, {"pipeline": "matlab"}])
@pytest.mark.parametrize("resize", [112, [112, 112], None])
def test_pictures_of_any_size(
    cam_file: CamFile, size: tuple[int, int], options: dict[str, Any], resize: Any, tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    result = load(cam_file(), preprocess={"resize": resize})(pixels, top=1, **options)
    heatmap = result.maps[0]
    assert heatmap.shape == (size[1], size[0]) and np.isfinite(heatmap).all()
    result.save(tmp_path / "a.png")


def test_public_names() -> None:
    for name in camcompat.__all__:
        assert getattr(camcompat, name).__doc__ and name in dir(camcompat)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        camcompat.lod  # noqa: B018
