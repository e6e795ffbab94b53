"""`caffe_pb2`: Caffe's messages and enums, from the project's own schema.

Messages come from a private descriptor pool, so another `caffe_pb2` may live in the same process; `text_format`,
`ParseFromString` and the rest of protobuf work on them as on generated ones.

>>> from google.protobuf import text_format
>>> net = text_format.Parse('layer { name: "p" type: "Pooling" pooling_param { pool: AVE } }', NetParameter())
>>> net.layer[0].pooling_param.pool == PoolingParameter.AVE, TEST, Phase.Name(0)
(True, 1, 'TRAIN')
"""

from __future__ import annotations

from typing import Any

from prototxt.schema import message_class

_NET = message_class("NetParameter")
DESCRIPTOR = _NET.DESCRIPTOR.file

# protobuf's wrapper of enums, found where it is used: the wrapper's own module is not public.
_Enum = type(message_class("PoolingParameter").PoolMethod)
_ENUMS = {name: _Enum(enum) for name, enum in DESCRIPTOR.enum_types_by_name.items()}
_VALUES = {name: number for enum in _ENUMS.values() for name, number in enum.items()}

_MESSAGES = {name: message_class(name) for name in DESCRIPTOR.message_types_by_name}

__all__ = sorted(["DESCRIPTOR", *_MESSAGES, *_ENUMS, *_VALUES])
globals().update({**_MESSAGES, **_ENUMS, **_VALUES})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"caffe_pb2 has no {name!r}: it is no message or enum of Caffe's that this schema knows")
