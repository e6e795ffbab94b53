"""The models that camcompat knows by name: where their files are published, and how their makers feed them.

The facts are data, in ``catalog.toml``; this module turns them into frozen objects and answers questions about them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from prototxt.errors import DownloadError, nearest_names
from weights.catalog_file import HASH_DIGITS, Table, merge, parse, read_toml

__all__ = ["KINDS", "REQUIRED", "Input", "Model", "RemoteFile", "catalog", "find", "home", "tagged"]

KINDS = ("prototxt", "caffemodel", "labels", "mean")
"""The files that a model may have, in the order in which they are fetched."""

REQUIRED = ("prototxt", "caffemodel")
"""The files without which nothing can be converted."""

_HERE = Path(__file__).parent
_SLACK = 64 << 20
_WEAKER = ("hash", "https, no hash", "plain http, no hash")


@dataclass(frozen=True)
class RemoteFile:
    """One published file.

    Attributes:
        kind: one of :data:`KINDS`.
        name: the file name, in the model's folder.
        urls: where it is published, best first; empty for a file that comes with the package.
        size: its exact size in bytes, or None where nobody published it.
        min_size: the least size that makes sense (the float payload of the weights), or None.
        hashes: ``sha1``, ``sha256``, ``sha384``, ``gitblob`` (git's object id) → lower-case hexadecimal digits.
    """

    kind: str
    name: str
    urls: tuple[str, ...] = ()
    size: int | None = None
    min_size: int | None = None
    hashes: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def limit(self) -> int:
        """More bytes than this are refused, so that a faulty server cannot fill the disk.

        >>> RemoteFile("labels", "labels.txt", size=68).limit
        68
        """
        if self.size is not None:
            return self.size
        return 8 * self.min_size + _SLACK if self.min_size is not None else 4 << 30

    @property
    def checked_by(self) -> str:
        """What tells the true file from another when it first arrives.

        >>> RemoteFile("caffemodel", "a.caffemodel", ("http://example.org/a",), min_size=8).checked_by
        'plain http, no hash'
        """
        if self.hashes:
            return _WEAKER[0]
        return _WEAKER[1 + any(url.startswith("http:") for url in self.urls)]

    @property
    def expected_size(self) -> str:
        """The size as a phrase for messages.

        >>> RemoteFile("caffemodel", "a.caffemodel", min_size=33383584).expected_size
        'at least 33,383,584 bytes'
        """
        if self.size is not None:
            return f"{self.size:,} bytes"
        return f"at least {self.min_size:,} bytes" if self.min_size is not None else "size not published"


@dataclass(frozen=True)
class Input:
    """How the makers of a net prepare a picture.

    Attributes:
        crop: (height, width) that the net takes.
        resize: before the crop: (height, width) without keeping the aspect, or the length of the shorter side;
            None: the picture is resized to ``crop`` itself.
        mean_values: subtracted per channel, always written in the order B, G, R.
        scale: multiplies after the mean is subtracted.
        color: channel order of the input blob, ``"BGR"`` or ``"RGB"``.
    """

    crop: tuple[int, int]
    resize: tuple[int, int] | int | None
    mean_values: tuple[float, float, float]
    scale: float
    color: str


@dataclass(frozen=True)
class Model:
    """One entry of the catalogue.

    Attributes:
        name, aliases, title: what it is called.
        source: the publisher's page.
        licence: as the publisher states it, or ``"unknown: see source"``.
        citation, paper: whom to cite, and where to read it.
        note: what a user should know.
        tags: groups that it belongs to; ``cam-models`` are those of `--cam-models`.
        package: a Python package that carries its files too, where it is installed; or "".
        cam: whether the net ends in global average pooling, so that it has class activation maps.
        features: the blob that is averaged over space ("" without CAM).
        classifier: the layer that makes class scores of it ("" without CAM).
        input: how pictures are prepared.
        labels: class names built into the catalogue; () where they are in a file, or unknown.
        files: what is published, prototxt first.
        embedded: the folder inside the package that holds the files, or None.
        root: the folder that takes the place of :func:`home`, or None.

    >>> model = find("googlenet-cam-imagenet")
    >>> model.features, model.classifier, model.input.crop, model.file("caffemodel").min_size
    ('CAM_conv', 'CAM_fc', (224, 224), 33383584)
    """

    name: str
    aliases: tuple[str, ...]
    title: str
    source: str
    licence: str
    citation: str
    paper: str
    note: str
    cam: bool
    features: str
    classifier: str
    input: Input
    labels: tuple[str, ...]
    files: tuple[RemoteFile, ...]
    embedded: Path | None = None
    root: Path | None = None
    tags: tuple[str, ...] = ()
    package: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of files that it has, in the order of :data:`KINDS`."""
        return tuple(file.kind for file in self.files)

    @property
    def checked_by(self) -> str:
        """The weakest of its files' :attr:`RemoteFile.checked_by`."""
        return max((file.checked_by for file in self.files), key=_WEAKER.index)

    @property
    def folder(self) -> Path:
        """Where its files live: ``home()/<name>``, or the package's folder if it is embedded."""
        return self.embedded if self.embedded is not None else (self.root or home()) / self.name

    def file(self, kind: str) -> RemoteFile:
        """The published file of that kind.

        Raises:
            DownloadError: the model has no such file.
        """
        for file in self.files:
            if file.kind == kind:
                return file
        raise DownloadError(f"it has no {kind} file", where=self.name, remedy=f"it has: {', '.join(self.kinds)}")

    def path(self, kind: str) -> Path:
        """Where the file of that kind lies, or would lie; raises DownloadError as :meth:`file` does."""
        return self.folder / self.file(kind).name

    def present(self, *kinds: str) -> bool:
        """Whether those files (by default :data:`REQUIRED`) are there and not too short; their hashes are not read."""
        return all(self._complete(self.file(kind)) for kind in kinds or REQUIRED)

    def _complete(self, file: RemoteFile) -> bool:
        path = self.folder / file.name
        return path.is_file() and path.stat().st_size >= (file.size or file.min_size or 1)

    def at_hand(self) -> dict[str, Path]:
        """Kind → file, of those in its folder that are whole."""
        return {file.kind: self.folder / file.name for file in self.files if self._complete(file)}

    def carried(self) -> dict[str, Path]:
        """Kind → file, of those that the installed Python package `package` carries; it is not imported."""
        spec = find_spec(self.package) if self.package else None
        folders = [Path(folder) for folder in (spec.submodule_search_locations if spec else None) or ()]
        paths = {
            file.kind: next((f / file.name for f in folders if (f / file.name).is_file()), None) for file in self.files
        }
        return {kind: path for kind, path in paths.items() if path is not None}

    def at(self, root: str | os.PathLike[str] | None) -> Model:
        """The same model with its files under another home; None changes nothing."""
        return self if root is None else replace(self, root=Path(root))


def home() -> Path:
    """The folder of downloaded models: ``$CAMCOMPAT_HOME``, else ``~/.cache/camcompat``; it need not exist."""
    named = os.environ.get("CAMCOMPAT_HOME", "")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "camcompat"


def catalog() -> dict[str, Model]:
    """All known models by name, the user's own (``$CAMCOMPAT_CATALOG``) merged on top, in the order of the files.

    Raises:
        DownloadError: the user's file is missing or wrong; says which entry and key.

    >>> "googlenet-cam-imagenet" in catalog(), catalog()["shapes-cam"].present()
    (True, True)
    """
    own = os.environ.get("CAMCOMPAT_CATALOG", "")
    path = Path(own).expanduser() if own else None
    return dict(_catalog(path, _time(path)))


def tagged(tag: str) -> tuple[str, ...]:
    """The names of the models that bear a tag, those that come with the package last.

    >>> tagged("cam-models")[0], tagged("cam-models")[-1]
    ('googlenet-cam-imagenet', 'shapes-cam')
    """
    models = [model for model in catalog().values() if tag in model.tags]
    return tuple(model.name for model in sorted(models, key=lambda model: model.embedded is not None))


def find(name: str) -> Model:
    """The model of that name or alias; case, ``-`` and ``_`` do not matter.

    Raises:
        DownloadError: nothing is called that; names the nearest.

    >>> find("caffenet").name, find("SqueezeNet-v1.1").name
    ('bvlc_reference_caffenet', 'squeezenet_v1.1')
    """
    models = catalog()
    if name in models:
        return models[name]
    known = {_plain(other): model for model in models.values() for other in (model.name, *model.aliases)}
    if _plain(name) in known:
        return known[_plain(name)]
    close = nearest_names(_plain(name), known, 5, 0.5)
    nearest = list(dict.fromkeys(known[key].name for key in close))
    remedy = f"did you mean {', '.join(nearest)}?" if nearest else f"known: {', '.join(models)}"
    raise DownloadError(f"there is no model called {name!r}", remedy=remedy)


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _time(path: Path | None) -> int:
    """When the file was last changed, so that an edited catalogue is read again."""
    return path.stat().st_mtime_ns if path is not None and path.is_file() else 0


@lru_cache(maxsize=8)
def _catalog(own: Path | None, _changed: int) -> dict[str, Model]:
    tables = read_toml(_HERE / "catalog.toml")
    where = "catalog.toml"
    if own is not None:
        tables, where = merge(tables, read_toml(own)), str(own)
    models = {name: _model(name, table) for name, table in parse(tables, where=where).items()}
    _refuse_double_names(models, where)
    return models


def _refuse_double_names(models: Mapping[str, Model], where: str) -> None:
    owner: dict[str, str] = {}
    for model in models.values():
        for name in (model.name, *model.aliases):
            if owner.setdefault(_plain(name), model.name) != model.name:
                message = f"{name!r} names both {owner[_plain(name)]!r} and {model.name!r}"
                raise DownloadError(message, where=where, remedy="give every model names of its own")


def _model(name: str, table: Table) -> Model:
    embedded = table.get("embedded")
    return Model(
        name=name,
        **{key: table.get(key, "") for key in ("title", "source", "licence", "citation", "paper", "note", "package")},
        aliases=tuple(table.get("aliases", ())),
        tags=tuple(table.get("tags", ())),
        cam=table["cam"],
        features=table.get("features", ""),
        classifier=table.get("classifier", ""),
        input=_input(table["input"]),
        labels=tuple(table["labels"]) if isinstance(table.get("labels"), list) else (),
        files=tuple(_file(kind, table[kind]) for kind in KINDS if isinstance(table.get(kind), dict)),
        embedded=_HERE / "embedded" / embedded if embedded else None,
    )


def _input(table: Table) -> Input:
    resize = table.get("resize")
    blue, green, red = (float(value) for value in table["mean_values"])
    return Input(
        crop=(table["crop"][0], table["crop"][1]),
        resize=(resize[0], resize[1]) if isinstance(resize, list) else resize,
        mean_values=(blue, green, red),
        scale=float(table.get("scale", 1.0)),
        color=table.get("color", "BGR"),
    )


def _file(kind: str, table: Table) -> RemoteFile:
    hashes = {key: value for key, value in table.items() if key in HASH_DIGITS}
    return RemoteFile(
        kind=kind,
        name=table["name"],
        urls=tuple(table.get("urls", ())),
        size=table.get("size"),
        min_size=table.get("min_size"),
        hashes=hashes,
    )
