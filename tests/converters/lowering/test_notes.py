"""What is not used is said once for a net, at the line that asked for the conversion."""

from __future__ import annotations

import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest

import camcompat
import converters
from camcompat import pycaffe
from converters import CamcompatWarning
from weights import write

NET = """
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" new_field: 1
        convolution_param { num_output: 2 kernel_size: 1 bias_term: false other_field: 2 } }
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "net.prototxt").write_text(NET)
    blobs = {"conv": [np.ones((2, 3, 1, 1))], "unused": [np.ones(3)]}
    types = {"conv": "Convolution", "unused": "InnerProduct"}
    write(tmp_path / "net.caffemodel", "net", blobs, types=types)
    return tmp_path / "net.prototxt", tmp_path / "net.caffemodel"


@pytest.mark.parametrize("way", ["onnx", "torch", "numpy", "python", "convert", "verify", "pycaffe"])
def test_one_warning_at_the_callers_line(way: str, files: tuple[Path, Path], tmp_path: Path) -> None:
    ways = {
        "onnx": lambda: converters.to_onnx(*files, tmp_path / "out.onnx"),
        "torch": lambda: converters.to_torch(*files),
        "numpy": lambda: converters.to_numpy(*files),
        "python": lambda: converters.to_python(*files, tmp_path / "out.py"),
        "convert": lambda: camcompat.convert(*files, tmp_path / "out"),
        "verify": lambda: camcompat.verify(*files),
        "pycaffe": lambda: pycaffe.Net(str(files[0]), str(files[1]), pycaffe.TEST),
    }
    lines, first = inspect.getsourcelines(test_one_warning_at_the_callers_line)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ways[way]()
    told = [entry for entry in caught if issubclass(entry.category, CamcompatWarning)]
    assert [entry.filename for entry in told] == [__file__]
    assert f'"{way}": lambda' in lines[told[0].lineno - first]
    notes = told[0].message.notes
    assert len(notes) == 3 and str(told[0].message).splitlines() == list(notes)
    assert "new_field" in notes[0] and "other_field" in notes[1] and "1 layer(s) with weights" in notes[2]


def test_a_net_without_notes_warns_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET.replace("new_field: 1", "").replace("other_field: 2", ""))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converters.to_numpy(tmp_path / "net.prototxt", converters.Synthetic())
