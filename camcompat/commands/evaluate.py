"""`camcompat evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from camcompat.commands.options import (
    Command,
    crops_option,
    options_by_rule,
    pipeline_option,
    provider_option,
    rule_options,
    worker_options,
)

if TYPE_CHECKING:
    from camcompat.evaluation import ClassIds, Report

ORDER = 7
EMBEDDED = "shapes-cam"


@click.command("evaluate", cls=Command)
@click.argument("model", default=EMBEDDED)
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path),
              help="Boxes of the pictures: cache_groundtruth.mat, a folder of VOC .xml, or a CSV.")  # fmt: skip
@click.option("--predictions", multiple=True, metavar="FILE",
              help="Score these rows (label x1 y1 x2 y2, five times); run no network (repeatable).")  # fmt: skip
@pipeline_option(several=True)
@crops_option
@click.option("--mean", type=click.Path(path_type=Path),
              help="A mean file (.binaryproto, .npy, .mat) instead of the network's mean values.")  # fmt: skip
@rule_options(several=True)
@click.option("--ids", type=click.Path(path_type=Path),
              help="ILSVRC's numbers of the classes: meta_clsloc.mat, or WordNet ids in their order.")  # fmt: skip
@click.option("--synsets", type=click.Path(path_type=Path),
              help="With --ids: WordNet ids in the network's order.  [sorted]")  # fmt: skip
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, a line each, that the truth may use.")
@click.option("--blacklist", type=click.Path(path_type=Path), help="Numbers of pictures that localisation leaves out.")
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures of the truth (and rows).")
@click.option("--journal", type=click.Path(path_type=Path), help="Keep what is found here, and go on from it.")
@worker_options()
@provider_option
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for rows of predictions.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def command(model: str, pictures: Sequence[Path], predictions: Sequence[str], as_json: bool, **options: Any) -> None:
    """Measure accuracy, localisation and pointing.

    Runs MODEL over PICTURES (files, folders, patterns) whose boxes are known, or scores --predictions. Without
    arguments: the embedded network on the embedded pictures. docs/evaluation.md tells how to reproduce the paper's
    table.
    """
    if predictions:
        from camcompat.boxes.rule import RULES

        of_rules = [option.name for rule in RULES for option in rule.options]
        running = ("pipelines", "rules", "crops", "journal", "out", "mean", "providers", "workers", "engine")
        _refuse(options, *running, *of_rules)
        if pictures or model != EMBEDDED:
            raise click.UsageError("give --predictions, or a MODEL and PICTURES")
        report = _score(predictions, **options)
    else:
        report = _run(model, pictures, **options)
    click.echo(report.to_json() if as_json else report.table())
    if not as_json:
        for note in report.notes():
            click.echo(f"note: {note}", err=True)


def _refuse(options: dict[str, Any], *names: str) -> None:
    context = click.get_current_context()
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.get_params(context)}
    for name in names:
        del options[name]
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{flags[name]} does not go with --predictions")


def _score(predictions: Sequence[str], *, truth: Path | None, limit: int | None, **options: Any) -> Report:
    from camcompat.evaluation import evaluate_files

    if truth is None:
        raise click.UsageError("give the --truth of the predictions")
    classes = _classes(count=None, **{name: options[name] for name in ("ids", "synsets", "labels")})
    return evaluate_files(predictions, truth, classes=classes, blacklist=_blacklist(options["blacklist"]), limit=limit)


def _run(model: str, pictures: Sequence[Path], *, truth: Path | None, **options: Any) -> Report:
    from camcompat.boxes.rule import RULES
    from camcompat.cam.pipelines.base import PIPELINES
    from camcompat.evaluation import evaluate
    from camcompat.loading import load

    preprocess = None
    if options["mean"] is not None:
        from weights import read_mean

        preprocess = {"mean": read_mean(options["mean"])}
    providers = options["providers"] or None
    network = load(model, providers=providers, labels=options["labels"], preprocess=preprocess)
    if model == EMBEDDED and not pictures and truth is None:
        pictures, truth = _embedded()
    if not pictures or truth is None:
        raise click.UsageError("give PICTURES and their --truth")
    classes = _classes(options["ids"], options["synsets"], None, count=network.interface.count)
    return evaluate(
        network,
        pictures,
        truth,
        classes=classes,
        pipelines=options["pipelines"] or (("plain",) if options["crops"] == "dense" else PIPELINES.names()),
        rules=options_by_rule(options, options["rules"] or RULES.names()),
        crops=options["crops"],
        blacklist=_blacklist(options["blacklist"]),
        limit=options["limit"],
        journal=options["journal"],
        predictions=options["out"],
        engine=options["engine"],
        workers=options["workers"],
        progress=True,
    )


def _embedded() -> tuple[list[Path], Path]:
    from weights.models import find

    folder = find(EMBEDDED).path("prototxt").parent
    return [folder / "pictures"], folder / "boxes.csv"


def _classes(ids: Path | None, synsets: Path | None, labels: Path | None, count: int | None) -> ClassIds | None:
    from camcompat.evaluation import ilsvrc_classes, own_classes

    if ids is not None:
        return ilsvrc_classes(ids, synsets, count=count)
    if synsets is not None:
        raise click.UsageError("--synsets goes with --ids")
    if labels is not None:
        from camcompat.cam.labels import read_labels

        names = read_labels(labels)
        return own_classes(names, len(names))
    return None


def _blacklist(file: Path | None) -> tuple[int, ...]:
    from camcompat.evaluation import read_blacklist

    return () if file is None else read_blacklist(file)
