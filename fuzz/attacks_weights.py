"""Weight and mean files made to break their readers. Every byte is made here, by hand or by h5py, numpy and scipy."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from fuzz.watch import Case
from weights.files.wire import delimited, tag, varint

__all__ = ["cases"]

MEGA = 1_000_000
LEGAL = "odd, and perhaps legal"
GOOD_BLOB = delimited(5, np.ones(2, "<f4").tobytes()) + delimited(7, delimited(1, b"\x02"))


def _net(*layers: bytes, number: int = 100) -> bytes:
    return delimited(1, b"net") + b"".join(delimited(number, layer) for layer in layers)


def _layer(*blobs: bytes, name: bytes = b"conv1") -> bytes:
    return delimited(1, name) + delimited(2, b"Convolution") + b"".join(delimited(7, blob) for blob in blobs)


def _blob(*dims: int, count: int = 2) -> bytes:
    return delimited(5, bytes(4 * count)) + delimited(7, delimited(1, b"".join(map(varint, dims))))


def _legacy(*dims: int) -> bytes:
    return b"".join(tag(i, 0) + varint(dim) for i, dim in enumerate(dims, 1)) + delimited(5, bytes(8))


def _wire() -> Iterator[tuple[str, str, bytes]]:
    whole = _net(_layer(GOOD_BLOB))
    kind = "lengths beyond the file, varints"
    yield kind, "a length of 2^63", delimited(1, b"n") + tag(100) + varint(2**63)
    yield kind, "a length of 2^64 - 1", delimited(1, b"n") + tag(100) + varint(2**64 - 1)
    yield kind, "an inner length beyond its layer", _net(delimited(1, b"c") + tag(7) + varint(1000))
    yield kind, "a varint of 11 bytes", whole + b"\x80" * 11 + b"\x01"
    yield kind, "a varint without an end", whole + b"\xff" * MEGA
    yield kind, "cut in a tag", whole + b"\xa2"
    yield kind, "field number 0", whole + b"\x02\x00"
    yield kind, "field number 2^29", whole + varint(2**29 << 3 | 2) + b"\x00"
    for at in (5, 9, len(whole) // 2, len(whole) - 1):
        yield "cut off", f"at byte {at}", whole[:at]
    kind = "groups and deep nesting"
    yield kind, "300,000 groups opened", whole + tag(9, 3) * 300_000
    yield kind, "99 groups opened and closed", whole.replace(b"net", b"") + (tag(9, 3) * 101 + tag(9, 4) * 101)
    yield kind, "a group closed as another", whole + tag(9, 3) + tag(8, 4)
    yield kind, "an end of a group alone", whole + tag(9, 4)
    yield kind, "wire types 6 and 7", whole + b"\x0e\x0f"
    nested = b""
    for _ in range(2000):
        nested = delimited(1, nested)
    yield kind, "V0 in V1, 2,000 deep", _net(nested, number=2)
    for number in (4, 8, 103, 104, 106, 131):
        inner = b""
        for _ in range(3000):
            inner = delimited(number, inner)
        yield LEGAL, f"field {number} in itself, 3,000 deep", _net(_layer(GOOD_BLOB) + inner)
    kind = "wire types that do not fit"
    yield kind, "a name that is a number", _net(tag(1, 0) + varint(5) + delimited(7, b"\x0f" * 9))
    yield kind, "blobs as a number", delimited(1, b"n") + tag(100, 0) + varint(7)
    yield kind, "data as varints", _net(_layer((tag(5, 0) + varint(1)) * 4 + delimited(7, delimited(1, b"\x04"))))
    yield kind, "data as doubles", _net(_layer((tag(5, 1) + bytes(8)) * 4 + delimited(7, delimited(1, b"\x04"))))
    yield kind, "shape as a string of floats", _net(_layer(delimited(5, bytes(8)) + (tag(7, 5) + bytes(4))))
    yield kind, "packed data of 7 bytes", _net(_layer(delimited(5, bytes(7)) + delimited(7, delimited(1, b"\x01"))))


def _shapes() -> Iterator[tuple[str, str, bytes]]:
    kind = "shapes that do not match their data"
    for dims in (
        (3,),
        (1,),
        (-1, -2),
        (2**62, 4),
        (2**63, 2),
        (0, 2**62),
        (2**32, 2**32),
        (0, 2**40, 2**40),
        (1, 2, 2**64 - 1),
    ):
        yield kind, f"{dims} for 2 values", _net(_layer(_blob(*dims)))
    yield kind, "33 axes", _net(_layer(_blob(*[1] * 32, 2)))
    yield kind, "a million axes", _net(_layer(_blob(*[1] * MEGA)))
    yield kind, "legacy 65536 x 65536 x 65536 x 65536", _net(_layer(_legacy(*[65536] * 4)))
    yield kind, "legacy dims -1 x -2", _net(_layer(_legacy(2**64 - 1, 2**64 - 2, 1, 1)))
    yield kind, "legacy num without the rest", _net(_layer(_legacy(2)))
    kind = "repeated and overlapping blobs"
    yield kind, "two shapes", _net(_layer(_blob(2) + delimited(7, delimited(1, b"\x02"))))
    yield kind, "data twice", _net(_layer(delimited(5, bytes(8)) * 2 + delimited(7, delimited(1, b"\x02"))))
    yield kind, "100,000 pieces of data for a shape of 1", _net(_layer(delimited(5, bytes(4)) * 100_000))
    yield kind, "100,000 empty blobs in a layer", _net(_layer(*[b""] * 300_000))
    yield kind, "raw data of an unknown type", _net(_layer(tag(10, 0) + varint(9) + delimited(12, bytes(8))))
    yield (
        kind,
        "unpacked, with other fields between",
        _net(_layer((tag(5, 5) + bytes(4) + tag(20, 0) + b"\x01") * 100_000)),
    )
    kind = "masses of layers"
    yield kind, "300,000 layers of two bytes", delimited(100, b"") * 300_000
    yield kind, "200,000 V1 layers", delimited(2, b"") * 300_000
    yield kind, "a name of a megabyte", _net(_layer(_blob(3), name=b"\xff\x1b[2J" * 200_000))


def _hdf5(make: Callable[[Any], None]) -> Callable[[], bytes]:
    def made() -> bytes:
        import h5py

        with TemporaryDirectory() as folder:
            path = Path(folder) / "w.h5"
            with h5py.File(path, "w") as file:
                make(file)
            return path.read_bytes()

    return made


def _compressed_zeros(file: Any) -> None:
    space = file.create_dataset("data/fc/0", shape=(1 << 28,), dtype="<f4", chunks=(1 << 22,), compression="gzip")
    space[: 1 << 22] = 0


def _links(file: Any) -> None:
    import h5py

    file.create_group("data/fc")
    file["data/fc/0"] = h5py.ExternalLink("/etc/hostname", "/")


def _self_link(file: Any) -> None:
    group = file.create_group("data")
    for i in range(20):
        group[f"g{i}"] = group


def _external_storage(file: Any) -> None:
    file.create_group("data/fc").create_dataset("0", shape=(4,), dtype="<f4", external=[("/etc/passwd", 0, 16)])


def _virtual(file: Any) -> None:
    import h5py

    layout = h5py.VirtualLayout(shape=(4,), dtype="<f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    file.create_group("data/fc").create_virtual_dataset("0", layout)


def _deep(file: Any) -> None:
    file.create_group("data/" + "/".join("a" * 3000))


def _many(file: Any) -> None:
    group = file.create_group("data")
    for i in range(12_000):
        group.create_group(str(i))


def _hdf5_cases() -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    def declared(shape: tuple[int, ...], **options: Any) -> Callable[[Any], None]:
        return lambda file: file.create_dataset("data/fc/0", shape=shape, dtype="<f4", **options)

    kind = "HDF5 bombs"
    yield kind, "2^40 declared, none stored", _hdf5(declared((1 << 40,), chunks=(1 << 20,)))
    yield kind, "2^62 declared, none stored", _hdf5(declared((1 << 60,), chunks=(1 << 20,)))
    yield kind, "contiguous, never written", _hdf5(declared((1 << 34,)))
    yield kind, "1 GiB of compressed zeros", _hdf5(_compressed_zeros)
    kind = "HDF5 links and oddities"
    yield kind, "an external link", _hdf5(_links)
    yield kind, "storage in another file", _hdf5(_external_storage)
    yield kind, "a virtual dataset", _hdf5(_virtual)
    yield kind, "a soft link to itself", _hdf5(lambda f: f.create_group("data").__setitem__("a", _soft("/data/a")))
    yield kind, "a group that holds itself 20 times", _hdf5(_self_link)
    yield kind, "groups 3,000 deep", _hdf5(_deep)
    yield kind, "12,000 empty layers", _hdf5(_many)
    yield kind, "strings as weights", _hdf5(lambda f: f.create_dataset("data/fc/0", data=[b"abc"]))
    yield kind, "float128 as weights", _hdf5(lambda f: f.create_dataset("data/fc/0", data=np.ones(3, "g")))
    yield kind, "no data", _hdf5(lambda f: f.create_group("model"))


def _soft(target: str) -> Any:
    import h5py

    return h5py.SoftLink(target)


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode("latin-1").ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def _npy_cases() -> Iterator[tuple[str, bytes]]:
    def described(descr: str, shape: str) -> str:
        return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"

    yield "shape 10^12", _npy(described("'<f4'", "(1000000000000,)"), bytes(64))
    yield "shape of 2^70", _npy(described("'<f4'", f"({2**35}, {2**35})"), bytes(64))
    yield "negative shape", _npy(described("'<f4'", "(-1, 3)"), bytes(64))
    yield "objects (pickle)", _npy(described("'|O'", "(1,)"), b"cos\nsystem\n(S'echo broken'\ntR.")
    yield "a dtype of 2 GB", _npy(described("'|V2000000000'", "(1,)"), bytes(64))
    yield "a structured dtype", _npy(described("[('a', '<f4'), ('b', '<f4')]", "(3,)"), bytes(64))
    yield "complex numbers", _npy(described("'<c16'", "(3,)"), bytes(64))
    yield "dates", _npy(described("'<M8[s]'", "(3,)"), bytes(64))
    yield "a header of brackets", _npy("(" * 9000)
    yield "a header of minus signs", _npy("-" * 9000 + "1")
    yield "a header that is code", _npy("__import__('os').system('echo broken')")
    yield "no header", b"\x93NUMPY\x01\x00"
    yield "version 9", b"\x93NUMPY\x09\x00" + bytes(100)
    yield "version 3 with a header of 4 GB", b"\x93NUMPY\x03\x00\xff\xff\xff\xff" + bytes(100)
    yield "float64 too large for float32", _npy(described("'<f8'", "(3,)"), np.full(3, 1e300).tobytes())
    yield "NaN", _npy(described("'<f4'", "(3,)"), np.full(3, np.nan, "<f4").tobytes())
    yield "infinity", _npy(described("'<f4'", "(3,)"), np.full(3, np.inf, "<f4").tobytes())
    yield "40 axes", _npy(described("'<f4'", f"({'2, ' * 40})"), bytes(4))


def _mat_header() -> bytes:
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"


def _mat_matrix(dims: tuple[int, ...], data: bytes, size: int | None = None, name: bytes = b"image_mean") -> bytes:
    flags = struct.pack("<IIII", 6, 8, 6, 0)
    shape = struct.pack("<II", 5, 4 * len(dims)) + struct.pack(f"<{len(dims)}i", *dims)
    shape += bytes(-len(shape) % 8)
    spelt = struct.pack("<II", 1, len(name)) + name + bytes(-len(name) % 8)
    numbers = struct.pack("<II", 9, len(data) if size is None else size) + data
    body = flags + shape + spelt + numbers
    return struct.pack("<II", 14, len(body)) + body


def _mat_bomb() -> bytes:
    """A compressed variable of 200 MB of zeros, made a megabyte at a time."""
    numbers = 3000 * 3000 * 3 * 8
    packer = zlib.compressobj(9)
    start = _mat_matrix((3000, 3000, 3), b"", numbers)
    packed = packer.compress(start[:4] + struct.pack("<I", len(start) - 8 + numbers) + start[8:])
    packed += b"".join(packer.compress(bytes(MEGA)) for _ in range(numbers // MEGA)) + packer.flush()
    return _mat_header() + struct.pack("<II", 15, len(packed)) + packed


def _mat_cases() -> Iterator[tuple[str, bytes]]:
    yield "dims that the data do not fill", _mat_header() + _mat_matrix((100_000, 100_000, 3), bytes(64))
    yield "a size of 4 GB", _mat_header() + _mat_matrix((3, 1, 1), bytes(24), 0xFFFFFFF8)
    yield "negative dims", _mat_header() + _mat_matrix((-3, 1, 1), bytes(24))
    yield "cut off", (_mat_header() + _mat_matrix((2, 2, 3), bytes(96)))[:200]
    yield "another variable", _mat_header() + _mat_matrix((2, 2, 3), bytes(96), name=b"other")
    yield "a broken zlib stream", _mat_header() + struct.pack("<II", 15, 100) + bytes(range(100))
    yield "no variable", _mat_header()
    yield "version 7.3 by name", b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(600)
    yield "endless tags", _mat_header() + bytes(MEGA)


def _mean_cases() -> Iterator[tuple[str, str, bytes]]:
    for name, data in _npy_cases():
        yield "mean files: .npy", name, data
    for name, data in _mat_cases():
        yield "mean files: .mat", name, data
    for name, data in (
        ("65536 x 65536 x 65536 x 65536", _legacy(*[65536] * 4)),
        ("no data", _legacy(1, 3, 2, 2)[:8]),
        ("a caffemodel", _net(_layer(GOOD_BLOB))),
        ("two pictures", b"\x08\x02\x10\x03\x18\x01\x20\x01" + delimited(5, bytes(24))),
        ("NaN", b"\x08\x01\x10\x03\x18\x01\x20\x01" + delimited(5, np.full(3, np.nan, "<f4").tobytes())),
        ("nothing", b""),
        ("groups", tag(9, 3) * 100_000),
    ):
        yield "mean files: .binaryproto", name, data


def _zipped() -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, zeros=np.zeros(MEGA))
    return buffer.getvalue()


def cases() -> Iterator[Case]:
    """Every hand-made weight and mean file."""
    for kind, name, data in (*_wire(), *_shapes()):
        yield Case("caffemodel", kind, name, lambda data=data: data, None if kind == LEGAL else False)
    for kind, name, make in _hdf5_cases():
        yield Case("hdf5", kind, name, make)
    for kind, name, data in _mean_cases():
        yield Case("mean", kind, name, lambda data=data: data)
    yield Case("mean", "mean files: .npy", "an .npz", _zipped)
    yield Case("mean", "mean files: .mat", "200 MB of compressed zeros", _mat_bomb)
