"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from camcompat.boxes.rule import Option
    from camcompat.registry import Registry

__all__ = [
    "Command",
    "boxes_option",
    "cam_option",
    "crops_option",
    "keep_going_option",
    "losses_option",
    "named",
    "options_by_rule",
    "pipeline_option",
    "plugin_option",
    "provider_option",
    "rule_options",
    "shape_option",
    "worker_options",
]


class Deferred(click.Option):
    """Stands for options that a registry tells. It takes long to load, so only where the command is used."""

    def __init__(self, declarations: Sequence[str], *, make: Callable[[], list[click.Option]], **more: Any) -> None:
        super().__init__(declarations, **more)
        self._make, self._made = make, list[click.Option]()

    def options(self) -> list[click.Option]:
        self._made = self._made or self._make()
        return self._made


class Command(click.Command):
    """A command some of whose options are ``Deferred``."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params: list[click.Parameter] = []
        for parameter in super().get_params(ctx):
            params += parameter.options() if isinstance(parameter, Deferred) else [parameter]
        return params


def _shape(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> dict[str, tuple[int, ...]]:
    shapes = {}
    for value in values:
        name, _, dims = value.rpartition("=")
        try:
            shapes[name] = tuple(int(dim) for dim in dims.replace("x", ",").split(","))
        except ValueError:
            shapes[name] = ()
        if not name or min(shapes[name], default=0) < 1:
            raise click.BadParameter(f"{value!r} is not of the form NAME=1,3,224,224")
    return shapes


def _plugins(ctx: click.Context, parameter: click.Parameter, values: Sequence[str]) -> Sequence[str]:
    for value in values:
        from converters.layers.registry import load_plugin  # which loads every layer, and protobuf

        load_plugin(value)
    return values


def _crops(ctx: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    return int(value) if value in ("1", "10") else value


crops_option = click.option(
    "--crops", type=click.Choice(["1", "10", "dense"]), callback=_crops,
    help="Crops of a picture; dense: of a file of `convert --dense`.  [plain: 1, matlab: 10]",
)  # fmt: skip
shape_option = click.option(
    "--input-shape", "input_shapes", multiple=True, callback=_shape, metavar="NAME=N,C,H,W",
    help="Another input size than the prototxt declares (repeatable).",
)  # fmt: skip
plugin_option = click.option(
    "--plugin", multiple=True, callback=_plugins, is_eager=True, metavar="FILE",
    help="A Python file that registers layers of your own (repeatable).",
)  # fmt: skip
losses_option = click.option(
    "--keep-losses/--drop-losses", default=None,
    help="Keep losses, metrics and labels, or turn them into scores [the latter for training definitions].",
)  # fmt: skip
keep_going_option = click.option(
    "--keep-going", is_flag=True, help="Report what fails in the final table and exit with 0."
)
provider_option = click.option(
    "--provider", "providers", multiple=True, metavar="NAME",
    help="What onnxruntime computes on, as `cuda` (repeatable, in falling preference).  [cpu]",
)  # fmt: skip
cam_option = click.option("--cam-models", is_flag=True, help="The five published CAM models and the embedded one.")


def _deferred(name: str, make: Callable[[], list[click.Option]]) -> Callable[[Any], Any]:
    return click.option(name, cls=Deferred, make=make)


def pipeline_option(*, several: bool = False) -> Callable[[Any], Any]:
    """``--pipeline`` as ``pipeline``; or as ``pipelines``, of which none means all."""

    def make() -> list[click.Option]:
        from camcompat.cam.pipelines.base import PIPELINES

        if several:
            return [_several("--pipeline", PIPELINES, "")]
        return [_one("--pipeline", PIPELINES, f"{_titles(PIPELINES, upper=True)}.", default="plain")]

    return _deferred("--pipeline", make)


def boxes_option() -> Callable[[Any], Any]:
    """``--boxes``: a box rule, or none."""

    def make() -> list[click.Option]:
        from camcompat.boxes.rule import RULES

        return [_one("--boxes", RULES, f"Find boxes: {_titles(RULES)}.")]

    return _deferred("--boxes", make)


def rule_options(*, several: bool = False) -> Callable[[Any], Any]:
    """``--rule`` as ``rule``, or as ``rules``, of which none means all; and the options of all box rules."""

    def make() -> list[click.Option]:
        from camcompat.boxes.rule import RULES

        own = {option.name: _own(option) for rule in RULES for option in rule.options}
        if several:
            return [_several("--rule", RULES, "For boxes.  "), *own.values()]
        return [_one("--rule", RULES, f"{_titles(RULES, upper=True)}.", default="dt-box"), *own.values()]

    return _deferred("--rule", make)


def _one(name: str, registry: Registry[Any], help: str, *, default: str | None = None) -> click.Option:
    choice = click.Choice(registry.names())
    return click.Option([name], type=choice, default=default, show_default=default is not None, help=help)


def _several(name: str, registry: Registry[Any], help: str) -> click.Option:
    every = "both" if len(registry.names()) == 2 else "all"
    choice = click.Choice(registry.names())
    return click.Option([name, f"{name[2:]}s"], type=choice, multiple=True, help=f"{help}[{every}]")


def _titles(registry: Registry[Any], *, upper: bool = False) -> str:
    titles = ", or ".join(entry.title for entry in registry)
    return titles[0].upper() + titles[1:] if upper else titles


def _own(option: Option) -> click.Option:
    name = f"--{option.name.replace('_', '-')}"
    if option.type is bool:
        return click.Option([name], is_flag=True, default=None, help=option.help)
    default = " ".join(map(str, option.default)) if isinstance(option.default, tuple) else option.default
    shown = option.help if default is None else f"{option.help}  [{default}]"
    return click.Option([name], type=option.type, nargs=option.count, metavar=option.metavar, help=shown)


def worker_options(of: str = "") -> Callable[[Any], Any]:
    """``--workers`` and ``--engine`` of a job; ``of``: what their help begins with."""

    def said(text: str) -> str:
        return of + text if of else text[0].upper() + text[1:]

    workers = click.option("--workers", default=1, show_default=True, help=said("sessions side by side."))
    engine = click.option(
        "--engine", type=click.Choice(["local", "ray"]), default="local", show_default=True,
        help=said("this machine, or a Ray cluster."),
    )  # fmt: skip
    return lambda command: workers(engine(command))


def options_by_rule(options: dict[str, Any], rules: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Take the box rules' own options out of a command's; return for each of some rules those given that it has.

    Raises:
        UsageError: an option is given that none of these rules has.
    """
    from camcompat.boxes.rule import RULES

    owners: dict[str, list[str]] = {}
    for rule in RULES:
        for option in rule.options:
            owners.setdefault(option.name, []).append(rule.name)
    given = {name: value for name in owners if (value := options.pop(name)) is not None and value != ()}
    for name in given:
        if not {*owners[name]} & {*rules}:
            raise click.UsageError(f"--{name.replace('_', '-')} is an option of --rule {' or '.join(owners[name])}")
    return {rule: {name: value for name, value in given.items() if rule in owners[name]} for rule in rules}


def named(names: Sequence[str], cam_models: bool, verb: str) -> tuple[str, ...]:
    """The models that a command is about: those named, and with --cam-models the CAM models."""
    from weights.models import tagged

    chosen = (*names, *(tagged("cam-models") if cam_models else ()))
    if not chosen:
        raise click.UsageError(f"name what to {verb}, or give --cam-models; `camcompat list` shows the names")
    return chosen
