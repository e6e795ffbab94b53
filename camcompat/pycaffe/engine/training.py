"""Phase TRAIN: which layers would behave otherwise than in phase TEST."""

from __future__ import annotations

from camcompat.pycaffe.errors import CaffeError
from prototxt import Layer, Net

__all__ = ["check_phase"]


def _differs(layer: Layer) -> bool:
    if layer.type == "Dropout":
        return bool(layer.message.dropout_param.dropout_ratio > 0)
    if layer.type == "BatchNorm":
        return not layer.message.batch_norm_param.use_global_stats
    return False


def check_phase(net: Net, phase: str) -> None:
    """Refuse phase TRAIN for a net with layers that learn or draw in it; any other net is the same in both phases.

    Raises:
        CaffeError: the net has such a layer.
    """
    learning = next((layer for layer in net.layers if _differs(layer)), None) if phase == "TRAIN" else None
    if learning is not None:
        message = "in phase TRAIN this layer draws or learns at each pass, which the stand-in does not do"
        remedy = "make the net with caffe.TEST; to train, use converters.to_torch and .train()"
        raise CaffeError(message, where=learning.where, remedy=remedy)
