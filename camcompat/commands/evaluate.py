"""`camcompat evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from camcompat.commands.options import crops_option, provider_option

if TYPE_CHECKING:
    from camcompat.evaluation import ClassIds, Report

ORDER = 7
EMBEDDED = "shapes-cam"


@click.command("evaluate")
@click.argument("model", default=EMBEDDED)
@click.argument("pictures", nargs=-1, type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path),
              help="Boxes of the pictures: cache_groundtruth.mat, a folder of VOC .xml, or a CSV.")  # fmt: skip
@click.option("--predictions", multiple=True, metavar="FILE",
              help="Score these rows (label x1 y1 x2 y2, five times); run no network (repeatable).")  # fmt: skip
@click.option("--pipeline", "pipelines", type=click.Choice(["plain", "matlab"]), multiple=True, help="[both]")
@crops_option
@click.option("--mean", type=click.Path(path_type=Path),
              help="A mean file (.binaryproto, .npy, .mat) instead of the network's mean values.")  # fmt: skip
@click.option("--rule", "rules", type=click.Choice(["dt-box", "paper"]), multiple=True, help="For boxes.  [both]")
@click.option("--thresholds", nargs=3, type=int, metavar="T0 T1 T2", help="Grey values for dt-box.  [20 100 110]")
@click.option("--jpeg-quality", type=int, metavar="Q",
              help="Pass maps through JPEG before dt-box; the release's scripts had 75.")  # fmt: skip
@click.option("--fraction", type=float, help="Of the maximum, for the paper's rule.  [0.2]")
@click.option("--ids", type=click.Path(path_type=Path),
              help="ILSVRC's numbers of the classes: meta_clsloc.mat, or WordNet ids in their order.")  # fmt: skip
@click.option("--synsets", type=click.Path(path_type=Path),
              help="With --ids: WordNet ids in the network's order.  [sorted]")  # fmt: skip
@click.option("--labels", type=click.Path(path_type=Path), help="Class names, a line each, that the truth may use.")
@click.option("--blacklist", type=click.Path(path_type=Path), help="Numbers of pictures that localisation leaves out.")
@click.option("--limit", type=click.IntRange(1), help="Only the first pictures of the truth (and rows).")
@click.option("--journal", type=click.Path(path_type=Path), help="Keep what is found here, and go on from it.")
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
        _refuse(
            options,
            "pipelines",
            "rules",
            "crops",
            "thresholds",
            "jpeg_quality",
            "fraction",
            "journal",
            "out",
            "mean",
            "providers",
        )
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
    for name in names:
        if options.pop(name):
            raise click.UsageError(f"--{name.rstrip('s').replace('_', '-')} does not go with --predictions")


def _score(predictions: Sequence[str], *, truth: Path | None, limit: int | None, **options: Any) -> Report:
    from camcompat.evaluation import evaluate_files

    if truth is None:
        raise click.UsageError("give the --truth of the predictions")
    classes = _classes(count=None, **{name: options[name] for name in ("ids", "synsets", "labels")})
    return evaluate_files(predictions, truth, classes=classes, blacklist=_blacklist(options["blacklist"]), limit=limit)


def _run(model: str, pictures: Sequence[Path], *, truth: Path | None, **options: Any) -> Report:
    import camcompat
    from camcompat.evaluation import evaluate

    preprocess = None
    if options["mean"] is not None:
        from weights import read_mean

        preprocess = {"mean": read_mean(options["mean"])}
    providers = options["providers"] or None
    network = camcompat.load(model, providers=providers, labels=options["labels"], preprocess=preprocess)
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
        pipelines=options["pipelines"] or (("plain",) if options["crops"] == "dense" else ("plain", "matlab")),
        rules=_rules(options),
        crops=options["crops"],
        blacklist=_blacklist(options["blacklist"]),
        limit=options["limit"],
        journal=options["journal"],
        predictions=options["out"],
        progress=True,
    )


def _embedded() -> tuple[list[Path], Path]:
    from weights.models import find

    folder = find(EMBEDDED).path("prototxt").parent
    return [folder / "pictures"], folder / "boxes.csv"


def _rules(options: dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """Options by rule; one of a rule that is left out is an error."""
    rules: dict[Any, dict[str, Any]] = {rule: {} for rule in options["rules"] or ("dt-box", "paper")}
    for rule, name in (("dt-box", "thresholds"), ("dt-box", "jpeg_quality"), ("paper", "fraction")):
        if options[name] not in (None, ()):
            if rule not in rules:
                raise click.UsageError(f"--{name.replace('_', '-')} is an option of --rule {rule}")
            rules[rule][name] = options[name]
    return rules


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
