"""A network over pictures whose boxes are known."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from camcompat.boxes import Rule
from camcompat.boxes.rule import RULES, check_options
from camcompat.cam.pipelines.base import PIPELINES
from camcompat.evaluation.classes import ClassIds, own_classes
from camcompat.evaluation.figures import PREDICTIONS, Figures, Report
from camcompat.evaluation.found import Found, look, rows
from camcompat.evaluation.ground_truth import GroundTruth, Pairing, pair
from camcompat.evaluation.journal import Journal
from camcompat.evaluation.localisation import GUESSES, check_blacklist, combine, evaluate_predictions
from camcompat.evaluation.prediction_files import read_predictions, write_predictions
from camcompat.evaluation.truth_files import read_ground_truth
from camcompat.jobs.pictures import find_pictures
from camcompat.pictures.images import read_image
from prototxt.errors import CamcompatError
from weights.atomic import make_folder

if TYPE_CHECKING:
    from camcompat.cam.model import Crops, Model

__all__ = ["evaluate", "evaluate_files"]

CHUNK = 8
"""Pictures in memory at a time."""

Advance = Callable[[Path, str], None]
RuleOptions = Mapping[Rule, Mapping[str, Any]]


def evaluate(
    model: str | os.PathLike[str] | Model,
    pictures: Sequence[str | os.PathLike[str]],
    truth: str | os.PathLike[str] | GroundTruth,
    *,
    classes: ClassIds | None = None,
    pipelines: Sequence[str] | None = None,
    rules: Sequence[Rule] | RuleOptions | None = None,
    crops: Crops | None = None,
    blacklist: Sequence[int] = (),
    limit: int | None = None,
    journal: str | os.PathLike[str] | None = None,
    predictions: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Report:
    """Run a network over pictures and return accuracy, pointing accuracy and localisation errors.

    A picture that cannot be read counts as wrong in every figure, and is reported.

    Args:
        model: a name of the catalogue, an ``.onnx`` file, or what ``camcompat.load`` gave.
        pictures: files, folders, glob patterns.
        truth: see ``read_ground_truth``. A picture belongs to the entry of its name (extensions do not matter).
        classes: what the network's classes are called there (``ilsvrc_classes``); None: by its own indices and labels.
        pipelines: of "plain" and "matlab"; None: all.
        rules: of "dt-box" and "paper"; or options by rule, as ``find_boxes`` takes them; None: all.
        crops: 1, 10, or "dense" (of a file that ``convert --dense`` made, with "plain" alone); None: as the pipeline
            has it.
        blacklist: 1-based numbers of pictures in ``truth`` that do not count for localisation.
        limit: only the first pictures that there are, in the order of ``truth``.
        journal: a file that keeps what was found; with it a stopped evaluation goes on where it was.
        predictions: a folder for rows of predictions (text, as the ILSVRC development kit reads them).
        progress: show a bar on stderr where somebody watches, and bad pictures as they come.

    Raises:
        CamcompatError: no picture with ground truth, labels that the network does not have, a journal of another
            network or of other options, and what ``camcompat.load`` raises.

    >>> evaluate("shapes-cam", ["pictures"], "nothing.csv")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: nothing.csv: no such file; check the path of the ground truth
    """
    from camcompat.cam.model import Model
    from camcompat.loading import load

    truth = truth if isinstance(truth, GroundTruth) else read_ground_truth(truth)
    network = model if isinstance(model, Model) else load(model)
    classes = classes or own_classes(network.labels, network.interface.count)
    pipelines = PIPELINES.names() if pipelines is None else pipelines
    rules = RULES.names() if rules is None else rules
    options: RuleOptions = rules if isinstance(rules, Mapping) else {rule: {} for rule in rules}
    _check(pipelines, options, limit)
    for pipeline in pipelines:
        network.stream([], pipeline=pipeline, crops=crops)  # refuses what does not go together
    blacklisted = set(check_blacklist(blacklist, len(truth)).tolist())
    numbered = truth.numbered(classes.number)
    pairing = _paired(pictures, numbered)
    pairs = pairing.pairs[:limit]
    paths = [path for path, _ in pairs]
    with Journal(journal, _header(network, pipelines, options, crops)) as book, _bar(len(paths), progress) as advance:
        found, bad = _findings(network, paths, pipelines, options, crops, book, advance)
    chosen = GroundTruth(tuple(numbered.truths[place] for _, place in pairs), truth.source)
    tables = _tables([found.get(path) for path in paths], pipelines, options, classes.ids)
    if predictions is not None:
        _write(Path(predictions), tables)
    listed = [at for at, (_, place) in enumerate(pairs, 1) if place in blacklisted]
    figures = {
        pipeline: _figures(
            tables[pipeline], [found[path][pipeline] if path in found else None for path in paths], chosen, listed
        )
        for pipeline in pipelines
    }
    return Report(
        network.source,
        truth.source,
        len(paths),
        figures,
        len(listed),
        tuple((str(path), bad[path]) for path in paths if path in bad),
        tuple(pairing.missing) if limit is None else (),
        tuple(str(path) for path in pairing.unknown),
    )


def evaluate_files(
    files: Sequence[str | os.PathLike[str]],
    truth: str | os.PathLike[str] | GroundTruth,
    *,
    classes: ClassIds | None = None,
    blacklist: Sequence[int] = (),
    limit: int | None = None,
) -> Report:
    """Return the errors of predictions in files.

    Args:
        files: see ``read_predictions``; row by row the pictures of ``truth``.
        truth: see ``read_ground_truth``.
        classes: what labels are called in ``truth``; needed where it has names.
        blacklist: 1-based numbers of pictures that do not count for localisation.
        limit: only the first pictures of ``truth`` and the first rows.

    Raises:
        CamcompatError: files that are no predictions, or not those of these pictures.

    >>> evaluate_files(["rows.txt"], "nothing.csv")
    Traceback (most recent call last):
        ...
    prototxt.errors.CamcompatError: nothing.csv: no such file; check the path of the ground truth
    """
    truth = truth if isinstance(truth, GroundTruth) else read_ground_truth(truth)
    truth = truth.first(limit) if limit is not None else truth
    truth = truth.numbered(classes.number) if classes else truth
    blacklist = [number for number in blacklist if limit is None or number <= limit]
    check_blacklist(blacklist, len(truth))
    figures = {}
    for file in files:
        try:
            errors = evaluate_predictions(read_predictions(file)[:limit], truth, blacklist=blacklist)
        except CamcompatError as error:
            where = error.where if os.fspath(file) in error.where else f"{os.fspath(file)}: {error.where}"
            raise CamcompatError(error.message, where=where, remedy=error.remedy) from None
        figures[os.fspath(file)] = Figures(1 - errors.cls[0], None, errors.cls, {"clsloc": errors.clsloc})
    return Report(PREDICTIONS, truth.source, len(truth), figures, len(blacklist))


def _paired(pictures: Sequence[str | os.PathLike[str]], truth: GroundTruth) -> Pairing:
    pairing = pair([picture.path for picture in find_pictures(pictures)], truth)
    for path in pairing.unknown:
        if not path.exists():
            raise CamcompatError("no such picture or folder", where=str(path), remedy="check the path")
    if not pairing.pairs:
        remedy = "the names of pictures and ground truth must agree"
        raise CamcompatError("none of the pictures is in it", where=truth.source, remedy=remedy)
    return pairing


def _check(pipelines: Sequence[str], rules: RuleOptions, limit: int | None) -> None:
    for name, given, known in (("pipelines", pipelines, PIPELINES.names()), ("rules", list(rules), RULES.names())):
        unknown = [word for word in given if word not in known]
        if unknown or not given:
            found = repr(unknown[0]) if unknown else "none"
            raise CamcompatError(f"found {found}", where=name, remedy=f"use {' and '.join(known)}")
    for rule, options in rules.items():
        check_options(rule, options)
    if limit is not None and limit < 1:
        raise CamcompatError(f"limit is {limit}", where="evaluate", remedy="use 1 or more")


def _header(model: Model, pipelines: Sequence[str], rules: RuleOptions, crops: Crops | None) -> dict[str, Any]:
    """What decides about the findings."""
    recipe = model.preprocess
    mean = hashlib.sha256(np.ascontiguousarray(recipe.mean).tobytes()).hexdigest()
    on = [name for name in model.session.get_providers() if name != "CPUExecutionProvider"]
    return {
        **({"providers": on} if on else {}),  # another one rounds otherwise
        "model": hashlib.sha256(Path(model.source).read_bytes()).hexdigest(),
        "preprocess": [recipe.resize, recipe.crop, mean, recipe.scale, recipe.channels],
        "pipelines": list(pipelines),
        "rules": {rule: dict(options) for rule, options in rules.items()},
        "crops": crops,
    }


def _findings(
    model: Model,
    paths: Sequence[Path],
    pipelines: Sequence[str],
    rules: RuleOptions,
    crops: Crops | None,
    journal: Journal,
    advance: Advance,
) -> tuple[dict[Path, dict[str, Found]], dict[Path, str]]:
    """What was found in each picture, and why in some nothing was."""
    found: dict[Path, dict[str, Found]] = {}
    bad: dict[Path, str] = {}
    todo = []
    for path in paths:
        known = journal.take(path)
        if known is None:
            todo.append(path)
        else:
            found[path] = known
            advance(path, "")
    for start in range(0, len(todo), CHUNK):
        images: dict[Path, Image.Image] = {}
        for path in todo[start : start + CHUNK]:
            try:
                images[path] = read_image(path)
            except CamcompatError as error:
                bad[path] = error.message
                advance(path, str(error))
        seen: dict[Path, dict[str, Found]] = {path: {} for path in images}
        for pipeline in pipelines:
            results = model.stream(list(images.values()), top=GUESSES, pipeline=pipeline, crops=crops)
            for path, result in zip(images, results, strict=True):
                seen[path][pipeline] = look(result, rules)
        for path, by_pipeline in seen.items():
            found[path] = by_pipeline
            journal.add(path, by_pipeline)
            advance(path, "")
    return found, bad


def _tables(
    found: Sequence[Mapping[str, Found] | None], pipelines: Sequence[str], rules: RuleOptions, ids: Sequence[int]
) -> dict[str, dict[str, np.ndarray]]:
    """Rows of predictions by pipeline and kind of box."""
    tables: dict[str, dict[str, np.ndarray]] = {}
    for pipeline in pipelines:
        mine = [None if one is None else one[pipeline] for one in found]
        kinds: dict[str, np.ndarray] = {}
        for rule in rules:
            kinds[rule] = rows(mine, rule, ids)
            if RULES[rule].second:
                second = kinds[f"{rule} bbox2"] = rows(mine, rule, ids, 1)
                kinds[f"{rule} Combine"] = combine(kinds[rule], second)
        tables[pipeline] = kinds
    return tables


def _figures(
    tables: Mapping[str, np.ndarray], found: Sequence[Found | None], truth: GroundTruth, blacklist: Sequence[int]
) -> Figures:
    errors = {kind: evaluate_predictions(table, truth, blacklist=blacklist) for kind, table in tables.items()}
    cls = next(iter(errors.values())).cls  # the same with every first box
    hits = sum(one is not None and _points(one, entry.boxes) for one, entry in zip(found, truth))
    return Figures(1 - cls[0], hits / len(truth), cls, {kind: error.clsloc for kind, error in errors.items()})


def _points(found: Found, boxes: np.ndarray) -> bool:
    """Whether the peak lies in one of the boxes, the last pixels included."""
    if found.peak is None:
        return False
    x, y = found.peak
    return bool(((boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])).any())


def _write(folder: Path, tables: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    make_folder(folder)
    for pipeline, kinds in tables.items():
        for kind, table in kinds.items():
            write_predictions(folder / f"{pipeline}-{kind.replace(' ', '-')}.txt", table)


@contextmanager
def _bar(total: int, wanted: bool) -> Iterator[Advance]:
    """A bar on stderr where somebody watches; bad pictures are said as they come."""
    if not wanted:
        yield lambda path, error: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        row = bar.add_task("evaluating", total=total)

        def advance(path: Path, error: str) -> None:
            bar.advance(row)
            if error:
                console.print(f"camcompat: {error}", markup=False, highlight=False, soft_wrap=True)

        yield advance
