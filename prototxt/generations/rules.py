"""Which layers a net has in a given phase, level and set of stages: ``include`` and ``exclude``.

After ``Net::FilterNet`` and ``Net::StateMeetsRule`` in ``caffe/net.cpp``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prototxt.errors import PrototxtError
from prototxt.schema import message_class

__all__ = ["included", "net_state"]


def net_state(own: Any, phase: str | None, level: int | None, stages: Iterable[str], where: str) -> Any:
    """The NetState that the rules are judged by.

    Args:
        own: the ``state`` field of the net; holds where the caller gives nothing, and its stages always count.
        phase: ``TRAIN``, ``TEST``, or None for the net's own, which is TEST unless written otherwise.
        level: None for the net's own, which is 0 unless written otherwise.
        stages: names of stages, added to the net's own.
        where: the file, for errors.

    Raises:
        PrototxtError: there is no such phase.
    """
    state = message_class("NetState")()
    state.CopyFrom(own)
    if phase is not None:
        phases = state.DESCRIPTOR.fields_by_name["phase"].enum_type.values_by_name
        if phase.upper() not in phases:
            raise PrototxtError(f'there is no phase "{phase}"', where=where, remedy=f"choose from {', '.join(phases)}")
        state.phase = phases[phase.upper()].number
    else:
        state.phase = own.phase
    if level is not None:
        state.level = level
    state.stage.extend(stage for stage in stages if stage not in state.stage)
    return state


def included(layer: Any, state: Any, where: str) -> bool:
    """Whether a net in `state` has a layer.

    Raises:
        PrototxtError: the layer has both ``include`` and ``exclude`` rules.
    """
    if layer.include and layer.exclude:
        message = "it has both include and exclude rules, which Caffe refuses"
        raise PrototxtError(message, where=where, remedy="keep one kind")
    if layer.include:
        return any(_meets(state, rule) for rule in layer.include)
    return not any(_meets(state, rule) for rule in layer.exclude)


def _meets(state: Any, rule: Any) -> bool:
    """Whether a state meets every condition of a rule."""
    return not (
        (rule.HasField("phase") and rule.phase != state.phase)
        or (rule.HasField("min_level") and state.level < rule.min_level)
        or (rule.HasField("max_level") and state.level > rule.max_level)
        or not set(rule.stage) <= set(state.stage)
        or set(rule.not_stage) & set(state.stage)
    )
