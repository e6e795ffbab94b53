"""Layers of the user's own: registered from Python and from a file, also behind `type: "Python"`."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from parity import BACKENDS, run
from small_nets import net

import converters
from converters.graph.graph import Value
from converters.layers.registry import load_plugin
from converters.layers.view import LayerView
from converters.ops import Ops
from prototxt import CamcompatError

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def python_layer(module: str, fields: str) -> str:
    chosen = f'module: "{module}" layer: "Scaled" {fields}'
    return f'layer {{ name: "s" type: "Python" bottom: "x" top: "y" python_param {{ {chosen} }} }}'


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_python_layer_reads_its_param_str(backend: str, tmp_path: Path) -> None:
    @converters.layer("Python:own.Scaled")
    def scaled(ops: Ops, view: LayerView, x: Value) -> Value:
        return ops.mul(x, ops.const(np.float32(view.params("python_param").param_str)))

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # everything that the file sets was read
        built = net(python_layer("own", 'param_str: "2.5"'), {"x": X.shape})
        found = run(backend, built, {}, [X], ["y"], tmp_path)
    assert np.array_equal(found["y"], X * 2.5)


def test_a_param_str_that_nobody_reads_is_said() -> None:
    @converters.layer("Python:deaf.Scaled")
    def same(ops: Ops, view: LayerView, x: Value) -> Value:
        return x

    with pytest.warns(converters.CamcompatWarning, match=r"python_param\.param_str is set"):
        converters.to_numpy(net(python_layer("deaf", 'param_str: "2.5"'), {"x": X.shape}), {})


def test_a_plugin_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from converters import layer\n\n\n"
        '@layer("PluginThrice")\n'
        "def thrice(ops, view, x):\n    return ops.add(x, ops.add(x, x))\n"
    )
    load_plugin(file)
    built = net('layer { name: "t" type: "PluginThrice" bottom: "x" top: "y" }', {"x": X.shape})
    assert np.array_equal(converters.to_numpy(built, {})(X), X * 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such plugin file"),
        ("def (", "SyntaxError"),
        ("raise KeyError('k')", "KeyError"),
        ("import nowhere9", "nowhere9"),
    ],
)
def test_a_plugin_that_fails_is_one_line(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    with pytest.raises(CamcompatError, match=message) as caught:
        load_plugin(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_known_type_is_replaced_only_on_request() -> None:
    """In a fresh process, where the layers that come with the package are not loaded yet."""
    code = (
        "import numpy as np, prototxt\n"
        "from converters import layer, to_numpy\n"
        "try:\n    layer('ReLU')(lambda ops, view, x: x)\n"
        "except prototxt.CamcompatError as error:\n    assert 'replace=True' in str(error)\n"
        "else:\n    raise SystemExit('not refused')\n"
        "layer('ReLU', replace=True)(lambda ops, view, x: ops.add(x, x))\n"
        'text = \'input: "x" input_shape { dim: 2 } layer { name: "r" type: "ReLU" bottom: "x" top: "y" }\'\n'
        "assert to_numpy(prototxt.loads(text), {})(np.array([-1.0, 2.0])).tolist() == [-2.0, 4.0]\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
