"""The schema: compiled from its source, alone in its pool, true to BVLC's numbers."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from prototxt import schema
from prototxt.schema import message_class

FOLDER = Path(schema.__file__).parent


def test_binpb_matches_the_proto() -> None:
    if find_spec("grpc_tools") is None:
        pytest.skip("needs grpcio-tools to compile the schema again")
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    from prototxt.schema.build import compile_schema

    committed = FileDescriptorSet.FromString((FOLDER / "caffe.binpb").read_bytes())
    assert committed == FileDescriptorSet.FromString(compile_schema())


def test_binpb_has_every_message_of_the_proto() -> None:
    names = re.findall(r"^message (\w+)", (FOLDER / "caffe.proto").read_text(), re.MULTILINE)
    assert len(names) > 100
    for name in names:
        assert message_class(name).DESCRIPTOR.full_name == f"caffe.{name}"


def test_every_field_of_the_proto_is_in_binpb() -> None:
    field = re.compile(r"^  (?:optional|repeated|required) [\w.]+ (\w+) = (\d+)")
    descriptor = None
    count = 0
    for line in (FOLDER / "caffe.proto").read_text().splitlines():
        if line.startswith("message "):
            descriptor = message_class(line.split()[1]).DESCRIPTOR
        elif found := field.match(line):
            assert descriptor is not None
            assert descriptor.fields_by_name[found[1]].number == int(found[2])
            count += 1
    assert count > 700


@pytest.mark.parametrize(
    ("message", "field", "number", "default"),
    [
        # Written down from BVLC's and the SSD branch's published schemas.
        ("NetParameter", "layer", 100, None),
        ("NetParameter", "layers", 2, None),
        ("NetParameter", "input_dim", 4, None),
        ("BlobProto", "data", 5, None),
        ("BlobProto", "shape", 7, None),
        ("BlobProto", "raw_data_type", 10, None),
        ("BlobProto", "raw_data", 12, None),
        ("LayerParameter", "blobs", 7, None),
        ("LayerParameter", "convolution_param", 106, None),
        ("LayerParameter", "input_param", 143, None),
        ("LayerParameter", "clip_param", 148, None),
        ("LayerParameter", "permute_param", 202, None),
        ("LayerParameter", "prior_box_param", 203, None),
        ("LayerParameter", "detection_output_param", 204, None),
        ("LayerParameter", "norm_param", 206, None),
        ("V1LayerParameter", "blobs", 6, None),
        ("V1LayerParameter", "param", 1001, None),
        ("V0LayerParameter", "blobs", 50, None),
        ("ConvolutionParameter", "group", 5, 1),
        ("ConvolutionParameter", "dilation", 18, None),
        ("PoolingParameter", "round_mode", 13, 0),
        ("LRNParameter", "local_size", 1, 5),
        ("LRNParameter", "beta", 3, 0.75),
        ("BatchNormParameter", "eps", 3, pytest.approx(1e-5)),
        ("DropoutParameter", "dropout_ratio", 1, 0.5),
        ("PriorBoxParameter", "flip", 4, True),
        ("PriorBoxParameter", "offset", 13, 0.5),
        ("DetectionOutputParameter", "keep_top_k", 7, -1),
        ("NonMaximumSuppressionParameter", "nms_threshold", 1, pytest.approx(0.3)),
        ("NetState", "phase", 1, 1),
        ("ReductionParameter", "axis", 2, 0),
        ("FlattenParameter", "end_axis", 2, -1),
        ("ReshapeParameter", "num_axes", 3, -1),
    ],
)
def test_numbers_and_defaults(message: str, field: str, number: int, default: object) -> None:
    descriptor = message_class(message).DESCRIPTOR.fields_by_name[field]
    assert descriptor.number == number
    if default is not None:
        assert descriptor.default_value == default


def test_fork_fields_have_private_numbers() -> None:
    """In messages that BVLC or SSD also have, a field of another fork must not take a number of theirs."""
    for message, field in [
        ("PoolingParameter", "ceil_mode"),
        ("ReLUParameter", "relu6"),
        ("LayerParameter", "bn_param"),
        ("LayerParameter", "interp_param"),
        ("LayerParameter", "upsample_param"),
        ("LayerParameter", "roi_pooling_param"),
        ("ConvolutionParameter", "hole"),
        ("ConvolutionParameter", "pad_l"),
        ("ConvolutionParameter", "kernel_shape"),
        ("PoolingParameter", "pad_type"),
        ("BatchNormParameter", "use_weight_bias"),
        ("EltwiseParameter", "engine"),
        ("InnerProductParameter", "engine"),
        ("PriorBoxParameter", "denser_prior_boxes"),
        ("DetectionOutputParameter", "use_polygon"),
        ("ReLUParameter", "maximum"),
        ("LossParameter", "pre_fixed_normalizer"),
        ("LayerParameter", "convolution3d_param"),
        ("V1LayerParameter", "bn_param"),
        ("V1LayerParameter", "roi_pooling_param"),
    ]:
        assert message_class(message).DESCRIPTOR.fields_by_name[field].number >= 50000


def test_the_old_format_knows_every_parameter_that_todays_knows() -> None:
    """Forks write new layers in the old format: there, too, a parameter that BVLC's lacks has a private number."""
    new = message_class("LayerParameter").DESCRIPTOR.fields_by_name
    old = message_class("V1LayerParameter").DESCRIPTOR.fields_by_name
    assert {name for name in new if name.endswith("_param")} <= set(old)
    for name, field in old.items():
        if name in new and field.message_type is not None:
            assert new[name].message_type is field.message_type
        # BVLC's V1LayerParameter ends at loss_param (42), besides param and blob_share_mode.
        assert field.number <= 42 or field.number in (1001, 1002) or field.number >= 50000


def test_layer_types_of_forks_have_private_numbers() -> None:
    numbers = message_class("V1LayerParameter").DESCRIPTOR.fields_by_name["type"].enum_type.values_by_name
    assert {numbers[name].number for name in ("ABSVAL", "SILENCE", "CONTRASTIVE_LOSS", "EXP", "DECONVOLUTION")} == set(
        range(35, 40)
    )
    assert all(value.number <= 39 or value.number >= 50000 for value in numbers.values())
    for name in ("CONVOLUTION3D", "POOLING3D", "ROI_POOLING", "BN", "UPSAMPLE", "IMAGE_SEG_DATA", "INTERP", "PYTHON"):
        assert numbers[name].number >= 50000


def test_message_class_is_one_class_and_unknown_names_fail() -> None:
    assert message_class("NetParameter") is message_class("NetParameter")
    with pytest.raises(KeyError):
        message_class("NoSuchParameter")


def test_lives_beside_another_caffe_pb2() -> None:
    """A file with the same package and messages in protobuf's default pool: what importing pycaffe does."""
    script = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
message = file.message_type.add(name="NetParameter")
message.field.add(name="name", number=1, type=9, label=1)
def other():
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
    found = descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter")
    return message_factory.GetMessageClass(found)
def ours():
    from prototxt.schema import message_class
    return message_class("NetParameter")
a, b = (other(), ours()) if ORDER else (ours(), other())[::-1]
assert a is not b
assert not hasattr(a(), "layer") and b(name="x").layer is not None
import prototxt
net = b(name="n", input=["d"])
net.input_shape.add(dim=[1, 2])
net.layer.add(name="r", type="ReLU", bottom=["d"], top=["e"])
assert prototxt.from_message(net).outputs == ("e",)
"""
    for order in (True, False):
        code = f"ORDER = {order}\n{script}"
        subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parent.parent)


def test_importing_the_package_loads_no_protobuf() -> None:
    code = "import sys, prototxt, prototxt.errors; assert not [m for m in sys.modules if m.startswith('google')]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parent.parent)


def test_every_exported_name_exists() -> None:
    import prototxt

    for name in prototxt.__all__:
        assert getattr(prototxt, name).__name__ == name
    assert set(prototxt.__all__) <= set(dir(prototxt))
    with pytest.raises(AttributeError, match="no_such_name"):
        prototxt.no_such_name  # noqa: B018
