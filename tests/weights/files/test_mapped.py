"""A part of a mapped file, copied within the kernel: the same bytes, and a number that says how many."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path

import numpy as np
import pytest

import converters
import prototxt
from weights.files.mapped import MappedFile
from weights.files.writer import write

BYTES = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def mapped(tmp_path: Path) -> MappedFile:
    path = tmp_path / "source"
    path.write_bytes(BYTES)
    with path.open("rb") as file:
        return MappedFile(file)


def copied(mapped: MappedFile, target: Path, offset: int, count: int) -> int:
    with target.open("wb") as file:
        file.write(b"head")
        done = mapped.copy_into(file, offset, count)
        file.write(b"tail")
    return done


@pytest.mark.skipif(not hasattr(os, "copy_file_range"), reason="this system has no copy_file_range")
def test_the_bytes_are_the_files(mapped: MappedFile, tmp_path: Path) -> None:
    done = copied(mapped, tmp_path / "target", 1001, 700_003)
    assert (tmp_path / "target").read_bytes() == b"head" + BYTES[1001 : 1001 + done] + b"tail"


def test_small_steps_and_a_file_that_ends_early(
    mapped: MappedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(source: int, target: int, count: int, offset_src: int) -> int:
        part = os.pread(source, min(count, 1000), offset_src)
        return os.write(target, part)

    monkeypatch.setattr(os, "copy_file_range", step, raising=False)
    assert copied(mapped, tmp_path / "target", 5, 2500) == 2500
    assert (tmp_path / "target").read_bytes() == b"head" + BYTES[5:2505] + b"tail"
    assert copied(mapped, tmp_path / "target", len(BYTES) - 10, 2500) == 10


@pytest.mark.parametrize("number", [errno.EXDEV, errno.ENOSYS, errno.EPERM])
def test_where_the_system_cannot_the_tensors_are_written(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ONNX file is the same either way."""
    net = prototxt.loads("""input: "x" input_shape { dim: 1 dim: 64 dim: 4 dim: 4 }
        layer { name: "c" type: "Convolution" bottom: "x" top: "c"
                convolution_param { num_output: 64 kernel_size: 3 } }""")
    rng = np.random.default_rng(0)
    blobs = {"c": [rng.standard_normal((64, 64, 3, 3)).astype("f4"), rng.standard_normal(64).astype("f4")]}
    write(tmp_path / "net.caffemodel", "net", blobs, types={"c": "Convolution"})
    one = converters.to_onnx(net, tmp_path / "net.caffemodel", tmp_path / "one.onnx").read_bytes()
    assert blobs["c"][0].tobytes() in one

    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
    assert converters.to_onnx(net, tmp_path / "net.caffemodel", tmp_path / "two.onnx").read_bytes() == one


def test_a_full_disk_is_no_reason_to_write_on(
    mapped: MappedFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        copied(mapped, tmp_path / "target", 0, 100)


def test_the_descriptor_is_closed_with_it(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(BYTES)
    with (tmp_path / "source").open("rb") as file:
        mapped = MappedFile(file)
    number = mapped.descriptor
    assert os.fstat(number).st_size == len(BYTES)
    del mapped
    gc.collect()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(number)


def test_arrays_that_are_no_views_of_it() -> None:
    assert MappedFile.behind(np.zeros(3)) is None
