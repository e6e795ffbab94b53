"""`caffe.Detector`: classify windows of pictures (after pycaffe's detector.py)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from camcompat.pycaffe.arguments import TEST
from camcompat.pycaffe.errors import CaffeError, not_offered
from camcompat.pycaffe.io import load_image, resize_image, transformer_for
from camcompat.pycaffe.pycaffe import Net

__all__ = ["Detector"]


class Detector(Net):
    """A net that is run on windows.

    Args:
        model_file, pretrained_file: prototxt and caffemodel.
        mean, input_scale, raw_scale, channel_swap: as for `caffe.io.Transformer`.
        context_pad: how many pixels at each border of the net's input show what surrounds the window, as in R-CNN.
    """

    def __init__(
        self,
        model_file: str | os.PathLike[str],
        pretrained_file: str | os.PathLike[str],
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer_for(
            self.blobs, self.inputs[0], mean=mean, input_scale=input_scale, raw_scale=raw_scale,
            channel_swap=channel_swap,
        )  # fmt: skip
        self.configure_crop(context_pad)

    def configure_crop(self, context_pad: int | None) -> None:
        """Set the context, and the picture that stands for the mean where it reaches beyond the image."""
        name = self.inputs[0]
        channels, *size = self.blobs[name].data.shape[1:]
        self.crop_dims = np.array([*size, channels])
        self.context_pad = context_pad
        if context_pad and (size[0] != size[1] or not 0 < 2 * context_pad < size[0]):
            message = f"context_pad {context_pad} does not fit an input of {size[0]}x{size[1]}"
            raise CaffeError(message, remedy="it is for square inputs, and takes less than half of their width")
        mean = self.transformer.mean.get(name, np.zeros((channels, 1, 1)))
        if name in self.transformer.channel_swap:
            mean = mean[np.argsort(self.transformer.channel_swap[name])]
        self.crop_mean = mean.transpose(1, 2, 0) / self.transformer.raw_scale.get(name, 1.0)

    def detect_windows(self, images_windows: Iterable[tuple[str, Sequence[Sequence[float]]]]) -> list[dict[str, Any]]:
        """Classify windows.

        Args:
            images_windows: pairs of a picture's path and its windows (ymin, xmin, ymax, xmax).

        Returns: for each window a dict of `filename`, `window` and `prediction`.
        """
        name = self.inputs[0]
        found: list[dict[str, Any]] = []
        prepared: list[np.ndarray] = []
        for path, windows in images_windows:
            image = load_image(path)
            for window in windows:
                found.append({"filename": path, "window": window})
                prepared.append(self.transformer.preprocess(name, self.crop(image, np.asarray(window))))
        if not found:
            return []
        batch: dict[str, Any] = {name: np.array(prepared, np.float32)}
        predictions = self.forward_all(**batch)[self.outputs[0]]
        for entry, prediction in zip(found, predictions):
            entry["prediction"] = prediction
        return found

    def detect_selective_search(self, image_fnames: Sequence[str]) -> None:
        """Not offered."""
        why = "pycaffe hands pictures to a MATLAB program for windows"
        remedy = "make windows with opencv-contrib's selective search, and call detect_windows"
        not_offered("detect_selective_search", why, remedy)

    def crop(self, im: np.ndarray, window: np.ndarray) -> np.ndarray:
        """A window (ymin, xmin, ymax, xmax) of an image (H, W, K), with its context where that is set."""
        top, left, bottom, right = (int(edge) for edge in window)
        inside = im[top:bottom, left:right]
        if not inside.size:
            remedy = "give (ymin, xmin, ymax, xmax) in pixels"
            raise CaffeError(f"the window {window.tolist()} is empty in an image of {im.shape[:2]}", remedy=remedy)
        return self._with_context(im, np.asarray(window, float)) if self.context_pad else inside

    def _with_context(self, im: np.ndarray, window: np.ndarray) -> np.ndarray:
        assert self.context_pad
        side = int(self.crop_dims[0])
        half = (window[2:] - window[:2] + 1) / 2
        centre, reach = window[:2] + half, half * side / (side - 2 * self.context_pad)
        low, high = np.round(centre - reach), np.round(centre + reach)
        scale = side / (high - low + 1)  # picture pixels to input pixels, per axis
        before = np.round(np.maximum(0, -low) * scale).astype(int)
        limits = np.array(im.shape[:2])
        low, high = np.clip(low, 0, limits).astype(int), np.clip(high, 0, limits).astype(int)
        size = np.minimum(np.round((high - low + 1) * scale).astype(int), side - before)
        seen = resize_image(im[low[0] : high[0], low[1] : high[1]], size.tolist())
        crop = np.ones(self.crop_dims, np.float32) * self.crop_mean
        crop[before[0] : before[0] + size[0], before[1] : before[1] + size[1]] = seen
        return np.asarray(crop, np.float32)
