"""The figures as tables: on a terminal, and as the page docs/performance.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

__all__ = ["as_markdown", "print_report"]

Row = dict[str, Any]
Table = tuple[str, list[str], list[list[str]]]


def print_report(report: dict[str, Any]) -> None:
    """Print the tables."""
    from rich.console import Console
    from rich.table import Table as RichTable

    console = Console() if Console().is_terminal else Console(width=140)
    for title, columns, rows in tables(report):
        table = RichTable(*columns, title=title, title_justify="left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def as_markdown(report: dict[str, Any], command: str) -> str:
    """The page: how it was measured, on what, the tables, and the command that repeats it."""
    m = report["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in m["versions"].items())
    parts = [
        "# Performance\n",
        "Written by the command below; do not edit. Contestants run by turns in processes of their own, in one run;",
        "figures are medians. Ratios tell more than seconds: they hold on other machines and on a busy one.\n",
        f"- machine: {m['processor']}, {m['cores']} cores, {m['system']} (load {m['load']} at the start)",
        f"- versions: {versions}, Python {m['python']}",
        f"- date: {m['date']}{' (quick: few repeats)' if report['quick'] else ''}\n",
        f"Repeat it exactly:\n\n```sh\npip install -c constraints.txt -e '.[dev]'\n{command}\n```\n",
    ]
    for title, columns, rows in tables(report):
        parts.append(f"## {title}\n\n| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
        parts += [f"| {' | '.join(row)} |" for row in rows]
        parts.append("")
    return "\n".join(parts)


def tables(report: dict[str, Any]) -> Iterator[Table]:
    """Title, columns and rows of each section that was measured."""
    if report.get("forward"):
        yield from _forward(report["forward"])
    if report.get("pictures"):
        yield _pictures(report["pictures"])
    if report.get("conversion"):
        yield _conversion("Conversion and peers' loading", report["conversion"])
    if report.get("size"):
        yield _conversion("Conversion by size (VGG16 of several widths)", report["size"])


def _forward(rows: Sequence[Row]) -> Iterator[Table]:
    """The times, and what others take in units of ours."""
    times, ratios, peers = [], [], list[str]()
    for (net, batch), group in _groups(rows, "net", "batch"):
        ours, with_cam = group.pop("onnxruntime"), group.pop("onnxruntime with CAM")
        peers = list(group)
        times.append([net, str(batch), *map(_milliseconds, (ours, *group.values()))])
        cost = f"{100 * (with_cam['seconds'] / ours['seconds'] - 1):+.1f} %" if "seconds" in with_cam else "—"
        ratios.append([net, str(batch), *(_ratio(peer, ours) for peer in group.values()), cost])
    yield "Forward pass", ["net", "batch", "ours: onnxruntime", *peers], times
    yield (
        "Forward pass: the others' time / ours, and what the CAM adds",
        ["net", "batch", *peers, "cost of CAM"],
        ratios,
    )


def _pictures(rows: Sequence[Row]) -> Table:
    columns = ["net", "what", "time", "per picture", "to one picture"]
    lines = []
    for (net,), group in _groups(rows, "net"):
        for name, row in group.items():
            count = int(name.removeprefix("pictures: ")) if name.startswith("pictures: ") else 1
            one = f"{1000 * row['seconds'] / count:,.1f} ms" if "seconds" in row else "—"
            lines.append([net, name, _milliseconds(row), one, _ratio(row, group["pictures: 1"])])
    return "CAM of pictures: decoding, resizing, net, maps over the picture", columns, lines


def _conversion(title: str, rows: Sequence[Row]) -> Table:
    columns = ["net", "MB", "what", "seconds", "to copying", "peak private memory", "of it imports"]
    lines = []
    for (net, megabytes), group in _groups(rows, "net", "megabytes"):
        copy = group["copy the caffemodel"]
        for name, row in group.items():
            if "seconds" not in row:
                lines.append([net, f"{megabytes:,.0f}", name, row["missing"], "—", "—", "—"])
                continue
            memory = [f"{row[key]:,.0f} MB" for key in ("peak_private_mb", "before_mb")]
            lines.append([net, f"{megabytes:,.0f}", name, f"{row['seconds']:.3f}", _ratio(row, copy), *memory])
    return title, columns, lines


def _groups(rows: Sequence[Row], *keys: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Row]]]:
    """Rows by the values of some columns, and within them by contestant."""
    groups: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), {})[row["contestant"]] = row
    yield from groups.items()


def _milliseconds(row: Row) -> str:
    return f"{1000 * row['seconds']:,.1f} ms" if "seconds" in row else row["missing"]


def _ratio(a: Row, b: Row) -> str:
    return f"{a['seconds'] / b['seconds']:.2f}×" if "seconds" in a and "seconds" in b else "—"
