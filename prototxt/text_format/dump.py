"""A net as text again: what was read, in today's format."""

from __future__ import annotations

from prototxt.structure import Net

__all__ = ["dumps"]


def dumps(net: Net) -> str:
    """The text of a net: upgraded to today's format, filtered by its phase, inputs as an Input layer.

    Reading it gives an equal net (``Net.message``). Fields that the schema lacks are not written; ``Net.unknown`` lists
    them.

    >>> from prototxt import loads
    >>> net = loads('input: "x" input_dim: [1, 2, 3, 4] layers { type: RELU bottom: "x" top: "y" name: "r" }')
    >>> print(dumps(net))
    state {
      phase: TEST
    }
    layer {
      name: "input"
      type: "Input"
      top: "x"
      input_param {
        shape {
          dim: 1
          dim: 2
          dim: 3
          dim: 4
        }
      }
    }
    layer {
      name: "r"
      type: "ReLU"
      bottom: "x"
      top: "y"
    }
    <BLANKLINE>
    >>> loads(dumps(net)).message == net.message
    True
    """
    from google.protobuf import text_format

    return str(text_format.MessageToString(net.message))
