"""What one worker does with a chunk of pictures: the same in this process, in another one and in a Ray actor."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from camcompat.jobs.pictures import Picture
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from PIL import Image

    from camcompat.cam.result import Result
    from camcompat.cam.session import Provider

__all__ = ["Chunk", "Record", "Task", "Worker"]

Chunk: TypeAlias = Sequence[Picture]


@dataclass(frozen=True)
class Task:
    """What is done to every picture.

    Attributes:
        model: path of the .onnx file.
        options: of the call (`top`, `classes`, `pipeline`, `crops`, `boxes`).
        draw: whether the overlays are drawn.
        maps: whether the maps are kept as arrays.
        threads, providers: of each worker's session, as for ``camcompat.load``.
    """

    model: str
    options: Mapping[str, Any] = field(default_factory=dict)
    draw: bool = True
    maps: bool = False
    threads: int | None = None
    providers: Sequence[Provider] | None = None

    def described(self) -> dict[str, Any]:
        """What decides about the results: two runs of one description give the same."""
        given = {key: value for key, value in self.options.items() if value is not None}
        # Another provider rounds otherwise.
        on = {"providers": [x if isinstance(x, str) else [*x] for x in self.providers]} if self.providers else {}
        return {"draw": self.draw, "maps": self.maps, **on, **given}


@dataclass
class Record:
    """What became of one picture.

    Attributes:
        picture: which one.
        result: ``Result.as_dict()``; empty where the picture could not be mapped.
        error: why it could not.
        files: suffix → bytes of what is to be written beside the results ("-cam.png", "-maps.npz").
    """

    picture: Picture
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    files: dict[str, bytes] = field(default_factory=dict)


class Worker:
    """One open model; called with a chunk, it returns a record per picture, in order."""

    def __init__(self, task: Task) -> None:
        from camcompat.loading import load

        self.task = task
        self.model = load(task.model, threads=task.threads, providers=task.providers)

    def __call__(self, chunk: Chunk) -> list[Record]:
        from camcompat.pictures.images import read_image

        records = [Record(picture) for picture in chunk]
        images: list[tuple[Record, Image.Image]] = []
        for record in records:
            try:
                images.append((record, read_image(record.picture.path)))
            except CamcompatError as error:
                record.error = str(error)
        try:
            results: list[Result] = list(self.model.stream([image for _, image in images], **self.task.options))
        except CamcompatError:  # which picture it was shows one by one
            self._singly(images)
        else:
            for (record, _), result in zip(images, results, strict=True):
                self._fill(record, result)
        return records

    def _singly(self, images: Sequence[tuple[Record, Image.Image]]) -> None:
        for record, image in images:
            try:
                self._fill(record, self.model(image, **self.task.options))
            except CamcompatError as error:
                record.error = f"{record.picture.path}: {error}"

    def _fill(self, record: Record, result: Result) -> None:
        record.result = result.as_dict()
        if self.task.draw:
            stream = io.BytesIO()
            result.figure().save(stream, "PNG")
            record.files["-cam.png"] = stream.getvalue()
        if self.task.maps:
            stream = io.BytesIO()
            np.savez_compressed(stream, maps=result.maps, classes=result.classes, scores=result.scores)
            record.files["-maps.npz"] = stream.getvalue()
