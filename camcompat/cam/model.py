"""A CAM network, ready to run: pictures in, class activation maps out, on onnxruntime alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, overload

import numpy as np
import onnxruntime
from PIL import Image

from camcompat.boxes.rule import ChosenRule
from camcompat.cam.labels import class_index, read_labels
from camcompat.cam.pipelines.base import Pipeline, make_pipeline
from camcompat.cam.pipelines.dense import Dense
from camcompat.cam.result import Result
from camcompat.cam.session import ORT_ERRORS, Interface, read_interface, read_metadata
from camcompat.pictures.images import ImageSource, is_picture, read_image, source_name
from camcompat.pictures.preprocess import Preprocess
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from camcompat.pictures.images import ImageSources
    from camcompat.pictures.imresize import Border

__all__ = ["Boxes", "CallOptions", "Classes", "Crops", "Model"]

Classes: TypeAlias = int | str | Sequence[int | str]
"""Classes by index or label."""

Boxes: TypeAlias = str | tuple[str, Mapping[str, Any]] | Mapping[str, Any]
"""A rule's name, or with its options: ``("dt-box", {"thresholds": (20, 100, 110)})``, ``{"rule": "dt-box", ...}``."""

Crops: TypeAlias = int | Literal["dense"]
"""How many crops of a picture the network sees: 1, 10, or ten from two passes."""

_BLOBS_AT_ONCE = 8
_PICTURE_CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What is wanted of every picture: the keyword arguments of a ``Model``'s call and of its ``stream``.

    ``model(images, **vars(options))`` passes them on.

    Attributes:
        top: how many classes, the best first; all where the network has fewer.
        classes: these instead, by index or label, in this order.
        crops: 1, 10, or "dense": ten crops from two passes, in a file that `camcompat convert --dense` made (which does
            nothing else); None: the pipeline's own. Scores are the mean over the crops.
        pipeline: "plain" (1 crop), or "matlab", the published one number by number (10 crops).
        boxes: "paper" (the largest region above 20 % of the maximum), "dt-box" (the release's program), or one of them
            with options; they are drawn on overlays and listed by ``to_json``.
        border: of matlab's resampling: "mirror" (MATLAB today) or "clamp" (MATLAB of old); None: "mirror".
        batch_size: pictures run at a time; None: as many as make about 8 crops.

    Raises:
        CamcompatError: a ``top`` or a ``batch_size`` below 1.
    """

    top: int = 5
    classes: Classes | None = None
    crops: Crops | None = None
    pipeline: str = "plain"
    boxes: Boxes | None = None
    border: Border | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch_size), ("top", self.top)):
            if value is not None and value < 1:
                raise CamcompatError(f"{name} is {value}", where="stream", remedy="use 1 or more")


Options = ParamSpec("Options")
Images = TypeVar("Images")
Answer = TypeVar("Answer")


def _by_keyword(
    options: Callable[Options, CallOptions],
) -> Callable[[Callable[[Model, Images, CallOptions], Answer]], Callable[Concatenate[Model, Images, Options], Answer]]:
    """Let callers give the options of a method as keywords; its signature, as ``help`` shows it, lists them."""

    def decorate(
        method: Callable[[Model, Images, CallOptions], Answer],
    ) -> Callable[Concatenate[Model, Images, Options], Answer]:
        def call(self: Model, images: Images, *args: Options.args, **given: Options.kwargs) -> Answer:
            return method(self, images, options(*args, **given))

        update_wrapper(call, method)

        shown = signature(method)
        own = [parameter for name, parameter in shown.parameters.items() if name != "options"]
        listed = signature(options).parameters.values()
        call.__signature__ = shown.replace(parameters=[*own, *listed])  # type: ignore[attr-defined]
        return call  # type: ignore[return-value]  # mypy: these two arguments have names, which Concatenate cannot say

    return decorate


@dataclass(frozen=True)
class _Request:
    """The options of a call, as this network understands them.

    Attributes:
        pipeline: what makes inputs of a picture, and maps of outputs.
        top: how many classes.
        classes: which instead, by index.
        rule: how boxes are found; None: they are not asked for.
    """

    pipeline: Pipeline
    top: int
    classes: list[int] | None
    rule: ChosenRule | None


class Model:
    """A CAM network that takes pictures; ``camcompat.load`` makes them. Calling it from several threads is safe.

    Attributes:
        source: the file.
        session: the ``onnxruntime.InferenceSession``.
        interface: names and sizes of inputs and outputs.
        metadata: what the converter noted in the file (empty for foreign files).
        recipe: from picture to input as the file and the caller say it; ``preprocess`` is what that means.
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
        recipe = self.recipe = {**(self.metadata.get("preprocess") or {}), **(preprocess or {})}
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
    @_by_keyword(CallOptions)
    def __call__(self, images: ImageSource, options: CallOptions) -> Result: ...
    @overload
    @_by_keyword(CallOptions)
    def __call__(self, images: ImageSources, options: CallOptions) -> list[Result]: ...
    @_by_keyword(CallOptions)
    def __call__(self, images: ImageSource | ImageSources, options: CallOptions) -> Result | list[Result]:
        """Return the scores and maps of one picture, or a list of them for several.

        Args:
            images: a path, binary file, Pillow image or uint8 array (see ``read_image``); or a list, tuple or generator
                of them, which are run in batches and returned in order.
            options: by keyword, see ``CallOptions``: ``top`` (5), ``classes``, ``crops``, ``pipeline`` ("plain"),
                ``boxes``, ``border``, ``batch_size``.

        Raises:
            CamcompatError: a picture that cannot be read (the first one ends it), a class that does not exist, an
                option's value that is unknown.
        """
        single = is_picture(images)
        several: Any = [images] if single else images  # mypy cannot know what is_picture refused
        results = self.stream(several, **vars(options))
        return next(results) if single else list(results)

    @_by_keyword(CallOptions)
    def stream(self, images: Iterable[ImageSource], options: CallOptions) -> Iterator[Result]:
        """Yield a result per picture, in order and in constant memory.

        Args:
            images: as in a call of the model, also without end. A bad one raises after the results of those before it.
            options: as there.

        Raises:
            CamcompatError: as there.
        """
        if is_picture(images):
            raise CamcompatError(
                "found one picture, expected several", where="stream", remedy="pass a list of pictures"
            )
        pipeline = self._pipeline(options)
        classes = None if options.classes is None else self._indices(options.classes)
        request = _Request(pipeline, options.top, classes, ChosenRule.of(options.boxes))
        return self._results(iter(images), request, options.batch_size or max(1, _BLOBS_AT_ONCE // pipeline.crops))

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

    def _pipeline(self, options: CallOptions) -> Pipeline:
        name, crops, border = options.pipeline, options.crops, options.border
        if not self._dense and crops != "dense":
            return make_pipeline(name, self.preprocess, crops=crops, border=border)
        if not self._dense or crops not in (None, "dense") or name != Dense.name or border is not None:
            message = f"crops is {crops!r}, pipeline {name!r}"
            remedy = "make a dense file: `camcompat convert --dense`"
            if self._dense:
                remedy = "a dense file does pipeline plain with crops 'dense'; use the file beside it"
            raise CamcompatError(message, where=self.source, remedy=remedy)
        height, width = self.interface.shape[2:]
        return Dense.of(self.preprocess, (height, width))

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
