"""What a job does with its pictures: a kind of job says so in a `Task` of its own, and workers carry it out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from camcompat.jobs.pictures import Picture
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from PIL import Image

    from camcompat.cam.model import Model
    from camcompat.cam.session import Provider

__all__ = ["Chunk", "Record", "Task", "Worker"]

Chunk: TypeAlias = Sequence[Picture]


@dataclass
class Record:
    """What became of one picture.

    Attributes:
        picture: which one.
        result: what was found, in plain values; empty where nothing could be.
        error: why nothing could be found.
        files: suffix → bytes of what is to be written beside the journal ("-cam.png", "-maps.npz").
    """

    picture: Picture
    result: dict[str, Any] = field(default_factory=dict)
    error: CamcompatError | None = None
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """What is done to every picture; it goes to worker processes whole.

    Attributes:
        model: path of the .onnx file.
        threads, providers, preprocess: of each worker's model, as for ``camcompat.load``.
        opened: the model, where it is open in this process already.
    """

    model: str
    threads: int | None = None
    providers: Sequence[Provider] | None = None
    preprocess: Mapping[str, Any] | None = None
    opened: Model | None = field(default=None, compare=False, repr=False)

    @abstractmethod
    def fill(self, model: Model, pictures: Sequence[tuple[Record, Image.Image]]) -> None:
        """Put what is found in each picture into its record."""


class Worker:
    """One open model: called with a chunk, it returns a record per picture, in order."""

    def __init__(self, task: Task) -> None:
        from camcompat.loading import load

        self.task = task
        self.model = task.opened or load(
            task.model, threads=task.threads, providers=task.providers, preprocess=task.preprocess
        )

    def __call__(self, chunk: Chunk) -> list[Record]:
        from camcompat.pictures.images import read_image

        records = [Record(picture) for picture in chunk]
        readable: list[tuple[Record, Image.Image]] = []
        for record in records:
            try:
                readable.append((record, read_image(record.picture.path)))
            except CamcompatError as error:
                record.error = error
        self.task.fill(self.model, readable)
        return records
