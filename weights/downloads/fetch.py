"""Fetching the files of catalogued models, once, and never trusting what arrives.

A file is accepted if it is of the right kind, has the right size and the published hashes; where no hash is published,
the first one accepted is written down in ``camcompat.lock`` and later ones must equal it. It reaches its name only by a
rename of the finished, verified ``.part`` file beside it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from prototxt.errors import CamcompatError, DownloadError, printable
from weights.atomic import staging, sync
from weights.downloads.lockfile import LockError, Lockfile, Record
from weights.downloads.transfer import Advance, Policy, Received, SilentHostError, Transfer
from weights.downloads.verify_file import TruncatedError, verify
from weights.locks import exclusive
from weights.models import Model, RemoteFile, find, home as default_home

__all__ = ["Check", "Outcome", "Policy", "download", "download_all"]

Check = Callable[[Path], None]
"""Called with a caffemodel that is about to be accepted; raises a CamcompatError if it is not the right one."""


@dataclass(frozen=True)
class Outcome:
    """What became of one model in :func:`download_all`.

    Attributes:
        name: the model, as asked for.
        ok: whether all its files are there and verified.
        detail: where they are, or what went wrong.
        remedy: what to do about it, "" if nothing.
        notes: what to know about the files: which came over plain http with no published hash to hold against them.
    """

    name: str
    ok: bool
    detail: str
    remedy: str
    notes: tuple[str, ...] = ()


def download(
    name: str | Model,
    *,
    home: str | os.PathLike[str] | None = None,
    offline: bool = False,
    progress: bool = True,
    force: bool = False,
    kinds: Iterable[str] | None = None,
    check: Check | None = None,
    policy: Policy | None = None,
) -> Model:
    """See to it that a model's files are there and right, fetching what is missing.

    Files that were placed by hand are accepted after the same checks. An interrupted download is resumed.

    Args:
        name: a name or alias of the catalogue, or an entry.
        home: the folder of all models, by default :func:`weights.models.home`.
        offline: never touch the network (also: ``CAMCOMPAT_OFFLINE=1``).
        progress: show a bar if stderr is a terminal.
        force: fetch files again that are there already.
        kinds: which of its files, by default all: ``prototxt``, ``caffemodel``, ``labels``, ``mean``.
        check: called with the caffemodel before it is accepted, after the prototxt is in place.
        policy: retries, timeouts and the least speed; by default :meth:`Policy.of_environment`.

    Returns:
        The model, whose ``path("prototxt")``, ``path("caffemodel")``, … now exist.

    Raises:
        DownloadError: what could not be had, why, from each address, and where to put it by hand.

    >>> download("shapes-cam").path("caffemodel").name
    'shapes-cam.caffemodel'
    """
    run = _Run(Transfer(policy or Policy.of_environment()), offline or _offline(), progress, force, check)
    return run.model((name if isinstance(name, Model) else find(name)).at(home), kinds)


def download_all(
    names: Iterable[str | Model],
    *,
    home: str | os.PathLike[str] | None = None,
    offline: bool = False,
    progress: bool = True,
    force: bool = False,
    check: Check | None = None,
    policy: Policy | None = None,
) -> list[Outcome]:
    """:func:`download` for each of several models; what fails is reported, and the others are fetched all the same.

    A host that did not answer for one model is not waited for again.

    >>> [(outcome.name, outcome.ok) for outcome in download_all(["shapes-cam", "no such model"])]
    [('shapes-cam', True), ('no such model', False)]
    """
    run = _Run(Transfer(policy or Policy.of_environment()), offline or _offline(), progress, force, check)
    outcomes = []
    for name in names:
        shown = name if isinstance(name, str) else name.name
        try:
            model = run.model((name if isinstance(name, Model) else find(name)).at(home), None)
        except CamcompatError as error:
            outcomes.append(Outcome(shown, False, error.message, error.remedy))
        else:
            size = sum(model.path(kind).stat().st_size for kind in model.kinds)
            detail = f"{len(model.files)} files, {size / 1e6:,.1f} MB in {model.folder}"
            outcomes.append(Outcome(shown, True, detail, "", tuple(_unvouched(model))))
    return outcomes


def _unvouched(model: Model) -> Iterator[str]:
    """A line for each file that anybody on the way could have exchanged when it was first fetched."""
    lock = Lockfile(model.root or default_home())
    for file in () if model.embedded else model.files:
        entry = None if file.hashes else lock.get(f"{model.name}/{file.name}")
        if entry is not None and entry.url.startswith("http:"):
            yield (
                f"{file.name} came over plain http and no hash of it is published: compare its sha256 {entry.sha256} "
                "with somebody else's; from now on it is held to it"
            )


def _offline() -> bool:
    return os.environ.get("CAMCOMPAT_OFFLINE", "").lower() not in ("", "0", "no", "off", "false")


def _by_hand(path: Path, file: RemoteFile) -> str:
    return f"put the file by hand at {path} ({file.expected_size}) and run again"


def _together(failures: Mapping[RemoteFile, DownloadError]) -> str:
    """Several failures as one text: files that failed alike are named together."""
    alike: dict[str, list[str]] = {}
    for file, error in failures.items():
        alike.setdefault(error.message.removeprefix(f"{file.name} "), []).append(file.name)
    return "; ".join(f"{', '.join(names)} {problem}" for problem, names in alike.items())


@dataclass
class _Run:
    """The choices that one call makes for all its files."""

    transfer: Transfer
    offline: bool
    progress: bool
    force: bool
    check: Check | None

    def model(self, model: Model, kinds: Iterable[str] | None) -> Model:
        """Fetch a model's files; one that fails does not keep the others from being fetched."""
        failures: dict[RemoteFile, DownloadError] = {}
        for file in model.files if kinds is None else [model.file(kind) for kind in kinds]:
            try:
                _File(self, model, file).provide()
            except LockError:
                raise
            except DownloadError as error:
                failures[file] = error
        if len(failures) == 1:
            raise next(iter(failures.values()))
        if failures:
            message = _together(failures)
            remedy = "; ".join(dict.fromkeys(error.remedy for error in failures.values()))
            if not any((model.folder / file.name).exists() for file in failures):
                wanted = ", ".join(f"{file.name} ({file.expected_size})" for file in failures)
                remedy = f"put the files by hand into {model.folder}: {wanted}; and run again"
            raise DownloadError(message, where=model.name, remedy=remedy)
        return model


class _File:
    """One file of one model on its way to its place."""

    def __init__(self, run: _Run, model: Model, file: RemoteFile) -> None:
        self.run, self.model, self.file = run, model, file
        self.path = model.folder / file.name
        self.key = f"{model.name}/{file.name}"
        self.lock = Lockfile(model.root or default_home())

    def provide(self) -> None:
        """Have it there and verified, or raise a DownloadError."""
        try:
            if self.path.exists() and (not self.run.force or self.model.embedded):
                self._accept_present()
            elif self.model.embedded:
                message = f"{self.path} is missing from the package"
                raise DownloadError(message, where=self.model.name, remedy="install camcompat again")
            elif self.run.offline:
                raise self._error(f"{self.file.name} missing, and this is offline")
            else:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._download()
        except OSError as error:
            remedy = "make room or set CAMCOMPAT_HOME to a folder that can be written"
            message = f"{error.filename or self.path}: {error.strerror or error}"
            raise DownloadError(message, where=self.model.name, remedy=remedy) from error

    def _error(self, message: str) -> DownloadError:
        return DownloadError(message, where=self.model.name, remedy=_by_hand(self.path, self.file))

    def _accept_present(self) -> None:
        entry = None if self.model.embedded else self.lock.get(self.key)
        if entry is not None and entry.unchanged(self.path):
            return
        try:
            digests = verify(self.path, self.file)
            self._judge(self.path, digests, entry)
        except DownloadError as error:
            remedy = f"delete it (or force a new download), or {_by_hand(self.path, self.file)}"
            raise DownloadError(f"{self.path}: {error.message}", where=self.model.name, remedy=remedy) from error
        if not self.model.embedded:
            same = entry is not None and entry.sha256 == digests["sha256"]
            with contextlib.suppress(OSError):  # a home that is shared read-only: the file is verified each time
                self._record(digests["sha256"], entry.url if entry and same else "")

    def _judge(self, path: Path, digests: dict[str, str], entry: Record | None) -> None:
        """What size and published hashes do not decide: the lock file, and the caller's check."""
        if entry is not None and not self.file.hashes and entry.sha256 != digests["sha256"]:
            first = f"{entry.sha256} ({entry.size:,} bytes, {entry.date}, {entry.url or 'placed by hand'})"
            raise DownloadError(
                f"its sha256 is {digests['sha256']} ({path.stat().st_size:,} bytes), but the first one accepted had "
                f"{first}; if the new one is right, delete {self.key!r} from {self.lock.path}"
            )
        if self.run.check is not None and self.file.kind == "caffemodel":
            try:
                self.run.check(path)
            except CamcompatError as error:
                raise DownloadError(f"it does not pass the check: {error}") from error

    def _record(self, sha256: str, url: str) -> None:
        status = self.path.stat()
        date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.lock.put(self.key, Record(sha256, status.st_size, url, date, status.st_mtime_ns))

    def _download(self) -> None:
        lock, before = self.path.with_name(f".{self.file.name}.lock"), self._time()
        with exclusive(lock) as alone:
            if alone:
                self._fetch(before, alone)
                return
        _say(f"{self.model.name} {self.file.kind}: another process is fetching it, waiting", wanted=self.run.progress)
        with exclusive(lock, wait=self.run.transfer.policy.patience) as alone:
            self._fetch(before, alone)

    def _time(self) -> int | None:
        return self.path.stat().st_mtime_ns if self.path.exists() else None

    def _fetch(self, before: int | None, alone: bool) -> None:
        part = self.path.with_name(f"{self.file.name}.part")
        if self._time() not in (None, before):
            self._accept_present()  # another process has fetched it meanwhile
        elif alone:
            self._from_addresses(part, shared=True)
        else:  # the other takes too long, or there are no locks here: a part of its own, which no later run resumes
            with staging(self.path.parent) as stage:
                self._from_addresses(stage / part.name, shared=False)

    def _from_addresses(self, part: Path, *, shared: bool) -> None:
        failures = []
        for url in self.file.urls:
            try:
                self._from_address(url, part, shared=shared)
            except LockError:
                raise
            except TruncatedError as error:
                kept = f"; what came is kept in {part.name} and the next run goes on from it" if shared else ""
                failures.append(f"{url} ({error.message}{kept})")
            except SilentHostError as error:
                failures.append(f"{error.where} ({error.message})")
            except DownloadError as error:
                failures.append(f"{url} ({error.message})")
            else:
                return
            if url != self.file.urls[-1]:
                _say(f"{self.model.name}: {failures[-1]}; asking the next address", wanted=self.run.progress)
        raise self._error(f"{self.file.name} could not be downloaded: {', '.join(dict.fromkeys(failures))}")

    def _from_address(self, url: str, part: Path, *, shared: bool) -> None:
        received = self._receive(url, part, shared=shared)
        try:
            digests = self._verified(part, received)
        except TruncatedError:
            raise
        except DownloadError:
            if not received.resumed:
                raise
            # The older bytes may be to blame: once more, from the start.
            digests = self._verified(part, self._receive(url, part, shared=shared))
        try:
            self._judge(part, digests, self.lock.get(self.key))
        except DownloadError:
            part.unlink()
            raise
        sync(part)  # before its size and time vouch for it: a power cut must not leave zeros under its name
        os.replace(part, self.path)
        self._record(digests["sha256"], url)
        if shared:
            self.lock.put_part(self.key, None)

    def _verified(self, part: Path, received: Received) -> dict[str, str]:
        """The hashes of a part that is right; a wrong one is deleted, a short one stays for the next run."""
        try:
            return verify(part, self.file, digests=received.digests)
        except TruncatedError:
            raise
        except DownloadError:
            part.unlink()
            raise

    def _receive(self, url: str, part: Path, *, shared: bool) -> Received:
        def remember(known: dict[str, str]) -> None:
            if shared:
                self.lock.put_part(self.key, known)

        with _bar(f"{self.model.name} {self.file.kind}", wanted=self.run.progress) as advance:
            known = self.lock.part(self.key) if shared else {}
            return self.run.transfer.receive(url, part, self.file, known=known, remember=remember, advance=advance)


@contextlib.contextmanager
def _bar(label: str, *, wanted: bool) -> Iterator[Advance]:
    """Show a bar while the block runs, where somebody watches (stderr is a terminal); yields what advances it.

    >>> with _bar("weights", wanted=False) as advance:
    ...     advance(10, 100)
    """
    if not (wanted and sys.stderr.isatty()):
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _say(text: str, *, wanted: bool) -> None:
    """One line where somebody watches."""
    if wanted and sys.stderr.isatty():
        print(printable(text), file=sys.stderr)
