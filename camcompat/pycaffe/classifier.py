"""`caffe.Classifier`: pictures in, predictions out (after pycaffe's classifier.py)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from camcompat.pycaffe.arguments import TEST
from camcompat.pycaffe.errors import CaffeError
from camcompat.pycaffe.io import oversample as ten_crops, resize_image, transformer_for
from camcompat.pycaffe.pycaffe import Net

__all__ = ["Classifier"]


class Classifier(Net):
    """A net for classification, with its preprocessing.

    Args:
        model_file, pretrained_file: prototxt and caffemodel.
        image_dims: height and width to resize pictures to before cropping; by default the input's.
        mean, input_scale, raw_scale, channel_swap: as for `caffe.io.Transformer`.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        pretrained_file: str | os.PathLike[str],
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        name = self.inputs[0]
        self.transformer = transformer_for(
            self.blobs, name, mean=mean, input_scale=input_scale, raw_scale=raw_scale, channel_swap=channel_swap
        )
        self.crop_dims = np.array(self.blobs[name].data.shape[2:])
        self.image_dims = np.array(image_dims if image_dims is not None and len(image_dims) else self.crop_dims)
        if (self.image_dims < self.crop_dims).any():
            message = f"image_dims {self.image_dims.tolist()} are smaller than the input, {self.crop_dims.tolist()}"
            raise CaffeError(message, remedy="pictures are cropped from image_dims to the input: give larger ones")

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """The net's first output for each picture.

        Args:
            inputs: pictures (H, W, K), as `caffe.io.load_image` gives them; of any size.
            oversample: the mean over the ten crops of `caffe.io.oversample`, else the centre crop only.

        Returns: (pictures, classes).
        """
        images = [resize_image(picture, self.image_dims) for picture in inputs]
        if oversample:
            crops = list(ten_crops(images, self.crop_dims))
        else:
            top, left = (int(margin) for margin in (self.image_dims - self.crop_dims) / 2.0)
            height, width = self.crop_dims
            crops = [image[top : top + height, left : left + width] for image in images]
        name = self.inputs[0]
        batch: dict[str, Any] = {name: np.array([self.transformer.preprocess(name, crop) for crop in crops])}
        predictions = self.forward_all(**batch)[self.outputs[0]]
        if oversample:
            predictions = predictions.reshape(len(images), 10, -1).mean(axis=1)
        return predictions
