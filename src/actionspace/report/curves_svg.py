"""Curves over epochs, or over another count, as inline SVG, in the manner of :mod:`figures_svg`.

Horizontal positions are percentages of the width; the lines lie in a nested drawing that stretches
with the page while their strokes keep their width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from actionspace.report.curves import Chart, Series
from actionspace.report.figures_svg import colour, esc, percent

TOP, PLOT, AXIS = 18, 190, 26
GUTTER = 0.1  # share of the width, on the left, that holds the values of the levels
MOST_MARKS = 40


def ticks(low: float, high: float, most: int = 5, *, whole: bool = False) -> list[float]:
    """Return round numbers (multiples of 1, 2 or 5 times a power of ten) that span low to high.

    Args:
        low: smallest value.
        high: largest value.
        most: largest number of steps.
        whole: integers only.
    """
    if high - low <= 1e-6 * max(abs(low), abs(high)):  # one value has no span of its own
        high = low + (abs(low) or 1.0)
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= most)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.12g}") for i in range(first, max(last, first + 1) + 1)]


def learning_curves(chart: Chart, *, best: float | None = None) -> str:
    """Draw one chart over epochs, or what else it runs along.

    Args:
        chart: the curves.
        best: the epoch whose weights were best; a dashed line stands there.
    """
    values = [y for series in chart.series for _, y in series.points]
    end = max(x for series in chart.series for x, _ in series.points) or 1.0
    low, high = min(values), max(values)
    if 0 <= low < 0.4 * high:
        low = 0.0  # near enough that the true foot of the scale costs little room
    scale = ticks(low, high)
    start, stop = scale[0], scale[-1]

    def up(y: float) -> float:
        return TOP + PLOT * (1 - (y - start) / (stop - start))

    def along(x: float) -> float:
        return GUTTER + (1 - GUTTER) * x / end

    parts = [_level(y, up(y), chart.unit) for y in scale]
    parts.append(f'<text class="tick" x="0" y="{TOP + PLOT + 18}">{esc(chart.along)}</text>')
    parts += [_epoch(x, along(x)) for x in ticks(0, end, 8, whole=end >= 1) if x <= end]
    if best is not None and 0 <= best <= end:
        parts.append(_best(best, along(best)))
    parts += [_line(series, end, start, stop) for series in chart.series]
    for series in chart.series:
        if len(series.points) <= MOST_MARKS:
            parts += [_mark(chart, series, x, y, along(x), up(y)) for x, y in series.points]
    return (
        f'<svg class="chart" role="img" width="100%" height="{TOP + PLOT + AXIS}" '
        f'aria-label="{esc(summary(chart))}">{"".join(parts)}</svg>'
    )


def summary(chart: Chart) -> str:
    """Return what a reader who does not see the chart should know."""
    ends = "; ".join(
        f"{s.name} from {_number(s.points[0][1], chart.unit)} to "
        f"{_number(s.points[-1][1], chart.unit)}"
        for s in chart.series
    )
    over = "epochs" if chart.along == "epoch" else chart.along
    return f"{chart.title} over {over}: {ends}."


def _number(value: float, unit: str) -> str:
    return f"{value:.1f} %" if unit else f"{value:.4g}"


def _level(value: float, y: float, unit: str) -> str:
    text = f"{value:g}\u00a0%" if unit else f"{value:g}"
    return (
        f'<line class="grid" x1="{percent(GUTTER)}" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="0" y="{y + 4:.1f}">{text}</text>'
    )


def _epoch(value: float, share: float) -> str:
    anchor = "end" if share > 0.97 else "middle"
    return (
        f'<text class="tick" x="{percent(share)}" y="{TOP + PLOT + 18}" text-anchor="{anchor}">'
        f"{value:g}</text>"
    )


def _best(epoch: float, share: float) -> str:
    x, anchor = percent(share), "end" if share > 0.5 else "start"
    shift = -5 if share > 0.5 else 5
    return (
        f'<line class="chance" x1="{x}" x2="{x}" y1="4" y2="{TOP + PLOT}"/>'
        f'<text class="tick" x="{x}" dx="{shift}" y="12" text-anchor="{anchor}">'
        f"best: epoch {epoch:g}</text>"
    )


def _line(series: Series, end: float, start: float, stop: float) -> str:
    path = _path([(1000 * x / end, 1000 * (stop - y) / (stop - start)) for x, y in series.points])
    return (
        f'<svg x="{percent(GUTTER)}" y="{TOP}" width="{percent(1 - GUTTER)}" height="{PLOT}" '
        f'viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible">'
        f'<path class="line {colour(series.colour)}" vector-effect="non-scaling-stroke" '
        f'd="{path}"/></svg>'
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _mark(chart: Chart, series: Series, x: float, y: float, share: float, height: float) -> str:
    title = f"{series.name}, {chart.along} {x:g}: {_number(y, chart.unit)}"
    return (
        f'<circle class="mark {colour(series.colour)}" cx="{percent(share)}" cy="{height:.1f}" '
        f'r="3.5"><title>{esc(title)}</title></circle>'
    )
