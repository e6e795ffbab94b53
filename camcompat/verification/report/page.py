"""A report as files: JSON for machines, and one HTML page without anything external for people.

Every text that comes from a file is escaped.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from camcompat.verification.compare import BlobError
from camcompat.verification.report.findings import MapAgreement, OracleResult, Report
from camcompat.verification.report.plot import SERIES, depth_plot
from weights.atomic import make_folder, replacing

__all__ = ["page", "write_report"]

SIDE = 220  # pixels of a drawn map, about


def write_report(report: Report, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Write ``<name>.json`` and ``<name>.html`` into a folder, which is created.

    Args:
        report: from `verify`.
        folder: what was there under these names is replaced.

    Returns:
        The two files.

    >>> from tempfile import mkdtemp
    >>> empty = Report("net/1", "nothing", [], {}, [])
    >>> [path.name for path in write_report(empty, mkdtemp())]
    ['net_1.json', 'net_1.html']
    """
    target = Path(folder)
    make_folder(target)
    stem = re.sub(r"[^\w.-]+", "_", report.name).strip("._") or "net"
    texts = {".json": json.dumps(report.as_dict(), indent=1, allow_nan=False) + "\n", ".html": page(report)}
    paths = []
    for suffix, text in texts.items():
        path = target / f"{stem}{suffix}"
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")
        paths.append(path)
    return paths[0], paths[1]


def page(report: Report) -> str:
    """The page as text; `write_report` writes it.

    Sections: verdict, oracles, error along the depth, findings, maps, every blob, provenance.
    """
    name = escape(report.name)
    body = [
        f'<p class="faint small">camcompat verify</p><h1>{name}</h1><p class="faint">{escape(report.subject)}</p>',
        _verdict(report),
        *(f'<p class="faint small">{escape(note)}</p>' for note in report.notes),
        "<h2>Oracles</h2>",
        _oracles(report),
        *_findings(report),
        "<h2>Largest difference of each blob, along the net</h2>",
        '<p class="faint small">In units of the blob\'s largest magnitude, on a logarithmic axis. '
        "Point at a dot for its blob.</p>",
        _legend(report),
        f'<div class="wide">{depth_plot(report, _plotted(report))}</div>',
        *_maps(report),
        *_tables(report),
        "<h2>Provenance</h2>",
        _provenance(report.provenance),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{name}: verified</title>'
    style = files("camcompat.verification.report").joinpath("style.css").read_text("utf-8")
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}<style>\n{style}</style></head>\n<body><main>\n'
        + "\n".join(body)
        + "\n</main></body></html>\n"
    )


def _verdict(report: Report) -> str:
    kind = "good" if report.ok else "bad"
    head, _, rest = report.verdict.partition(": ")
    mark = "✓" if report.ok else "✗"
    return (
        f'<div class="verdict {kind}"><strong>{mark} {escape(head)}</strong>{escape(rest[:1].upper() + rest[1:])}</div>'
    )


def _oracles(report: Report) -> str:
    rows = []
    for oracle in report.oracles:
        worst, kind = oracle.worst, "absent" if oracle.status == "not run" else oracle.status
        largest = _number(worst.relative) if worst else ""
        where = escape(worst.blob) if worst and worst.relative > 0 else ""
        remark = " ".join(filter(None, (oracle.reason, *oracle.notes)))
        rows.append(
            f'<tr><td class="text"><b>{escape(oracle.name)}</b><br>'
            f'<span class="faint small">{escape(oracle.version)}</span></td>'
            f'<td><span class="chip {kind}">{oracle.status}</span></td>'
            f'<td class="number">{len(oracle.blobs) or ""}</td><td class="number">{largest}</td>'
            f'<td class="text small">{where}</td><td class="text small">{escape(remark)}</td></tr>'
        )
    head = (
        '<tr><th>oracle</th><th>result</th><th class="number">blobs</th><th class="number">largest difference</th>'
        "<th>at</th><th>remark</th></tr>"
    )
    return f'<div class="wide"><table>{head}{"".join(rows)}</table></div>'


def _plotted(report: Report) -> list[OracleResult]:
    return [oracle for oracle in report.oracles if oracle.blobs]


def _legend(report: Report) -> str:
    entries = [
        f'<span><i class="k{number % SERIES}"></i>{escape(_told(oracle, report))}</span>'
        for number, oracle in enumerate(_plotted(report))
    ]
    return f'<div class="legend">{"".join(entries)}</div>'


def _told(oracle: OracleResult, report: Report) -> str:
    """An oracle's name, with its file where there are several of the name."""
    several = [other.name for other in report.oracles].count(oracle.name) > 1
    return f"{oracle.name} ({oracle.version})" if several else oracle.name


def _findings(report: Report) -> Iterator[str]:
    """One entry for all oracles that found the same."""
    alike: dict[tuple[str, str, str], list[OracleResult]] = {}
    for oracle in report.oracles:
        if oracle.finding is not None:
            alike.setdefault((oracle.finding.layer, oracle.finding.words, oracle.reason), []).append(oracle)
    if alike:
        yield "<h2>Where differences arise</h2>"
    for oracles in alike.values():
        yield _finding(oracles)


def _finding(oracles: list[OracleResult]) -> str:
    finding = oracles[0].finding
    assert finding is not None
    soft = " soft" if oracles[0].status == "explained" else ""
    inputs = "".join(f"<li><code>{escape(name)}</code> {escape(words)}</li>" for name, words in finding.inputs.items())
    fed = f'<p class="faint small">its inputs</p><ul class="small">{inputs}</ul>' if inputs else ""
    reason = f"<p>{escape(oracles[0].reason)}</p>" if oracles[0].reason else ""
    names = escape(", ".join(oracle.name for oracle in oracles))
    return (
        f'<div class="finding{soft}"><p><b>{escape(finding.layer)}</b> <span class="faint">{escape(finding.type)}'
        f'</span></p><p>{escape(finding.words)}</p>{reason}<p class="faint small">found by: {names}</p>{fed}</div>'
    )


def _maps(report: Report) -> Iterator[str]:
    compared = [(oracle, oracle.maps) for oracle in report.oracles if oracle.maps is not None]
    if not compared:
        return
    yield "<h2>Class activation maps</h2>"
    rows = "".join(
        f"<tr><td>{escape(oracle.name)}</td>"
        f'<td class="number">{maps.count}</td><td class="number">{_number(maps.relative)}</td>'
        f'<td class="number">{maps.rank:.6f}</td>'
        f'<td class="number">{"" if maps.iou is None else f"{maps.iou:.3f}"}</td>'
        f'<td class="number">{maps.top5:.0%}</td></tr>'
        for oracle, maps in compared
    )
    head = (
        '<tr><th>oracle</th><th class="number">maps</th><th class="number">largest difference</th>'
        '<th class="number">rank correlation</th><th class="number">IoU of boxes</th>'
        '<th class="number">top-5 agreement</th></tr>'
    )
    yield f'<div class="wide"><table>{head}{rows}</table></div>'
    oracle, maps = compared[0]
    yield _examples(oracle, maps)


def _examples(oracle: OracleResult, maps: MapAgreement) -> str:
    examples = []
    for label, theirs, ours in maps.examples:
        low, high, scale = float(theirs.min()), float(theirs.max()), _largest(theirs) * maps.tolerance
        cells = [f'<div class="name">{escape(label)}</div>']
        for caption, uri in (
            (oracle.name, _map_uri(theirs, low, high)),
            ("our ONNX file", _map_uri(ours, low, high)),
            (f"difference, ±{scale:.0e}", _difference_uri(ours, theirs, scale)),
        ):
            cells.append(f'<div><img alt="" src="{uri}"><span class="faint small">{escape(caption)}</span></div>')
        examples.append(f'<div class="example">{"".join(cells)}</div>')
    return f'<div class="maps">{"".join(examples)}</div>'


def _largest(x: Any) -> float:
    """The largest magnitude of an array."""
    return float(abs(x).max()) if x.size else 0.0


def _png_uri(pixels: np.ndarray) -> str:
    """An (h, w, 3) uint8 picture as a data URI; small ones are enlarged without smoothing.

    >>> _png_uri(np.zeros((2, 2, 3), np.uint8))[:22]
    'data:image/png;base64,'
    """
    from PIL import Image

    scale = max(1, SIDE // max(pixels.shape[:2]))
    large = np.repeat(np.repeat(pixels, scale, axis=0), scale, axis=1)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(large, np.uint8)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def _map_uri(cam: np.ndarray, low: float, high: float) -> str:
    """A map (h, w) in the colours of `render.ember`, ``low`` to ``high``; what is not a number is black."""
    from camcompat.pictures.render import ember

    finite = np.nan_to_num(cam.astype(np.float64), nan=low, posinf=high, neginf=low)
    share = np.clip((finite - low) / ((high - low) or 1.0), 0, 1)
    colours = np.rint(ember(256) * 255).astype(np.uint8)
    pixels = colours[np.rint(share * 255).astype(int)]
    pixels[~np.isfinite(cam)] = 0
    return _png_uri(pixels)


def _difference_uri(ours: np.ndarray, theirs: np.ndarray, scale: float) -> str:
    """Where two maps differ: white is equal, red is more and blue is less by ``scale``."""
    share = np.nan_to_num((ours.astype(np.float64) - theirs) / (scale or 1.0), nan=1.0, posinf=1.0, neginf=-1.0)
    share = np.clip(share, -1, 1)[..., None]
    white, red, blue = (np.array(colour, np.float64) for colour in ((247, 247, 247), (178, 24, 43), (33, 102, 172)))
    pixels = white + np.abs(share) * (np.where(share > 0, red, blue) - white)
    return _png_uri(np.rint(pixels).astype(np.uint8))


def _tables(report: Report) -> Iterator[str]:
    yield "<h2>Every blob</h2>"
    for oracle in _plotted(report):
        rows = "".join(map(_row, oracle.blobs))
        head = (
            '<tr><th>layer</th><th>type</th><th>blob</th><th>shape</th><th class="number">max |difference|</th>'
            '<th class="number">of its maximum</th><th class="number">cosine</th>'
            '<th class="number">layer alone</th></tr>'
        )
        fused = ", ".join(f"{name} (part of {heir or 'another'})" for name, heir in oracle.fused.items())
        told = f'<p class="faint small">not computed by themselves: {escape(fused)}</p>' if fused else ""
        summary = f"{escape(_told(oracle, report))}: {len(oracle.blobs)} blobs"
        table = f'<div class="wide"><table>{head}{rows}</table></div>'
        yield f"<details><summary>{summary}</summary>{told}{table}</details>"


def _row(blob: BlobError) -> str:
    local = "" if blob.local is None else _number(blob.local)
    chip = "" if blob.ok else ' <span class="chip differs">beyond</span>'
    note = f'<br><span class="faint">{escape(blob.note)}</span>' if blob.note else ""
    return (
        f'<tr class="small"><td class="text">{escape(blob.layer)}</td><td>{escape(blob.type)}</td>'
        f'<td class="text">{escape(blob.blob)}{note}</td><td>{"×".join(map(str, blob.shape))}</td>'
        f'<td class="number">{_number(blob.max_abs)}</td><td class="number">{_number(blob.relative)}{chip}</td>'
        f'<td class="number">{blob.cosine:.9f}</td><td class="number">{local}</td></tr>'
    )


def _number(value: float) -> str:
    if not isfinite(value):
        return "∞"
    return "0" if value == 0 else f"{value:.1e}"


def _provenance(entry: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th>{escape(" · ".join(path))}</th><td class="hash">{escape(str(value))}</td></tr>'
        for path, value in _leaves(entry)
    )
    return f'<div class="wide"><table>{rows}</table></div>'


def _leaves(entry: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in entry.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*path, str(key)))
        else:
            yield (*path, str(key)), value
