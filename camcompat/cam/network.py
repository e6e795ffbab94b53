"""A CAM network on arrays: batches of prepared inputs in, all outputs of its ONNX file out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnxruntime

from camcompat.cam.session import ORT_ERRORS, Interface, read_interface, read_metadata
from prototxt.errors import CamcompatError

__all__ = ["Network"]


class Network:
    """An onnxruntime session of a CAM file.

    Attributes:
        source: the file.
        session: the ``onnxruntime.InferenceSession``.
        interface: names and sizes of inputs and outputs.
        metadata: what the converter noted in the file (empty for foreign files).
    """

    def __init__(self, session: onnxruntime.InferenceSession, *, source: str) -> None:
        self.source = source
        self.session = session
        self.metadata = read_metadata(session, source)
        self.interface: Interface = read_interface(session, self.metadata, source)

    def run(self, array: np.ndarray, *, top: int = 5) -> dict[str, np.ndarray]:
        """Run the network on a preprocessed batch and return all its outputs by name.

        Args:
            array: float32 (N, C, H, W), as the network wants it (``preprocess.blob`` makes one picture's).
            top: k, how many classes; all where the network has fewer.

        Returns:
            ``scores`` (N, k) float32 descending, ``classes`` (N, k) int64, ``cams`` (N, k, h, w) float32, and the net's
            own outputs.

        Raises:
            CamcompatError: an array of another shape, a k that the file does not offer, a failure of onnxruntime.
        """
        if top < 1:
            raise CamcompatError(f"top is {top}", where="run", remedy="use 1 or more")
        array = self._input(array)
        top = min(top, self.interface.count)
        feeds = {"k": np.array([top], np.int64)} if self.interface.choosable else {}
        pieces = [self._run({self.interface.input: piece, **feeds}) for piece in self._pieces(array)]
        outputs = {
            name: pieces[0][name] if len(pieces) == 1 else np.concatenate([piece[name] for piece in pieces])
            for name in self.interface.outputs
        }
        if isinstance(self.interface.shape[0], int):
            outputs = {name: value[: len(array)] for name, value in outputs.items()}
        offered = outputs["scores"].shape[1]
        if offered < top:
            raise CamcompatError(
                f"gives {offered} classes and has no input 'k' to ask for {top}",
                where=self.source,
                remedy=f"use top={offered} or less (and one crop), or convert it again with `camcompat convert`",
            )
        cut = {name: outputs[name][:, :top] for name in ("scores", "classes", "cams")}
        return {**outputs, **cut}

    def _input(self, array: np.ndarray) -> np.ndarray:
        array = np.ascontiguousarray(array, np.float32)
        expected = self.interface.shape[1:]
        fits = array.ndim == 4 and len(array) > 0
        if not fits or any(
            isinstance(want, int) and want != got for want, got in zip(expected, array.shape[1:], strict=False)
        ):
            raise CamcompatError(
                f"found an array of shape {array.shape}, expected (N, {', '.join(map(str, expected))})",
                where=f"{self.source}: input {self.interface.input!r}",
                remedy="Model.preprocess.blob makes the input of a picture",
            )
        return array

    def _pieces(self, array: np.ndarray) -> Iterator[np.ndarray]:
        """The batch as the file takes it: whole, or in pieces of its fixed size, the last one filled up with zeros."""
        size = self.interface.shape[0]
        if not isinstance(size, int):
            yield array
            return
        for start in range(0, len(array), size):
            piece = array[start : start + size]
            short = size - len(piece)
            yield np.concatenate([piece, np.zeros((short, *array.shape[1:]), np.float32)]) if short else piece

    def _run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            values = self.session.run(None, feeds)
        except ORT_ERRORS as error:
            raise CamcompatError(
                f"onnxruntime failed: {error}", where=self.source, remedy="convert it again with `camcompat convert`"
            ) from None
        return dict(zip(self.interface.outputs, values, strict=True))
