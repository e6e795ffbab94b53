"""Caffe's messages, loaded at run time into a descriptor pool of our own.

There is no generated ``_pb2`` module: generated code breaks when protobuf moves on, and two files that both define
``caffe.NetParameter`` cannot live in protobuf's default pool. Ours never enters it, so a ``caffe_pb2`` of pycaffe or of
another converter may be imported in the same process.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool

__all__ = ["message_class", "pool"]


@cache
def pool() -> DescriptorPool:
    """The descriptor pool that holds the schema, and nothing else."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.descriptor_pool import DescriptorPool

    files = FileDescriptorSet.FromString((Path(__file__).parent / "caffe.binpb").read_bytes())
    private = DescriptorPool()
    for file in files.file:
        private.AddSerializedFile(file.SerializeToString())
    return private


@cache
def message_class(name: str) -> Any:
    """The class of one of Caffe's messages.

    Args:
        name: without the package: ``NetParameter``, ``LayerParameter``, ``BlobProto``.

    Returns:
        The class; the same one at every call.

    Raises:
        KeyError: the schema has no such message.

    >>> message_class("PoolingParameter")(kernel_size=3).stride
    1
    """
    from google.protobuf.message_factory import GetMessageClass

    return GetMessageClass(pool().FindMessageTypeByName(f"caffe.{name}"))
