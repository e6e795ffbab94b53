"""A CAM network, ready to run: pictures in, class activation maps out, on onnxruntime alone."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
import onnxruntime
from PIL import Image

from camcompat.cam.labels import class_index, read_labels
from camcompat.cam.network import Network
from camcompat.cam.pipelines import make_pipeline
from camcompat.cam.pipelines.base import Pipeline
from camcompat.cam.result import BoxRule, Result
from camcompat.pictures.images import ImageSource, is_picture, read_image, source_name
from camcompat.pictures.preprocess import Preprocess
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.pictures.images import ImageSources
    from camcompat.pictures.imresize import Border

__all__ = ["Boxes", "Classes", "Model"]

Classes: TypeAlias = int | str | Sequence[int | str]
"""Classes by index or label."""

Boxes: TypeAlias = str | tuple[str, Mapping[str, Any]] | Mapping[str, Any]
"""A rule's name, or with its options: ``("dt-box", {"thresholds": (20, 100, 110)})``, ``{"rule": "dt-box", ...}``."""

Crops: TypeAlias = int | Literal["dense"]
"""How many crops of a picture the network sees: 1, 10, or ten from two passes."""

_BLOBS_AT_ONCE = 8
_PICTURE_CHANNELS = (1, 3)


@dataclass(frozen=True)
class _Request:
    """What is wanted of every picture."""

    pipeline: Pipeline
    top: int
    classes: list[int] | None
    rule: BoxRule | None


class Model(Network):
    """A CAM network that takes pictures; ``camcompat.load`` makes them. Calling it from several threads is safe.

    Attributes:
        source, session, interface, metadata: see ``Network``.
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
        super().__init__(session, source=source)
        recipe = {**(self.metadata.get("preprocess") or {}), **(preprocess or {})}
        shape, where = self.interface.shape, f"{source}: preprocess"
        pictures = not isinstance(shape[1], int) or shape[1] in _PICTURE_CHANNELS
        cam = self.metadata.get("cam") or {}
        self._dense = cam.get("form") == "dense"
        if self._dense:  # its input is the whole resized picture, of which the recipe's crop is a part
            shape, recipe = (*shape[:2], None, None), {"crop": cam.get("crop"), **recipe}
        self._preprocess = Preprocess.from_mapping(recipe, input_shape=shape, where=where) if pictures else None
        names = labels if labels is not None else self.metadata.get("labels") or None
        self.labels = None if names is None else read_labels(names, count=self.interface.count)

    @property
    def preprocess(self) -> Preprocess:
        """The recipe from picture to input.

        Raises:
            CamcompatError: the network takes no pictures.
        """
        if self._preprocess is None:
            raise CamcompatError(
                f"the network takes {self.interface.shape[1]} channels, no pictures",
                where=self.source,
                remedy="give its input to Model.run",
            )
        return self._preprocess

    def __repr__(self) -> str:
        size = "x".join(map(str, self.interface.shape[1:]))
        return f"<Model {Path(self.source).name}: {self.interface.count} classes, input {self.interface.input} {size}>"

    @overload
    def __call__(
        self,
        images: ImageSource,
        *,
        top: int = ...,
        classes: Classes | None = ...,
        crops: Crops | None = ...,
        pipeline: str = ...,
        boxes: Boxes | None = ...,
        border: Border | None = ...,
        batch_size: int | None = ...,
    ) -> Result: ...
    @overload
    def __call__(
        self,
        images: ImageSources,
        *,
        top: int = ...,
        classes: Classes | None = ...,
        crops: Crops | None = ...,
        pipeline: str = ...,
        boxes: Boxes | None = ...,
        border: Border | None = ...,
        batch_size: int | None = ...,
    ) -> list[Result]: ...
    def __call__(
        self,
        images: ImageSource | ImageSources,
        *,
        top: int = 5,
        classes: Classes | None = None,
        crops: Crops | None = None,
        pipeline: str = "plain",
        boxes: Boxes | None = None,
        border: Border | None = None,
        batch_size: int | None = None,
    ) -> Result | list[Result]:
        """Return the scores and maps of one picture, or a list of them for several.

        Args:
            images: a path, binary file, Pillow image or uint8 array (see ``read_image``); or a list, tuple or generator
                of them, which are run in batches and returned in order.
            top, classes, crops, pipeline, boxes, border, batch_size: as in ``stream``.

        Raises:
            CamcompatError: a picture that cannot be read (the first one ends it), a class that does not exist, an
                option's value that is unknown.
        """
        single = is_picture(images)
        several: Any = [images] if single else images  # mypy cannot know what is_picture refused
        results = self.stream(
            several,
            top=top,
            classes=classes,
            crops=crops,
            pipeline=pipeline,
            boxes=boxes,
            border=border,
            batch_size=batch_size,
        )
        return next(results) if single else list(results)

    def stream(
        self,
        images: Iterable[ImageSource],
        *,
        top: int = 5,
        classes: Classes | None = None,
        crops: Crops | None = None,
        pipeline: str = "plain",
        boxes: Boxes | None = None,
        border: Border | None = None,
        batch_size: int | None = None,
    ) -> Iterator[Result]:
        """Yield a result per picture, in order and in constant memory.

        Args:
            images: as in ``__call__``, also without end. A bad one raises after the results of those before it.
            top: how many classes, the best first; all where the network has fewer.
            classes: these instead, by index or label, in this order.
            crops: 1, 10, or "dense": ten crops from two passes, in a file that `camcompat convert --dense` made (which
                does nothing else); None: the pipeline's own. Scores are the mean over the crops.
            pipeline: "plain" (1 crop), or "matlab", the published one number by number (10 crops).
            boxes: "paper" (the largest region above 20 % of the maximum), "dt-box" (the release's program), or one of
                them with options; they are drawn on overlays and listed by ``to_json``.
            border: of matlab's resampling: "mirror" (MATLAB today) or "clamp" (MATLAB of old); None: "mirror".
            batch_size: pictures run at a time; None: as many as make about 8 crops.

        Raises:
            CamcompatError: as ``__call__``.
        """
        if is_picture(images):
            raise CamcompatError(
                "found one picture, expected several", where="stream", remedy="pass a list of pictures"
            )
        if batch_size is not None and batch_size < 1:
            raise CamcompatError(f"batch_size is {batch_size}", where="stream", remedy="use 1 or more")
        if top < 1:
            raise CamcompatError(f"top is {top}", where="stream", remedy="use 1 or more")
        way = self._pipeline(pipeline, crops, border)
        wanted = None if classes is None else self._indices(classes)
        request = _Request(way, top, wanted, BoxRule.of(boxes))
        return self._results(iter(images), request, batch_size or max(1, _BLOBS_AT_ONCE // way.crops))

    def _results(self, pending: Iterator[ImageSource], request: _Request, batch_size: int) -> Iterator[Result]:
        while True:
            chunk, bad = _read(islice(pending, batch_size))
            if chunk:
                yield from self._mapped(chunk, request)
            if bad is not None:
                raise bad
            if len(chunk) < batch_size:
                return

    def _mapped(self, chunk: list[tuple[str, Image.Image]], request: _Request) -> Iterator[Result]:
        crops = request.pipeline.rows
        blobs = np.empty((len(chunk) * crops, *request.pipeline.shape), np.float32)
        for index, (_, image) in enumerate(chunk):
            blobs[index * crops : (index + 1) * crops] = request.pipeline.blobs(image)
        # the best classes of a picture are not those of each of its crops: then every map is wanted
        all_maps = crops > 1 or request.classes is not None
        outputs = self.run(blobs, top=self.interface.count if all_maps else request.top)
        for index, (source, image) in enumerate(chunk):
            rows = slice(index * crops, (index + 1) * crops)
            yield self._result(image, source, {name: value[rows] for name, value in outputs.items()}, request)

    def _pipeline(self, name: str, crops: Crops | None, border: Border | None) -> Pipeline:
        if not self._dense and crops != "dense":
            return make_pipeline(name, self.preprocess, crops=crops, border=border)
        if not self._dense or crops not in (None, "dense") or name != "plain" or border is not None:
            found = f"crops is {crops!r}, pipeline {name!r}"
            remedy = "make a dense file: `camcompat convert --dense`"
            if self._dense:
                remedy = "a dense file does pipeline plain with crops 'dense'; use the file beside it"
            raise CamcompatError(found, where=self.source, remedy=remedy)
        from camcompat.cam.pipelines.dense import Dense

        rows, columns = self.interface.shape[2:]
        return Dense.of(self.preprocess, (rows, columns))

    def _indices(self, classes: Classes) -> list[int]:
        if isinstance(classes, (int, str, np.integer)):
            classes = [classes]
        if not len(classes):
            raise CamcompatError("is empty", where="classes", remedy="name at least one class, or leave it out")
        return [class_index(wanted, self.labels, self.interface.count) for wanted in classes]

    def _result(self, image: Image.Image, source: str, outputs: Mapping[str, np.ndarray], request: _Request) -> Result:
        classes, scores, stack = _chosen(outputs, request)
        names = [self.labels[index] if self.labels else f"class {index}" for index in classes.tolist()]
        return Result(image, classes, scores, tuple(names), stack, request.pipeline, source, request.rule)


def _read(images: Iterable[ImageSource]) -> tuple[list[tuple[str, Image.Image]], CamcompatError | None]:
    """The pictures up to the first bad one, and what is wrong with that: what comes before it is still mapped."""
    chunk = []
    for image in images:
        try:
            chunk.append((source_name(image), read_image(image)))
        except CamcompatError as error:
            return chunk, error
    return chunk, None


def _chosen(outputs: Mapping[str, np.ndarray], request: _Request) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes (k,), scores (k,) and maps (k, crops, h, w) of one picture: copies, which do not keep the whole batch."""
    classes, scores, cams = (outputs[name] for name in ("classes", "scores", "cams"))
    cams = cams if cams.ndim == 5 else cams[:, :, np.newaxis]  # (a dense file gives all crops of a picture in one row)
    if len(classes) == 1 and request.classes is None:
        return classes[0].copy(), scores[0].copy(), cams[0].copy()
    places = np.argsort(classes, axis=1)  # every row holds every class once: where each class stands in it
    mean = np.take_along_axis(scores, places, 1).mean(0, dtype=np.float64).astype(np.float32)
    if request.classes is None:
        wanted = np.argsort(-mean, kind="stable")[: request.top]
    else:
        wanted = np.array(request.classes, np.int64)
    stack = np.concatenate([cams[crop, places[crop, wanted]] for crop in range(len(cams))], 1)
    return wanted, mean[wanted], stack
