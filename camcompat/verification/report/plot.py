"""The error of every blob along the depth of the net, as an SVG drawing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite, log10

from camcompat.verification.compare import WHOLE, BlobError
from camcompat.verification.report.findings import OracleResult, Report

__all__ = ["depth_plot"]

WIDTH, HEIGHT = 1040, 364
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 88
LOWEST = -9  # 1e-9 of a blob's maximum, and all below it: equal
SERIES = 8  # colours in the style sheet


def depth_plot(report: Report, oracles: Sequence[OracleResult]) -> str:
    """Draw max-relative errors on a logarithmic axis over the layers, the tolerance as a dashed line.

    Args:
        report: for the layers.
        oracles: those that compared blobs; each is a series, in this order.

    Returns:
        An ``<svg>`` element; its colours are CSS classes ``s0``, ``s1``, …; every name is escaped.
    """
    shown = [oracle for oracle in oracles if oracle.blobs]
    highest = max((_exponent(blob) for oracle in shown for blob in oracle.blobs), default=-4.0)
    top = max(-4, min(1, int(highest) + 1))
    axis = _Axis(len(report.layers), top)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="largest difference of each blob, by layer">',
        *_grid(axis, top),
        *_tolerance(axis, shown),
    ]
    for number, oracle in enumerate(shown):
        parts += _series(axis, oracle, number)
    parts += _ticks(axis, report.layers)
    return "\n".join([*parts, "</svg>"])


class _Axis:
    """From layer index and error to places in the drawing."""

    def __init__(self, layers: int, top: int) -> None:
        self.layers, self.top = max(layers, 2), top

    def x(self, depth: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (depth + 0.5) / self.layers

    def y(self, exponent: float) -> float:
        share = (min(max(exponent, LOWEST), self.top) - LOWEST) / (self.top - LOWEST)
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - share)


def _exponent(blob: BlobError) -> float:
    if not isfinite(blob.relative):
        return 1.0
    return log10(blob.relative) if blob.relative > 0 else float(LOWEST)


def _grid(axis: _Axis, top: int) -> list[str]:
    lines = []
    for exponent in range(LOWEST, top + 1):
        y = axis.y(exponent)
        label = "equal" if exponent == LOWEST else f"1e{exponent}" if exponent else "1"
        lines.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        lines.append(f'<text class="axis" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    return lines


def _tolerance(axis: _Axis, shown: Sequence[OracleResult]) -> list[str]:
    limits = {blob.depth: blob.tolerance for oracle in shown for blob in oracle.blobs if blob.tolerance >= WHOLE}
    if not limits:
        return []
    common = min(limits.values())
    y = axis.y(log10(common))
    text = f"tolerance {common:g}"
    if max(limits.values()) > common:
        text += f" ({max(limits.values()):g} where exponentials or whole sums are taken)"
    return [
        f'<line class="limit" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>',
        f'<text class="limit-text" x="{WIDTH - RIGHT - 4}" y="{y - 6:.1f}" text-anchor="end">{text}</text>',
    ]


def _series(axis: _Axis, oracle: OracleResult, number: int) -> list[str]:
    style = f"s{number % SERIES}"
    points = [(axis.x(blob.depth), axis.y(_exponent(blob)), blob) for blob in oracle.blobs]
    parts = []
    if len(points) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline class="line {style}" points="{path}"/>')
    for x, y, blob in points:
        title = escape(f"{blob.layer} ({blob.type}), blob {blob.blob}: {blob.relative:.2e} [{oracle.name}]")
        size, bad = (2.6, "") if blob.ok else (5, " bad")
        circle = f'<circle class="dot {style}{bad}" cx="{x:.1f}" cy="{y:.1f}" r="{size}">'
        parts.append(f"{circle}<title>{title}</title></circle>")
    return parts


def _ticks(axis: _Axis, layers: Sequence[tuple[str, str]]) -> list[str]:
    step = max(1, len(layers) // 16)
    parts = []
    for depth in range(0, len(layers), step):
        x, y = axis.x(depth), HEIGHT - BOTTOM + 12
        name = layers[depth][0] or layers[depth][1]
        short = name if len(name) <= 20 else f"…{name[-19:]}"
        parts.append(
            f'<text class="axis" x="{x:.1f}" y="{y}" transform="rotate(-35 {x:.1f} {y})" text-anchor="end">'
            f"{escape(short)}</text>"
        )
    return parts
