"""The two ways from a picture to its maps: ``plain``, today's, and ``matlab``, the published release's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.cam.pipelines.base import Pipeline
    from camcompat.pictures.imresize import Border
    from camcompat.pictures.preprocess import Preprocess

__all__ = ["PIPELINES", "make_pipeline"]

PIPELINES = ("plain", "matlab")


def make_pipeline(
    name: str, preprocess: Preprocess, *, crops: int | None = None, border: Border | None = None
) -> Pipeline:
    """Return a pipeline by name.

    Args:
        name: "plain" or "matlab".
        preprocess: the network's recipe.
        crops: how many; None: the pipeline's own, 1 (plain) or 10 (matlab).
        border: of matlab's ``imresize``, "mirror" (None) or "clamp"; plain has no such choice.

    Raises:
        CamcompatError: an unknown name, number of crops or border.
    """
    if name == "plain":
        if border is not None:
            raise CamcompatError(
                f"border is {border!r}", where="plain", remedy="only pipeline='matlab' has a border rule"
            )
        from camcompat.cam.pipelines.plain import Plain

        return Plain(preprocess, 1 if crops is None else crops)
    if name == "matlab":
        from camcompat.cam.pipelines.matlab import Matlab

        return Matlab(preprocess, 10 if crops is None else crops, border or "mirror")
    raise CamcompatError(f"pipeline is {name!r}", where="pipeline", remedy=f"use {' or '.join(map(repr, PIPELINES))}")
