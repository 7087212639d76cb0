"""Scores against the share of predictions that are right, as inline SVG.

Where scores are probabilities the dots lie on the dashed line. Positions are percentages of the
width, as in :mod:`figures_svg`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from actionspace.report.figures_svg import colour, esc, percent

TOP, PLOT, AXIS = 8, 220, 26
GUTTER = 0.1  # share of the width, on the left, that holds the values
STEPS = 5
SMALLEST, LARGEST = 2.5, 7.0  # radius of a dot, by the predictions it stands for


def reliability_diagram(curves: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> str:
    """Draw several curves.

    Args:
        curves: name and bins of each; a bin has ``score`` (mean of its predictions), ``right``
            (share of them that are) and ``count``.
    """
    levels = [i / STEPS for i in range(STEPS + 1)]
    parts = [_grid(value) for value in levels]
    parts.append(
        f'<line class="chance" x1="{_along(0)}" x2="100%" y1="{_up(0):.1f}" y2="{_up(1):.1f}"/>'
    )
    most = max((row["count"] for _, bins in curves for row in bins), default=1)
    for i, (name, bins) in enumerate(curves):
        parts += [_step(a, b, i) for a, b in pairwise(bins)]
        parts += [_dot(name, row, i, (row["count"] / most) ** 0.5) for row in bins]
    said = "; ".join(
        f"{name}: "
        + ", ".join(f"{r['right']:.2f} right at a score of {r['score']:.2f}" for r in bins)
        for name, bins in curves
    )
    return (
        f'<svg class="chart" role="img" width="100%" height="{TOP + PLOT + AXIS}" '
        f'aria-label="{esc(said)}">{"".join(parts)}</svg>'
    )


def _along(score: float) -> str:
    return percent(GUTTER + (1 - GUTTER) * score)


def _up(share: float) -> float:
    return TOP + PLOT * (1 - share)


def _grid(value: float) -> str:
    anchor = "end" if value == 1 else "middle"
    return (
        f'<line class="grid" x1="{_along(0)}" x2="100%" y1="{_up(value):.1f}" '
        f'y2="{_up(value):.1f}"/>'
        f'<text class="tick" x="0" y="{_up(value) + 4:.1f}">{value:g}</text>'
        f'<text class="tick" x="{_along(value)}" y="{TOP + PLOT + 18}" text-anchor="{anchor}">'
        f"{value:g}</text>"
    )


def _step(a: Mapping[str, Any], b: Mapping[str, Any], number: int) -> str:
    return (
        f'<line class="join {colour(number)}" x1="{_along(a["score"])}" y1="{_up(a["right"]):.1f}" '
        f'x2="{_along(b["score"])}" y2="{_up(b["right"]):.1f}"/>'
    )


def _dot(name: str, row: Mapping[str, Any], number: int, size: float) -> str:
    share = f"{100 * row['right']:.0f} % right"
    title = f"{name}, {row['count']} that score {row['score']:.2f}: {share}"
    return (
        f'<circle class="mark {colour(number)}" cx="{_along(row["score"])}" '
        f'cy="{_up(row["right"]):.1f}" r="{SMALLEST + (LARGEST - SMALLEST) * size:.1f}">'
        f"<title>{esc(title)}</title></circle>"
    )
