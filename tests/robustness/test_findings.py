"""What fuzzing and hostile files found in this project, each as small as it can be told; none of them comes back."""

from __future__ import annotations

import base64
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from small_nets import net as small_net

import prototxt
import weights
from camcompat.pictures.images import read_image
from fuzz.attacks_onnx import good
from prototxt.errors import CamcompatError, ConversionError, PrototxtError, WeightsError
from weights.files.wire import delimited, tag, varint


def read_all(path: Path) -> None:
    with weights.read(path) as stored:
        prototxt.from_message(stored.net(), source="f")


def test_a_net_inside_that_no_scan_had_looked_at(tmp_path: Path) -> None:
    """atheris: the scan skips what is in no layer, the copy for protobuf walks into all of it (WireError)."""
    path = tmp_path / "f.caffemodel"
    data = base64.b64decode(
        "CgCiBiAKBGRhdGESBUlucHV0IgRkYXRhUAH6CAj//0FBQUFBQUFBQUFBQUFBQUFBQUFB//8CBggIogYXCgNleHASA0V4cBoEZGH/////b3V0UAE="
    )
    path.write_bytes(data)
    with pytest.raises(CamcompatError):
        read_all(path)
    layer = delimited(1, b"c") + delimited(2, b"Convolution")
    path.write_bytes(delimited(100, layer) + delimited(2, tag(1) + varint(3) + b"\xff\xff\x7f"))
    with pytest.raises(WeightsError):
        read_all(path)


@pytest.mark.parametrize("number", [1, 4, 3, 5], ids=["name", "top", "bottom", "no-string"])
def test_names_that_are_no_utf8(number: int, tmp_path: Path) -> None:
    """protobuf hands out such strings as bytes, and refuses them where they are put (UnicodeDecodeError)."""
    path = tmp_path / "f.caffemodel"
    layer = delimited(number, b"\xa7\xff") + delimited(2, b"ReLU") + delimited(7, _blob())
    path.write_bytes(delimited(1, b"net") + delimited(100, layer))
    with pytest.raises(CamcompatError) as caught:
        read_all(path)
    assert ("is no UTF-8 text" in str(caught.value)) == (number != 5)


def _blob() -> bytes:
    return delimited(5, np.ones(2, "<f4").tobytes()) + delimited(7, delimited(1, b"\x02"))


SEGFAULT = (
    "eNqdUt9LFFEUvq5shJSQllQQXCEMQmtdzR9DD3fbB4kaCxJN11131XHd2N1JU1GQdojFHoSoBwlCaCJyK8iXHpaS6iIIpWJRRAohEwhJPvjiwxIbNPMd"
    "+we6cPnmnPOdc7/vMKqv5aLvHD9zysNVX0tVXyyu8cvxyFCfPphQ+HX9Rmy0kvsHtciQ1sv1pMJVPcmb9RHureEej1Jdr9Q0cq/HW8f+4xScV4ttOFzI"
    "2B4b9zJC57jtu28XnVzhvxb7Ftk3lohEta6EFkkifZp9cuFDPFzvFDaGM9524MZmq4PGpedAmXsUQpwxuxy08nfBt24tBR3ks9sB4Ic11OXUU/Cl6zbN"
    "2SlB3vz9FTHboj7zhe8q4jflqLPjv2iOPwUd4uDrDvBS79EnTr5tg77lWnp3JQcdsjtDeupawZeJs2HUR08AZb4DfFZVADTi3YSPe8C3Vtcw13RlkRebk"
    "nQ0PGgnfQHEskwjfxXfyM9OKb13rJ72l8+Cb/QPIDb2/6B9Tl4DTxyNks+JBfi2AnOd5LON3r/3hfaWC4VonxvgyWU/+vj2IeINf8dcnmWoh9cZ6b0/g"
    "j5zYAV5s9INPs9M4n2jepzevdJPc2ZU0vlsHPPM5gbay/xN8MTHLfI5W4H+8IE7tP/0IvpYeoHqwZ/kz3LTvudS0GNNSeT5u5fk81Uj1S/8IT/ZI7v/T"
    "Sl0s+gYYla0BDSmA8hb6Sc0p2mV/puJacKSz5gjlBnS1bQYFH8BCSXYvw=="
)


def test_a_matlab_file_that_ends_the_process_in_scipy(tmp_path: Path) -> None:
    path = tmp_path / "mean.mat"
    path.write_bytes(zlib.decompress(base64.b64decode(SEGFAULT)))
    try:
        assert weights.read_mean(path).ndim == 3
    except WeightsError as error:
        assert "mean.mat" in str(error)


def test_mean_values_that_are_no_numbers(tmp_path: Path) -> None:
    """They were read, and made every result NaN without a word."""
    path = tmp_path / "mean.npy"
    np.save(path, np.array([104.0, np.nan, np.inf]))
    with pytest.raises(WeightsError, match="2 of its 3 values are NaN or infinite"):
        weights.read_mean(path)


def test_layers_of_one_name_in_place() -> None:
    """The thousandth of them was counted from one again: time grew with the cube of the layers."""
    text = 'input: "x" input_shape { dim: 1 } ' + 'layer { name: "r" type: "ReLU" bottom: "x" top: "x" } ' * 9000
    found = prototxt.loads(text)
    assert found.layers[1].tops == ("x@r",) and found.layers[9000].tops == ("x@r#9000",)


def test_hdf5_that_reads_other_files(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    secret = tmp_path / "secret"
    secret.write_bytes(np.arange(4, dtype="<f4").tobytes())
    path = tmp_path / "w.caffemodel.h5"
    with h5py.File(path, "w") as file:
        file.create_group("data/fc").create_dataset("0", shape=(4,), dtype="<f4", external=[(str(secret), 0, 16)])
    with pytest.raises(WeightsError, match="in another file"):
        weights.read(path)
    other = tmp_path / "other.h5"
    weights.write_hdf5(other, {"fc": [np.ones(3)]})
    with h5py.File(path, "w") as file:
        file["data"] = h5py.ExternalLink(str(other), "/data")
    with pytest.raises(WeightsError, match=r"is a link to elsewhere \(ExternalLink\)"):
        weights.read(path)


def test_hdf5_of_few_bytes_and_many_numbers(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "w.caffemodel.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data/fc/0", shape=(1 << 24,), dtype="<f4", chunks=(1 << 16,))
    with pytest.raises(WeightsError, match="far more bytes than the file has"):
        weights.read(path)
    with prototxt.limited(expansion_free=1 << 30):
        assert weights.read(path)["fc"][0].nbytes == 1 << 26


@pytest.mark.parametrize("location", ["/etc/passwd", "../net.data", "a/b", "..\\x", "", ".."])
def test_onnx_data_elsewhere_is_refused_whatever_onnxruntime_does(location: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from camcompat.cam.session import check_onnx

    model = onnx.load_from_string(good())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = 1
    entry = tensor.external_data.add(key="location", value=location)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CamcompatError, match="no plain name of a file beside it"):
        check_onnx(path)
    entry.value = "net.onnx.data"
    path.write_bytes(model.SerializeToString())
    check_onnx(path)
    (tmp_path / "net.onnx.data").symlink_to("/etc/passwd")
    with pytest.raises(CamcompatError):
        check_onnx(path)


def test_onnx_with_two_outputs_of_one_name(tmp_path: Path) -> None:
    """They were paired with the values one too short (ValueError: zip)."""
    onnx = pytest.importorskip("onnx")
    import camcompat

    model = onnx.load_from_string(good())
    model.graph.output.append(model.graph.output[0])
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CamcompatError):
        camcompat.load(path)


def test_onnx_metadata_that_are_no_utf8(tmp_path: Path) -> None:
    import camcompat

    path = tmp_path / "net.onnx"
    at = good().rindex(b"camcompat")
    path.write_bytes(good()[:at] + b"\xff\xff\xff" + good()[at + 3 :])
    with pytest.raises(CamcompatError, match="cannot open it"):
        camcompat.load(path)


def test_pictures_that_pillow_would_run(tmp_path: Path) -> None:
    from camcompat.pictures.images import read_image

    path = tmp_path / "picture.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\nshowpage\n")
    with pytest.raises(CamcompatError, match="is a picture of the format EPS"):
        read_image(path)


def test_nan_weights_are_reported(tmp_path: Path) -> None:
    from converters import CamcompatWarning, to_numpy

    net = small_net('layer { name: "s" type: "Scale" bottom: "x" top: "y" }', {"x": (1, 4)})
    blobs = {"s": [np.array([1, np.nan, np.inf, 2], np.float32)], "other": [np.full(3, np.nan, np.float32)]}
    with pytest.warns(CamcompatWarning) as told:
        to_numpy(net, blobs)
    notes = [str(each.message) for each in told if "NaN" in str(each.message)]
    assert len(notes) == 1 and '2 of 4 weights of <string>:2: layer "s" (Scale) are NaN or infinite' in notes[0]


def test_large_finite_weights_are_no_nan() -> None:
    """Their sum overflows, which is no finding."""
    from converters.lowering.notes import _not_finite

    assert _not_finite(np.full(4, 3e38, np.float32)) == 0
    assert _not_finite(np.full(4, 6e4, np.float16)) == 0
    assert _not_finite(np.array([1, -np.inf], np.float32)) == 1


@pytest.mark.parametrize("axis", [0, 1, 2, 3])
@pytest.mark.parametrize("tiles", [64, 65, 300])
def test_many_tiles_are_what_few_are(axis: int, tiles: int) -> None:
    from converters import to_numpy

    rest = f"tile_param {{ tiles: {tiles} axis: {axis} }}"
    net = small_net(f'layer {{ name: "t" type: "Tile" bottom: "x" top: "y" {rest} }}', {"x": (2, 3, 4, 5)})
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    repeats = [1, 1, 1, 1]
    repeats[axis] = tiles
    assert np.array_equal(to_numpy(net, {})(x), np.tile(x, repeats))


@pytest.mark.parametrize(
    "rest",
    [
        'type: "Convolution" convolution_param { num_output: 2147483647 kernel_size: 3 }',
        'type: "Convolution" convolution_param { num_output: 4 kernel_size: 1 pad: 4294967295 }',
        'type: "Interp" interp_param { height: 2000000000 width: 2000000000 }',
        'type: "LRN" lrn_param { local_size: 4294967295 }',
        'type: "Pooling" pooling_param { kernel_size: 4294967295 pad: 4294967294 }',
        'type: "Tile" tile_param { tiles: 2147483647 }',
    ],
)
def test_layers_of_terabytes(rest: str) -> None:
    from converters import Synthetic, to_numpy

    net = small_net(f'layer {{ name: "l" bottom: "x" top: "y" {rest} }}', {"x": (1, 3, 8, 8)})
    with pytest.raises((ConversionError, WeightsError), match=r"the limit is .* raise the limit: CAMCOMPAT_LIMIT_"):
        to_numpy(net, Synthetic())


def test_an_input_of_terabytes() -> None:
    with pytest.raises(
        PrototxtError, match=r"1x3x100000x100000 has 30,000,000,000 elements, the limit is 2,147,483,647"
    ):
        small_net('layer { name: "r" type: "ReLU" bottom: "x" top: "y" }', {"x": (1, 3, 100_000, 100_000)})


@pytest.mark.parametrize("read", ["heat map", "caffe.io"])
def test_no_reader_of_pictures_hands_a_file_to_another_program(
    read: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pillow gives EPS to Ghostscript, whatever the file's suffix; `read_image` alone used to refuse it."""
    import subprocess

    from camcompat.boxes import read_map
    from camcompat.pycaffe.io import load_image

    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError(f"a program was started: {args}")

    monkeypatch.setattr(subprocess, "check_call", forbidden)
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(CamcompatError, match="is a picture of the format EPS"):
        (read_map if read == "heat map" else load_image)(tmp_path / "a.png")


def test_a_png_of_colours_without_a_palette(tmp_path: Path) -> None:
    """atheris: Pillow asserts where a palette is asked for that the file lacks (AssertionError)."""
    pixels = zlib.compress(b"\0\xff" * 8)
    header = struct.pack(">IIBBBBB", 8, 8, 1, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(x)) + kind + x + struct.pack(">I", zlib.crc32(kind + x)) for kind, x in chunks
    )
    path = tmp_path / "f.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(CamcompatError):
        read_image(path)


@pytest.mark.parametrize("kind", ["SoftmaxWithLoss", "InfogainLoss", "SigmoidCrossEntropyLoss", "EuclideanLoss"])
def test_a_loss_without_bottoms(kind: str) -> None:
    """atheris: its prediction was looked for (IndexError)."""
    text = 'layer { name: "d" type: "ImageData" top: "x" top: "y" transform_param { crop_size: 8 } }'
    text += f'layer {{ name: "loss" type: "{kind}" top: "loss" }}'
    with pytest.raises(PrototxtError, match="a loss without bottoms"):
        prototxt.deploy(prototxt.loads(text))
