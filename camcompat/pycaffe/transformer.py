"""`caffe.io.Transformer`: from a picture to what a net's input wants, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from camcompat.pycaffe.errors import CaffeError

__all__ = ["Transformer"]


class Transformer:
    """Prepares pictures for the inputs of a net.

    The order of `preprocess`: resize to the input's height and width, transpose, swap channels, times the raw scale,
    minus the mean, times the input scale. What was not set is left out. Unlike pycaffe's, it never writes into the
    array that it is given.

    Args:
        inputs: input name → shape of its blob (N, C, H, W).

    >>> transformer = Transformer({"data": (1, 3, 1, 1)})
    >>> transformer.set_transpose("data", (2, 0, 1))
    >>> transformer.set_channel_swap("data", (2, 1, 0))
    >>> transformer.set_raw_scale("data", 255)
    >>> transformer.set_mean("data", np.array([104.0, 117.0, 123.0]))
    >>> transformer.preprocess("data", np.array([[[1.0, 0.5, 0.0]]])).ravel().tolist()
    [-104.0, 10.5, 132.0]
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def _shape(self, in_: str) -> tuple[int, ...]:
        if in_ not in self.inputs:
            raise CaffeError(f"{in_} is not one of the net inputs: {dict(self.inputs)}")
        return tuple(self.inputs[in_])

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """A picture (H, W, K), or whatever the transpose is for, as float32 for the input `in_` (no batch axis)."""
        from camcompat.pycaffe.io import resize_image

        dims = self._shape(in_)[2:]
        values = np.asarray(data).astype(np.float32)
        if values.shape[:2] != dims:
            values = resize_image(values, dims)
        if in_ in self.transpose:
            values = values.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            values = values[list(self.channel_swap[in_])]
        if in_ in self.raw_scale:
            values = values * np.float32(self.raw_scale[in_])
        if in_ in self.mean:
            values = (values - self.mean[in_]).astype(np.float32)
        if in_ in self.input_scale:
            values = values * np.float32(self.input_scale[in_])
        return values

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """What `preprocess` made of a picture, backwards; the size stays the input's."""
        self._shape(in_)
        values = np.squeeze(np.array(data))
        if in_ in self.input_scale:
            values = values / self.input_scale[in_]
        if in_ in self.mean:
            values = values + self.mean[in_]
        if in_ in self.raw_scale:
            values = values / self.raw_scale[in_]
        if in_ in self.channel_swap:
            values = values[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            values = values.transpose(np.argsort(self.transpose[in_]))
        return values.astype(np.asarray(data).dtype, copy=False)

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of axes: (2, 0, 1) makes (K, H, W) of (H, W, K)."""
        if len(order) != len(self._shape(in_)) - 1:
            raise CaffeError("Transpose order needs to have the same number of dimensions as the input.")
        self.transpose[in_] = order

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of channels, after the transpose: (2, 1, 0) makes BGR of RGB."""
        if len(order) != self._shape(in_)[1]:
            raise CaffeError("Channel swap needs to have the same number of dimensions as the input channels.")
        self.channel_swap[in_] = order

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """What to multiply with before the mean: 255 for nets that were trained on [0, 255]."""
        self._shape(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """What to subtract: one number per channel, or an image (C, H, W) of the input's shape.

        Raises:
            ValueError: it is neither.
        """
        shape = self._shape(in_)
        if mean.ndim == 1:
            if len(mean) != shape[1]:
                raise ValueError("Mean channels incompatible with input.")
            mean = mean[:, None, None]
        else:
            full = (1, *mean.shape) if mean.ndim == 2 else mean.shape
            if len(full) != 3:
                raise ValueError("Mean shape invalid")
            if tuple(full) != shape[1:]:
                hint = f"it is {full}, the input {shape[1:]}; use the mean of each channel: mean.mean(1).mean(1)"
                raise ValueError(f"Mean shape incompatible with input shape. ({hint})")
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """What to multiply with last, after the mean."""
        self._shape(in_)
        self.input_scale[in_] = scale
