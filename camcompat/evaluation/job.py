"""An evaluation as a job: what a network finds in each picture, by pipeline, and the journal that keeps it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from camcompat.boxes.rule import Rule
from camcompat.evaluation.findings import Findings
from camcompat.evaluation.localisation import GUESSES
from camcompat.jobs.job import Record, Task
from camcompat.jobs.journal import Journal, stamp
from prototxt.errors import CamcompatError

if TYPE_CHECKING:
    from PIL import Image

    from camcompat.cam.model import Crops, Model

__all__ = ["Evaluation", "EvaluationJournal", "RuleOptions"]

RuleOptions = Mapping[Rule, Mapping[str, Any]]

REMEDY = "name another journal, or delete this one"


@dataclass(frozen=True, kw_only=True)
class Evaluation(Task):
    """The findings of every picture.

    Attributes:
        pipelines: by which the network looks.
        rules: for boxes, with their options.
        crops: how many; None: as the pipeline has it.
    """

    pipelines: Sequence[str]
    rules: RuleOptions
    crops: Crops | None

    @classmethod
    def of(cls, model: Model, pipelines: Sequence[str], rules: RuleOptions, crops: Crops | None) -> Evaluation:
        """Return the evaluation of an open model, which other processes open in the same way."""
        options = model.session.get_provider_options()
        return cls(
            model=str(Path(model.source).absolute()),
            providers=[(name, options[name]) for name in model.session.get_providers()],
            preprocess=model.recipe,
            opened=model,
            pipelines=list(pipelines),
            rules=rules,
            crops=crops,
        )

    def fill(self, model: Model, pictures: Sequence[tuple[Record, Image.Image]]) -> None:
        for pipeline in self.pipelines:
            images = [image for _, image in pictures]
            results = model.stream(images, top=GUESSES, pipeline=pipeline, crops=self.crops)
            for (record, _), result in zip(pictures, results, strict=True):
                record.result[pipeline] = Findings.of(result, self.rules).as_dict()

    def described(self, model: Model) -> dict[str, Any]:
        """Return what decides about the findings."""
        recipe = model.preprocess
        mean = hashlib.sha256(np.ascontiguousarray(recipe.mean).tobytes()).hexdigest()
        on = [name for name in model.session.get_providers() if name != "CPUExecutionProvider"]
        return {
            **({"providers": on} if on else {}),  # another one rounds otherwise
            "model": hashlib.sha256(Path(model.source).read_bytes()).hexdigest(),
            "preprocess": [recipe.resize, recipe.crop, mean, recipe.scale, recipe.channels],
            "pipelines": list(self.pipelines),
            "rules": {rule: dict(options) for rule, options in self.rules.items()},
            "crops": self.crops,
        }


class EvaluationJournal(Journal):
    """The findings by picture. Pictures that could not be read are not written down, so that they are tried again."""

    SEPARATORS: ClassVar = (",", ":")
    KEYS: ClassVar = ("picture", "stamp", "found")

    def __init__(self, path: str | os.PathLike[str] | None, header: Mapping[str, Any]) -> None:
        whole = {"journal": "camcompat evaluate", "version": 1, **header}
        super().__init__(None if path is None else Path(path), whole)

    def entry(self, record: Record) -> dict[str, Any] | None:
        if record.error:
            return None
        path = str(record.picture.path)
        return {"picture": path, "stamp": [*stamp(record.picture).values()], "found": record.result}

    def foreign(self, path: Path) -> CamcompatError:
        return CamcompatError("is no journal of an evaluation", where=str(path), remedy=REMEDY)

    def other(self, path: Path, changed: Mapping[str, tuple[Any, Any]]) -> CamcompatError:
        key, (was, now) = next(iter(changed.items()))
        message = f"is the journal of another evaluation: {key} was {was}, now it is {now}"
        return CamcompatError(message, where=str(path), remedy=REMEDY)

    def findings(self, path: Path) -> dict[str, Findings] | None:
        """Return what was found in a picture, by pipeline; None where it could not be read."""
        entry = self.entries.get(str(path))
        return entry and {pipeline: Findings.from_dict(found) for pipeline, found in entry["found"].items()}
