"""Where an artefact comes from: hashes of its sources, versions and options. The same sources give the same entry."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prototxt import Net
from weights import Weights
from weights.downloads.verify_file import digests_of
from weights.files.mapped import MappedFile

if TYPE_CHECKING:
    from converters.lowering.blobs import WeightsLike
    from converters.lowering.lower_net import Lowered

__all__ = ["digest_ahead", "provenance", "version_of"]

EMPTY: tuple[Any, ...] = ("", (), [], {})
_threads = ThreadPoolExecutor(1, thread_name_prefix="sha256")
_digests: dict[tuple[str, int, int, int], Future[str]] = {}


def provenance(
    lowered: Lowered | Net,
    caffemodel: WeightsLike | None,
    *,
    options: Mapping[str, Any] | None = None,
    packages: Iterable[str] = (),
) -> dict[str, Any]:
    """Return what an artefact says about its origin, as plain data for JSON: no time, no path, nothing of the machine.

    Args:
        lowered: the lowered net, or the net.
        caffemodel: what its weights were read from; None where they are not part of the artefact.
        options: of the conversion; those that are None or empty are left out.
        packages: what wrote the artefact besides NumPy ("onnx", "torch"): their versions are noted.

    Returns:
        ``prototxt`` and ``caffemodel`` (each with ``file`` and ``sha256``; a net that was inside the caffemodel has
        ``embedded_in`` instead, weights that are no file a ``kind``), ``versions`` and ``options``.

    >>> import prototxt
    >>> net = prototxt.loads('input: "x" input_shape { dim: 1 } layer { type: "TanH" bottom: "x" top: "y" }')
    >>> entry = provenance(net, {}, options={"outputs": ["y"], "input_shapes": None})
    >>> sorted(entry), entry["options"], entry["caffemodel"]["kind"]
    (['caffemodel', 'options', 'prototxt', 'versions'], {'outputs': ['y']}, 'arrays')
    """
    net = lowered if isinstance(lowered, Net) else lowered.net
    weights = _weights(caffemodel)
    chosen = {key: value for key, value in (options or {}).items() if value is not None and value not in EMPTY}
    entry: dict[str, Any] = {"prototxt": _definition(net, caffemodel)}
    if weights:
        entry["caffemodel"] = weights
    entry["versions"] = {
        "camcompat": version_of("camcompat"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        **{name: version_of(name) for name in packages},
    }
    entry["options"] = {key: _plain(value) for key, value in sorted(chosen.items())}
    return entry


def digest_ahead(weights: WeightsLike | None) -> None:
    """Begin to hash a file of weights in another thread, so that `provenance` finds the hash ready.

    Of weights that are opened it reads the pages that the arrays are mapped on: they enter the process once (550 MB:
    0.31 s, not 0.37).
    """
    source = _path(weights)
    if source is not None:
        _digest(source, _mapped(weights))


def version_of(package: str) -> str:
    """The version of an installed package; of camcompat, run from its source tree, "source"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "source" if package == "camcompat" else "not installed"


def _digest(path: Path, mapped: MappedFile | None = None) -> Future[str]:
    """The file's sha256 to come; once per state of the file, 0.3 s for 550 MB."""
    state = os.stat(path if mapped is None else mapped.descriptor)
    key = (str(path.resolve()), state.st_ino, state.st_size, state.st_mtime_ns)
    if key not in _digests:
        compute = mapped.sha256 if mapped is not None else lambda: digests_of(path, ())["sha256"]
        _digests[key] = _threads.submit(compute)
    return _digests[key]


def _mapped(weights: WeightsLike | None) -> MappedFile | None:
    """The file that the arrays are views of, even if another has taken its name since."""
    blobs = getattr(weights, "blobs", weights)
    return blobs.mapped if isinstance(blobs, Weights) else None


def _definition(net: Net, caffemodel: WeightsLike | None) -> dict[str, str]:
    path, weights = Path(net.source), _path(caffemodel)
    if weights is not None and path == weights:
        return {"embedded_in": path.name}
    if path.is_file():
        return {"file": path.name, "sha256": _digest(path).result()}
    text = net.message.SerializeToString(deterministic=True)
    return {"kind": "message", "sha256": hashlib.sha256(text).hexdigest()}


def _path(caffemodel: WeightsLike | None) -> Path | None:
    """The file behind weights, if there is one."""
    source = caffemodel if isinstance(caffemodel, (str, os.PathLike)) else getattr(caffemodel, "source", "")
    path = Path(source) if source else None
    return path if path is not None and path.is_file() else None


def _weights(caffemodel: WeightsLike | None) -> dict[str, Any]:
    path = _path(caffemodel)
    if path is not None:
        mapped = _mapped(caffemodel)
        size = path.stat().st_size if mapped is None else len(mapped)
        return {"file": path.name, "bytes": size, "sha256": _digest(path, mapped).result()}
    if caffemodel is None:
        return {}
    arrays = getattr(caffemodel, "blobs", caffemodel)
    if not isinstance(arrays, Mapping):
        return {"kind": type(caffemodel).__name__.lower()}  # synthetic weights
    digest = hashlib.sha256()
    for name, blobs in arrays.items():
        for blob in map(np.asarray, blobs):
            digest.update(f"{name}{blob.dtype}{blob.shape}".encode())
            digest.update(np.ascontiguousarray(blob).tobytes())
    return {"kind": "arrays", "sha256": digest.hexdigest()}


def _plain(value: Any) -> Any:
    """Options as JSON has them."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float, bool)) else str(value)
