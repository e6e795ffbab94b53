"""Prototxts made to break the reader, or the conversion behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fuzz.watch import Case

__all__ = ["cases"]

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }\n'
HUGE = 2**31 - 1
MEGA = 1_000_000
MEMORY_DATA = "memory_data_param { batch_size: 4294967295 channels: 4294967295 height: 4294967295 width: 1 } }"


def _input(*dims: int, top: str = "x") -> str:
    spelt = " ".join(f"dim: {dim}" for dim in dims)
    return f'layer {{ name: "in_{top}" type: "Input" top: "{top}" input_param {{ shape {{ {spelt} }} }} }}\n'


def _layer(type_: str, rest: str = "", bottom: str = 'bottom: "x"', top: str = 'top: "y"') -> str:
    return f'layer {{ name: "l" type: "{type_}" {bottom} {top} {rest} }}\n'


def _nesting() -> Iterator[tuple[str, Callable[[], str]]]:
    for opening, closing, what in (
        ("layer { foo {" + "a {" * 300_000, "", "unknown fields, open"),
        ("layer { foo {" + "a {" * 150_000, "}" * 150_002, "unknown fields, closed"),
        ("layer {" * 150_000, "", "layers in layers"),
        ("layer { foo: " + "[" * 500_000, "", "lists"),
        ("layer { foo: " + "<" * 500_000, "", "angle brackets"),
        ("layers { layer { " * 50_000, "", "V1 in V1"),
        ("layers { layer { layer { ", "} } }", "V0 in V0"),
        ("layer { foo {" + "a {" * 101 + "b: 1 ", "}" * 103 + "", "101 unknown levels"),
        ("}" * 500_000, "", "closing braces"),
    ):
        yield what, (lambda opening=opening, closing=closing: opening + closing)


def _numbers() -> Iterator[tuple[str, Callable[[], str]]]:
    for number in (
        "9" * 1_000_000,
        "0x" + "f" * 1_000_000,
        "0" + "7" * 1_000_000,
        "-" + "1" * 4301,
        "1" * 5000,
        "9223372036854775808",
        "-9223372036854775809",
        "1e400",
        "1e",
        "0x",
        "--1",
        "nan",
        "1.5",
    ):
        yield (
            f"dim: {number[:12]} ({len(number)} characters)",
            (lambda number=number: f'input: "x" input_shape {{ dim: {number} }} {_layer("ReLU")}'),
        )
    yield (
        "a float of a million digits where it is not finite",
        lambda: INPUT + _layer("Power", "power_param { scale: " + "9" * 300_000 + "e }"),
    )


def _bytes() -> Iterator[tuple[str, Callable[[], bytes]]]:
    good = (INPUT + _layer("ReLU")).encode()
    yield "NUL in the middle", lambda: good[:40] + b"\0" + good[40:]
    yield "NUL after 8 KB", lambda: b"# " + b"x" * 9000 + b"\n" + good + b"\0"
    yield "a million NULs", lambda: bytes(MEGA)
    yield "NULs after 8 KB", lambda: good + b" " * 9000 + bytes(MEGA)
    yield "control characters", lambda: bytes(range(1, 32)) * 1000
    yield "UTF-16 without an end", lambda: b"\xff\xfe" + good + b"\x00"
    yield "random bytes", lambda: bytes((i * 7919 + i // 13) % 256 for i in range(200_000))
    yield "lone continuation bytes outside of a string", lambda: good + b"\x80\xbf" * 1000
    yield "an unclosed quote before a megabyte", lambda: good + b'"' + b"a" * MEGA
    yield "backslashes", lambda: good + b'layer { name: "' + b"\\" * 500_001 + b'" }'
    yield "empty", lambda: b""
    yield "only blanks", lambda: b" \n" * 500_000
    yield "only a comment", lambda: b"#" * MEGA
    yield "a byte order mark alone", lambda: b"\xef\xbb\xbf"


def _structure() -> Iterator[tuple[str, Callable[[], str]]]:
    yield "a layer that reads its own top", lambda: _layer("ReLU", bottom='bottom: "y"')
    yield (
        "two layers that read each other",
        lambda: (
            _layer("ReLU", bottom='bottom: "b"', top='top: "a"') + _layer("ReLU", bottom='bottom: "a"', top='top: "b"')
        ),
    )
    yield "one top twice in a layer", lambda: INPUT + _layer("Split", top='top: "y" top: "y"')
    yield "one top of two layers", lambda: INPUT + _layer("ReLU") + _layer("ReLU")
    yield "overwritten and read", lambda: INPUT + _layer("ReLU") + _layer("ReLU", top='top: "x"')
    yield "input twice", lambda: 'input: "x" input: "x" input_shape { dim: 1 } input_shape { dim: 1 }' + _layer("ReLU")
    yield "a million bottoms", lambda: INPUT + _layer("Concat", bottom='bottom: "x" ' * 100_000)
    yield "a million bottoms that do not exist", lambda: INPUT + _layer("Concat", bottom='bottom: "z" ' * 100_000)
    yield (
        "100,000 tops",
        lambda: INPUT + _layer("Split", top=" ".join(f'top: "t{i}"' for i in range(100_000))),
    )
    yield "100,000 layers of one byte", lambda: INPUT + "layer{}" * 150_000
    yield (
        "30,000 real layers",
        lambda: (
            INPUT
            + "".join(f'layer {{ name: "r{i}" type: "ReLU" bottom: "x" top: "x" }}\n' for i in range(30_000))
            + "nonsense"
        ),
    )
    yield (
        "20,000 layers of one name in place",
        lambda: INPUT + 'layer{name:"r" type:"ReLU" bottom:"x" top:"x"}\n' * 25_000,
    )
    yield (
        "20,000 unknown bottoms of long similar names",
        lambda: (
            INPUT
            + "".join(_layer("ReLU", top=f'top: "{"ab" * 200}{i}"') for i in range(1500))
            + _layer("ReLU", bottom=f'bottom: "{"ab" * 200}z"', top='top: "q"')
        ),
    )
    yield "a million dims", lambda: _input(*[1] * 150_000) + _layer("ReLU")
    yield "a million inputs", lambda: 'input: "x" ' * 90_000 + _layer("ReLU")
    yield "include and exclude", lambda: INPUT + _layer("ReLU", "include { phase: TEST } exclude { phase: TEST }")
    yield "100,000 unknown fields", lambda: INPUT + "layer { " + "".join(f"f{i}: 1 " for i in range(100_000)) + "}"
    yield "a million strings side by side", lambda: "name: " + '"a" ' * 250_000 + " {"


def _sizes(dims: tuple[int, ...]) -> Iterator[tuple[str, Callable[[], str]]]:
    yield f"Input of {dims}", lambda: _input(*dims) + _layer("ReLU")
    yield f"Input of {dims} flattened", lambda: _input(*dims) + _layer("Flatten")
    yield f"DummyData of {dims}", lambda: _dummy(dims) + _layer("ReLU")
    yield (
        f"Parameter of {dims}",
        lambda: _layer(
            "Parameter", "parameter_param { shape { " + " ".join(f"dim: {d}" for d in dims) + " } }", bottom=""
        ),
    )


def _dummy(dims: tuple[int, ...]) -> str:
    return _layer(
        "DummyData",
        "dummy_data_param { shape { " + " ".join(f"dim: {d}" for d in dims) + " } }",
        bottom="",
        top='top: "x"',
    )


_LARGE = (
    ("Convolution", f"convolution_param {{ num_output: {HUGE} kernel_size: 3 }}"),
    ("Convolution", "convolution_param { num_output: 4294967295 kernel_size: 1 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1000000000 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1000000 pad: 1000000 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 pad: 4294967295 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 3 dilation: 4294967295 pad: 4294967295 }"),
    ("Convolution", "convolution_param { num_output: 4 kernel_size: 1 stride: 0 }"),
    ("Deconvolution", f"convolution_param {{ num_output: {HUGE} kernel_size: 2 stride: 2 }}"),
    ("Deconvolution", "convolution_param { num_output: 4 kernel_size: 2 stride: 1000000000 }"),
    ("InnerProduct", f"inner_product_param {{ num_output: {HUGE} }}"),
    ("InnerProduct", "inner_product_param { num_output: 4294967295 }"),
    ("Pooling", "pooling_param { kernel_size: 4294967295 pad: 4294967294 }"),
    ("Pooling", "pooling_param { kernel_size: 2 stride: 0 }"),
    ("Pooling", "pooling_param { pool: AVE kernel_size: 1000000 pad: 999999 }"),
    ("Interp", "interp_param { height: 2000000000 width: 2000000000 }"),
    ("Interp", "interp_param { zoom_factor: 2000000000 }"),
    ("Tile", "tile_param { tiles: 2147483647 axis: 1 }"),
    ("Tile", "tile_param { tiles: 1000000000 axis: 0 }"),
    ("Upsample", "upsample_param { scale: 1000000000 }"),
    ("Reshape", "reshape_param { shape { dim: 9223372036854775807 dim: -1 } }"),
    ("Reshape", "reshape_param { shape { " + "dim: 1 " * 100_000 + "} }"),
    ("Reorg", "reorg_param { stride: 2147483647 reverse: true }"),
    ("SPP", "spp_param { pyramid_height: 4294967295 }"),
    ("SPP", "spp_param { pyramid_height: 31 }"),
    ("LRN", "lrn_param { local_size: 4294967295 }"),
    ("LRN", "lrn_param { local_size: 2000000001 norm_region: WITHIN_CHANNEL }"),
    ("Im2col", "convolution_param { kernel_size: 100000 pad: 100000 }"),
    ("Embed", f"embed_param {{ input_dim: {HUGE} num_output: {HUGE} }}"),
    ("Slice", "slice_param { slice_point: 4294967295 }"),
    ("Permute", "permute_param { " + "order: 0 " * 100_000 + "}"),
    ("Softmax", "softmax_param { axis: 2147483647 }"),
    ("Flatten", "flatten_param { axis: -2147483648 }"),
    ("ArgMax", "argmax_param { top_k: 4294967295 }"),
    ("ShuffleChannel", "shuffle_channel_param { group: 4294967295 }"),
    ("NoSuchLayer" * 20_000, ""),
)


def _big_nets() -> Iterator[tuple[str, Callable[[], str]]]:
    for type_, rest in _LARGE:
        yield f"{type_[:20]} {rest[:60]}", (lambda type_=type_, rest=rest: INPUT + _layer(type_, rest))
    boxes = "prior_box_param { min_size: 1 aspect_ratio: 2 }"
    yield (
        "PriorBox on 100,000 x 100,000",
        lambda: _input(1, 1, 100_000, 100_000) + _layer("PriorBox", boxes, 'bottom: "x" bottom: "x"'),
    )
    yield (
        "PriorBox on 10,000 x 10,000",
        lambda: _input(1, 1, 10_000, 10_000) + _layer("PriorBox", boxes, 'bottom: "x" bottom: "x"'),
    )
    yield (
        "Reorg on 1 x 60,000 x 60,000",
        lambda: _input(1, 4, 20_000, 20_000) + _layer("Reorg", "reorg_param { stride: 2 }"),
    )
    for type_ in ("LSTM", "RNN"):
        yield (
            f"{type_} of a million steps",
            lambda type_=type_: (
                _input(MEGA, 1, 4)
                + _input(MEGA, 1, top="c")
                + _layer(type_, "recurrent_param { num_output: 4 }", 'bottom: "x" bottom: "c"')
            ),
        )
    yield (
        "a chain of Tiles",
        lambda: (
            INPUT
            + "".join(
                f'layer {{ name: "t{i}" type: "Tile" bottom: "{"x" if not i else f"t{i - 1}"}" top: "t{i}" '
                "tile_param { tiles: 1000 axis: 1 } }\n"
                for i in range(40)
            )
        ),
    )
    yield (
        "a chain of doubling Concats",
        lambda: (
            INPUT
            + "".join(
                f'layer {{ name: "t{i}" type: "Concat" bottom: "{"x" if not i else f"t{i - 1}"}" '
                f'bottom: "{"x" if not i else f"t{i - 1}"}" top: "t{i}" }}\n'
                for i in range(4000)
            )
        ),
    )
    yield (
        "Slice into 60,000 tops",
        lambda: _input(1, 60_000) + _layer("Slice", top=" ".join(f'top: "t{i}"' for i in range(60_000))),
    )
    yield (
        "Proposal on 30,000 x 30,000",
        lambda: (
            _input(1, 18, 30_000, 30_000, top="a")
            + _input(1, 36, 30_000, 30_000, top="b")
            + _input(1, 3, top="i")
            + _layer("Proposal", "", 'bottom: "a" bottom: "b" bottom: "i"')
        ),
    )
    yield "names of a megabyte", lambda: INPUT + _layer("Nope", 'name: "x"').replace('"l"', '"' + "n" * MEGA + '"', 1)
    for type_ in ("Data", "ImageData", "MemoryData"):
        yield (
            f"{type_} of a huge crop",
            lambda type_=type_: (
                f'layer {{ name: "d" type: "{type_}" top: "x" top: "label" '
                "transform_param { crop_size: 4294967295 } "
                + (MEMORY_DATA if type_ == "MemoryData" else "}")
                + _layer("ReLU")
            ),
        )


def cases() -> Iterator[Case]:
    """Every hand-made net."""
    for kind, made in (
        ("nested deeply", _nesting()),
        ("impossible numbers", _numbers()),
        ("cycles, duplicates, masses of layers, bottoms and fields", _structure()),
    ):
        for name, make in made:
            yield Case("prototxt", kind, name, lambda make=make: make().encode())
    for name, raw in _bytes():
        yield Case("prototxt", "broken bytes: NUL, UTF-8, UTF-16, quotes", name, raw)
    for dims in (
        (10**9, 10**9, 10**9, 10**9),
        (1, 3, 10**6, 10**6),
        (2**62, 4),
        (HUGE + 1, 3),
        (1, 2**40),
        (65536,) * 4,
    ):
        for name, make in _sizes(dims):
            yield Case("convert", "inputs and constants of terabytes", name, lambda make=make: make().encode())
    for name, make in _big_nets():
        yield Case("convert", "layers of terabytes", name, lambda make=make: make().encode())
