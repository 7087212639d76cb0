"""Maps of embeddings as inline SVG, in the manner of :mod:`figures_svg`.

All points of one colour are one path (dots are strokes without length), so that a map of 1500
points takes some 20 kB. The colours of time, ``t0`` to ``t9``, grow lighter or darker throughout,
so that they are told apart without seeing hues; phases have the colours of classes, and their
names stand in the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actionspace.report.figures_svg import esc, shorten

SIDE, HEIGHT, EDGE = 440, 320, 14
"""Size of a drawing and its margin, in its own units; it grows with its column."""
TIMES = 10
"""Steps of the colours of time."""


@dataclass(frozen=True, eq=False)
class Dots:
    """Points of one colour: a style class, a name (drawn in the map if ``named``), their places."""

    style: str
    name: str
    points: NDArray[np.float64]
    named: bool = False


def dots_by_time(points: NDArray[np.float64], times: NDArray[np.float64]) -> list[Dots]:
    """Sort points ``[N, 2]`` by their share of their video's time ``[N]``, 0 .. 1."""
    step = np.clip((times * TIMES).astype(int), 0, TIMES - 1)
    return [
        Dots(f"t{k}", f"{k / TIMES:.0%} to {(k + 1) / TIMES:.0%} of the video", points[step == k])
        for k in range(TIMES)
    ]


def embedding_map(groups: Sequence[Dots], summary: str) -> str:
    """Draw points of several colours, to one scale along both axes.

    Args:
        groups: points with their colours; later ones lie on top.
        summary: what a reader who does not see the picture should know.
    """
    every = np.concatenate([group.points for group in groups])
    low, high = every.min(axis=0), every.max(axis=0)
    room = np.array([SIDE - 2 * EDGE, HEIGHT - 2 * EDGE])
    scale = float((room / np.maximum(high - low, 1e-9)).min())
    middle, centre = (low + high) / 2, np.array([SIDE, HEIGHT]) / 2

    def at(points: NDArray[np.float64]) -> NDArray[np.float64]:
        placed: NDArray[np.float64] = centre + (points - middle) * [scale, -scale]
        return placed

    parts = [
        f'<path class="dots {group.style}" d="{_path(at(group.points))}">'
        f"<title>{esc(group.name)}</title></path>"
        for group in groups
        if len(group.points)
    ]
    parts += _names([(g.name, at(g.points)) for g in groups if g.named and len(g.points)])
    return (
        f'<svg class="map" role="img" viewBox="0 0 {SIDE} {HEIGHT}" width="100%" '
        f'aria-label="{esc(summary)}">{"".join(parts)}</svg>'
    )


def time_key() -> str:
    """Draw the colours of time from a video's start to its end."""
    boxes = "".join(
        f'<rect class="t{k}" x="{100 * k / TIMES:g}%" width="{100 / TIMES:g}%" height="10"/>'
        for k in range(TIMES)
    )
    return (
        '<svg class="timekey" width="100%" height="28" role="img" '
        'aria-label="Colours from the start of a video to its end">'
        f'{boxes}<text class="tick" x="0" y="25">start of the video</text>'
        '<text class="tick" x="100%" y="25" text-anchor="end">its end</text></svg>'
    )


def _path(points: NDArray[np.float64]) -> str:
    return "".join(f"M{x:.0f} {y:.0f}h0" for x, y in points)


def _names(groups: Sequence[tuple[str, NDArray[np.float64]]]) -> list[str]:
    """Return names where their points lie, within the drawing; none of those that would meet."""
    boxes = []
    for name, points in groups:
        text = shorten(name, 22)
        half = 3.6 * len(text) + 4
        x, y = np.median(points, axis=0)
        x, y = min(max(x, half), SIDE - half), min(max(y, 14.0), HEIGHT - 6.0)
        boxes.append((text, x, y, half))
    return [
        f'<text class="mapname" x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{esc(text)}</text>'
        for i, (text, x, y, half) in enumerate(boxes)
        if not any(
            i != k and abs(x - u) < half + w and abs(y - v) < 15
            for k, (_, u, v, w) in enumerate(boxes)
        )
    ]
