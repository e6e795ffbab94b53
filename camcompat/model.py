"""A CAM network, ready to run: pictures in, class activation maps out, on onnxruntime alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
from PIL import Image

from camcompat.cam import Result
from camcompat.catalogue import description
from camcompat.images import ImageSource, read_image
from camcompat.labels import class_index, read_labels
from camcompat.preprocess import Preprocess
from camcompat.session import ORT_ERRORS, Interface, Provider, open_session, read_interface, read_metadata
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from weights.catalog import Model as CatalogueModel

__all__ = ["Classes", "Model", "load"]

Classes = int | str | Sequence[int | str]
"""Classes by index or label."""

_FOREIGN = {".caffemodel", ".prototxt", ".pbtxt", ".h5", ".pt", ".pth"}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    threads: int | None = None,
    providers: Sequence[Provider] | None = None,
    preprocess: Mapping[str, Any] | None = None,
    labels: str | os.PathLike[str] | Sequence[str] | None = None,
) -> Model:
    """Open a CAM network: an ``.onnx`` file, or a name of the catalogue (``camcompat list``).

    A catalogue network that is downloaded but not yet converted is converted first, where the converters are installed.

    Args:
        name_or_path: the file or the name.
        threads: threads within one operator; None: every core that this process may use.
        providers: onnxruntime's execution providers; None: the CPU. CUDA runs without TF32, unless you ask for it.
        preprocess: values that replace those of the file: "resize", "crop", "mean", "scale", "channels"
            (see ``Preprocess.from_mapping``).
        labels: class names, or a file of them, that replace those of the file.

    Raises:
        CamcompatError: no such file or name, not an ONNX file, a network converted without CAM.

    >>> load("net.caffemodel")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: net.caffemodel: is no ONNX file; convert it first: `camcompat convert`
    """
    path = _path(name_or_path)
    session = open_session(path, threads=threads, providers=providers)
    return Model(session, source=str(path), preprocess=preprocess, labels=labels)


def _path(name_or_path: str | os.PathLike[str]) -> Path:
    text = os.fspath(name_or_path)
    path = Path(text)
    if path.suffix.lower() in _FOREIGN:
        raise CamcompatError("is no ONNX file", where=text, remedy="convert it first: `camcompat convert`")
    if path.is_file():
        return path
    if path.is_dir() and (os.sep in text or not isinstance(name_or_path, str)):
        raise CamcompatError("is a folder", where=text, remedy="name the .onnx file in it")
    if path.suffix.lower() == ".onnx" or os.sep in text or not isinstance(name_or_path, str):
        raise CamcompatError("no such file", where=text, remedy="check the path, or name a network of `camcompat list`")
    return _converted_path(text)


class Model:
    """A CAM network in an onnxruntime session; ``load`` makes them. Calling it from several threads is safe.

    Attributes:
        source: the file.
        session: the ``onnxruntime.InferenceSession``.
        interface: names and sizes of inputs and outputs.
        metadata: what the converter noted in the file (empty for foreign files).
        preprocess: the recipe from picture to input.
        labels: class names in class order, None where unknown.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        *,
        source: str,
        preprocess: Mapping[str, Any] | None = None,
        labels: str | os.PathLike[str] | Sequence[str] | None = None,
    ) -> None:
        self.source = source
        self.session = session
        self.metadata = read_metadata(session, source)
        self.interface: Interface = read_interface(session, self.metadata, source)
        recipe = {**(self.metadata.get("preprocess") or {}), **(preprocess or {})}
        self.preprocess = Preprocess.from_mapping(
            recipe, input_shape=self.interface.shape, where=f"{source}: preprocess"
        )
        names = labels if labels is not None else self.metadata.get("labels") or None
        self.labels = None if names is None else read_labels(names, count=self.interface.count)

    def __repr__(self) -> str:
        name, size = Path(self.source).name, "x".join(map(str, self.preprocess.crop))
        return f"<Model {name}: {self.interface.count} classes, input {self.interface.input} {size}>"

    def __call__(self, image: ImageSource, *, top: int = 5, classes: Classes | None = None) -> Result:
        """Return the scores and maps of one picture.

        Args:
            image: a path, binary file, Pillow image or uint8 array (see ``read_image``).
            top: how many classes, the best first; all where the network has fewer.
            classes: these instead, by index or label, in this order.

        Raises:
            CamcompatError: a picture that cannot be read, or a class that does not exist.
        """
        return self.batch([image], top=top, classes=classes)[0]

    def batch(
        self, images: Iterable[ImageSource], *, top: int = 5, classes: Classes | None = None, batch_size: int = 8
    ) -> list[Result]:
        """Return a result per picture, as ``__call__`` does, running ``batch_size`` of them at a time.

        Raises:
            CamcompatError: as ``__call__``; the first bad picture ends the batch.
        """
        if batch_size < 1:
            raise CamcompatError(f"batch_size is {batch_size}", where="batch", remedy="use 1 or more")
        if isinstance(images, (str, os.PathLike, np.ndarray, Image.Image)):
            raise CamcompatError("found one picture, expected several", where="batch", remedy="pass a list of pictures")
        wanted = None if classes is None else self._indices(classes)
        pending = iter(images)
        results: list[Result] = []
        while chunk := [read_image(image) for image in islice(pending, batch_size)]:
            blobs = np.empty((len(chunk), *self.preprocess.shape), np.float32)
            for image, blob in zip(chunk, blobs, strict=True):
                self.preprocess.blob(image, blob)
            outputs = self.run(blobs, top=self.interface.count if wanted else top)
            results += [self._result(image, outputs, row, wanted) for row, image in enumerate(chunk)]
        return results

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
                remedy=f"use top={offered} or less, or convert it again with `camcompat convert`",
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

    def _indices(self, classes: Classes) -> list[int]:
        if isinstance(classes, (int, str, np.integer)):
            classes = [classes]
        if not len(classes):
            raise CamcompatError("is empty", where="classes", remedy="name at least one class, or leave it out")
        return [class_index(wanted, self.labels, self.interface.count) for wanted in classes]

    def _result(
        self, image: Image.Image, outputs: Mapping[str, np.ndarray], row: int, wanted: list[int] | None
    ) -> Result:
        classes, scores, maps = (outputs[name][row] for name in ("classes", "scores", "cams"))
        if wanted is not None:
            rank = np.argsort(classes)[wanted]  # classes holds every index once: where each of the wanted ones stands
            classes, scores, maps = classes[rank], scores[rank], maps[rank]
        names = [self.labels[index] if self.labels else f"class {index}" for index in classes.tolist()]
        box = self.preprocess.crop_box(image.width, image.height)
        # copies, so that a kept result does not keep the whole batch
        return Result(image, classes.copy(), scores.copy(), maps.copy(), tuple(names), box)


def _converted_path(name: str) -> Path:
    """The .onnx file of a catalogue network, converted now where it is missing and the converters are installed."""
    from weights.catalog import find, home

    model = find(name)
    path = home() / model.name / f"{model.name}.onnx"
    if path.is_file():
        return path
    if not model.present():
        raise CamcompatError("is not downloaded", where=model.name, remedy=f"run `camcompat download {model.name}`")
    _convert(model, path)
    return path


def _convert(model: CatalogueModel, path: Path) -> None:
    try:
        from converters import to_onnx
    except ImportError as error:  # the converters' own dependencies, which a machine that only runs CAMs need not have
        raise CamcompatError(
            f"is not converted, and the converters cannot run here: {error}",
            where=model.name,
            remedy=f"run `camcompat convert {model.name}` where they are installed, and copy the file to {path}",
        ) from None
    path.parent.mkdir(parents=True, exist_ok=True)
    to_onnx(model.path("prototxt"), model.path("caffemodel"), path, cam=True, metadata=description(model))
