"""Curves over the time of videos as SVG, in the manner of :mod:`figures_svg`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from actionspace.events.plot import PALETTE
from actionspace.report.curves_svg import AXIS, GUTTER, PLOT, TOP, ticks
from actionspace.report.figures_svg import clock, colour, esc, percent, time_ticks
from actionspace.report.timeline_svg import thin_curve

ROW = 18


@dataclass(frozen=True, eq=False)
class Curve:
    """A value over the time of one video; NaN where it has none.

    Attributes:
        name: of the video.
        times: seconds ``[N]``, rising.
        values: ``[N]``.
    """

    name: str
    times: NDArray[np.float64]
    values: NDArray[np.float64]


def time_curves(curves: Sequence[Curve], title: str) -> str:
    """Draw curves of several videos over a time axis, with their names below.

    Args:
        curves: one line each; more than 400 points are thinned to the peaks.
        title: what the values are.
    """
    finite = [c.values[np.isfinite(c.values)] for c in curves]
    high = max((float(v.max()) for v in finite if len(v)), default=1.0)
    low = min((float(v.min()) for v in finite if len(v)), default=0.0)
    scale = ticks(min(low, 0.0), high or 1.0)
    end = max((float(c.times[-1]) for c in curves), default=0.0) or 1.0
    height = TOP + PLOT + AXIS
    parts = [_level(y, (y - scale[0]) / (scale[-1] - scale[0])) for y in scale]
    parts += [_tick(t, t / end) for t in time_ticks(end)]
    for k, curve in enumerate(curves):
        parts += [_line(part, end, scale[0], scale[-1], k) for part in _pieces(curve)]
        y = height + ROW * k
        parts.append(
            f'<rect class="{colour(k)}" x="0" y="{y + 5}" width="14" height="4"/>'
            f'<text class="tick" x="22" y="{y + 12}">{esc(curve.name)}</text>'
        )
    label = f"{title} over time of {len(curves)} videos"
    return (
        f'<svg class="chart" role="img" width="100%" height="{height + ROW * len(curves)}" '
        f'aria-label="{esc(label)}">'
        f'<text class="tick" x="{percent(GUTTER)}" y="10">{esc(title)}</text>'
        f"{''.join(parts)}</svg>"
    )


def standalone(svg: str, width: int = 900) -> str:
    """Return a drawing as a file of its own: with its name space, size and colours."""
    colours = "".join(f".k{k}{{fill:{c};stroke:{c}}}" for k, c in enumerate(PALETTE))
    style = (
        "<style>svg{font-family:sans-serif}.tick{font-size:11.5px;fill:#60666d}"
        f".grid{{stroke:#d9dde2}}{colours}.line{{fill:none;stroke-width:2}}</style>"
    )
    opened = svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    opened = opened.replace('width="100%"', f'width="{width}"', 1)
    return opened.replace("><", f">{style}<", 1)


def _pieces(curve: Curve) -> list[Curve]:
    """Cut a curve where it has no value, and thin what is left."""
    pieces = []
    for known, run in groupby(range(len(curve.times)), key=np.isfinite(curve.values).__getitem__):
        if known:
            at = list(run)
            pieces.append(Curve(curve.name, *thin_curve(curve.times[at], curve.values[at])))
    return pieces


def _level(value: float, share: float) -> str:
    y = TOP + PLOT * (1 - share)
    return (
        f'<line class="grid" x1="{percent(GUTTER)}" x2="100%" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="0" y="{y + 4:.1f}">{value:g}</text>'
    )


def _tick(seconds: float, share: float) -> str:
    anchor = "end" if share > 0.97 else "middle"
    return (
        f'<text class="tick" x="{percent(GUTTER + (1 - GUTTER) * share)}" y="{TOP + PLOT + 18}" '
        f'text-anchor="{anchor}">{clock(seconds, tenths=seconds % 1 > 0)}</text>'
    )


def _line(curve: Curve, end: float, low: float, high: float, index: int) -> str:
    xs, ys = 1000 * curve.times / end, 1000 * (high - curve.values) / (high - low)
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
    return (
        f'<svg x="{percent(GUTTER)}" y="{TOP}" width="{percent(1 - GUTTER)}" height="{PLOT}" '
        f'viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible">'
        f'<path class="line {colour(index)}" vector-effect="non-scaling-stroke" d="{path}">'
        f"<title>{esc(curve.name)}</title></path></svg>"
    )
