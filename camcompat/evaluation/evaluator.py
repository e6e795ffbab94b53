"""A network over pictures whose boxes are known."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from camcompat.boxes import Rule
from camcompat.boxes.rule import RULES, check_options
from camcompat.cam.pipelines.base import PIPELINES
from camcompat.evaluation.classes import ClassIds, own_classes
from camcompat.evaluation.figures import PREDICTIONS, Figures, Report
from camcompat.evaluation.findings import Findings, prediction_rows
from camcompat.evaluation.ground_truth import GroundTruth, Pairing, pair
from camcompat.evaluation.job import Evaluation, EvaluationJournal, RuleOptions
from camcompat.evaluation.localisation import check_blacklist, combine, evaluate_predictions
from camcompat.evaluation.prediction_files import read_predictions, write_predictions
from camcompat.evaluation.truth_files import read_ground_truth
from camcompat.jobs.pictures import Picture, find_pictures
from camcompat.jobs.runner import check_workers, run_job
from prototxt.errors import CamcompatError
from weights.atomic import make_folder

if TYPE_CHECKING:
    from camcompat.cam.model import Crops, Model

__all__ = ["evaluate", "evaluate_files"]

CHUNK = 8
"""Pictures in memory at a time."""


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
    engine: str = "local",
    workers: int = 1,
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
        engine: "local" (processes of this machine) or "ray" (Ray Data; needs ``camcompat[ray]``).
        workers: how many sessions run side by side; they share the cores. The figures are the same.

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
    check_workers(engine, workers, CHUNK, where="evaluate")
    for pipeline in pipelines:
        network.stream([], pipeline=pipeline, crops=crops)  # refuses what does not go together
    blacklisted = set(check_blacklist(blacklist, len(truth)).tolist())
    numbered = truth.numbered(classes.number)
    pairing = _paired(pictures, numbered)
    pairs = pairing.pairs[:limit]
    paths = [path for path, _ in pairs]
    task = Evaluation.of(network, pipelines, options, crops)
    with EvaluationJournal(journal, task.described(network)) as book:
        todo = [Picture(path, path.name) for path in paths]
        how: dict[str, Any] = {"engine": engine, "workers": workers, "batch_size": CHUNK, "progress": progress}
        records = run_job(task, todo, book, verb="evaluating", **how)
    found = [book.findings(path) for path in paths]
    chosen = GroundTruth(tuple(numbered.truths[place] for _, place in pairs), truth.source)
    tables = _tables(found, pipelines, options, classes.ids)
    if predictions is not None:
        _write(Path(predictions), tables)
    listed = [at for at, (_, place) in enumerate(pairs, 1) if place in blacklisted]
    figures = {
        pipeline: _figures(tables[pipeline], [None if one is None else one[pipeline] for one in found], chosen, listed)
        for pipeline in pipelines
    }
    return Report(
        network.source,
        truth.source,
        len(paths),
        figures,
        len(listed),
        tuple((str(record.picture.path), record.error.message) for record in records if record.error),
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


def _tables(
    findings: Sequence[Mapping[str, Findings] | None], pipelines: Sequence[str], rules: RuleOptions, ids: Sequence[int]
) -> dict[str, dict[str, np.ndarray]]:
    """Rows of predictions by pipeline and kind of box."""
    tables: dict[str, dict[str, np.ndarray]] = {}
    for pipeline in pipelines:
        mine = [None if one is None else one[pipeline] for one in findings]
        kinds: dict[str, np.ndarray] = {}
        for rule in rules:
            kinds[rule] = prediction_rows(mine, rule, ids)
            if RULES[rule].second:
                second = kinds[f"{rule} bbox2"] = prediction_rows(mine, rule, ids, 1)
                kinds[f"{rule} Combine"] = combine(kinds[rule], second)
        tables[pipeline] = kinds
    return tables


def _figures(
    tables: Mapping[str, np.ndarray], findings: Sequence[Findings | None], truth: GroundTruth, blacklist: Sequence[int]
) -> Figures:
    errors = {kind: evaluate_predictions(table, truth, blacklist=blacklist) for kind, table in tables.items()}
    cls = next(iter(errors.values())).cls  # the same with every first box
    hits = sum(one is not None and one.points_into(entry.boxes) for one, entry in zip(findings, truth))
    return Figures(1 - cls[0], hits / len(truth), cls, {kind: error.clsloc for kind, error in errors.items()})


def _write(folder: Path, tables: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    make_folder(folder)
    for pipeline, kinds in tables.items():
        for kind, table in kinds.items():
            write_predictions(folder / f"{pipeline}-{kind.replace(' ', '-')}.txt", table)
