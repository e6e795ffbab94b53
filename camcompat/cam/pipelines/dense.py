"""Ten crops from two passes: the network sees the whole resized picture (in a file that `convert --dense` made)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from camcompat.cam.pipelines.plain import Plain
from camcompat.pictures.preprocess import Preprocess, Size
from prototxt.errors import CamcompatError

__all__ = ["Dense"]


@dataclass(frozen=True, eq=False)
class Dense(Plain):
    """The plain pipeline's ten crops, whose maps are windows of a larger picture's features.

    The form of the file decides on it, not its name, which is that of the plain pipeline: so it is in no registry.
    """

    @classmethod
    def of(cls, preprocess: Preprocess, canvas: Size) -> Dense:
        """Return the pipeline of a dense file whose input is `canvas`.

        Raises:
            CamcompatError: the recipe resizes pictures to another size, or its mean belongs to the crop.
        """
        if preprocess.canvas != canvas:
            raise CamcompatError(
                f"the recipe resizes to {preprocess.canvas}, the file takes {canvas}",
                where="crops='dense'",
                remedy="convert it again with `camcompat convert --dense`",
            )
        if preprocess.mean.shape[1:] not in ((1, 1), canvas):
            raise CamcompatError(
                f"the mean image is {preprocess.mean.shape[1:]}", where="crops='dense'", remedy="use a mean per channel"
            )
        return cls(replace(preprocess, resize=canvas), 10)

    @property
    def rows(self) -> int:
        return 1

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.preprocess.shape[0], *self.preprocess.canvas)

    def blobs(self, image: Image.Image) -> np.ndarray:
        whole = replace(self.preprocess, crop=self.preprocess.canvas)
        return whole.blobs(image, whole.layout(1, (image.height, image.width)))
