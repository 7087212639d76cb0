"""Charts of a leaderboard as inline SVG, in the manner of :mod:`figures_svg`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actionspace.report.curves_svg import ticks
from actionspace.report.figures_svg import colour, esc, percent

TOP, PLOT, AXIS = 14, 220, 40
LEFT, RIGHT = 0.09, 0.97  # shares of the width between which the points lie
NEAR = 0.014  # dots nearer to each other along the axis than this are drawn side by side


@dataclass(frozen=True)
class Dot:
    """An accuracy in [0, 1] with its interval, at a place along an axis (at a cost, say)."""

    name: str
    at: float
    value: float
    low: float | None
    high: float | None
    colour: int
    hollow: bool = False


@dataclass(frozen=True)
class Curve:
    """Accuracies in [0, 1] with their intervals, one dot for each place along the axis."""

    name: str
    colour: int
    dots: tuple[Dot, ...]


def cost_chart(dots: Sequence[Dot], chance: float, unit: str) -> str:
    """Draw accuracy against cost, the latter on a logarithmic axis.

    Args:
        dots: with a positive cost each.
        chance: accuracy of guessing.
        unit: of the cost, for the axis.
    """
    scale = _Scale.of(dots, chance)
    low = math.floor(min(math.log10(dot.at) for dot in dots))
    high = max(math.ceil(max(math.log10(dot.at) for dot in dots)), low + 1)

    def along(cost: float) -> float:
        return LEFT + (RIGHT - LEFT) * (math.log10(cost) - low) / (high - low)

    parts = scale.lines(chance)
    parts += [_tick(f"{10.0**power:g}", along(10.0**power)) for power in range(low, high + 1)]
    parts.append(_below(f"{unit} (logarithmic)"))
    for dot, share in zip(dots, _apart([along(dot.at) for dot in dots]), strict=True):
        parts.append(_dot(dot, share, scale, f"{dot.at:.3g} {unit}"))
    says = "; ".join(f"{d.name} {100 * d.value:.1f} % at {d.at:.3g}" for d in dots)
    return _drawing(parts, f"Accuracy against {unit}: {says}.")


def shots_chart(curves: Sequence[Curve], chance: float, beside: Sequence[Curve] = ()) -> str:
    """Draw accuracy against the number of labels per class; the numbers lie evenly spaced.

    Args:
        curves: with the same numbers of labels each.
        chance: accuracy of guessing.
        beside: curves of charts beside this one, which is to have the same vertical axis.
    """
    scale = _Scale.of([dot for curve in (*curves, *beside) for dot in curve.dots], chance)
    shots = [dot.at for dot in curves[0].dots]

    def along(place: int) -> float:
        return LEFT + 0.02 + (RIGHT - LEFT - 0.04) * place / max(len(shots) - 1, 1)

    parts = scale.lines(chance)
    parts += [_tick(f"{n:g}", along(i)) for i, n in enumerate(shots)]
    parts.append(_below("labels per class"))
    for curve in curves:
        parts.append(_band(curve, along, scale))
        parts += [
            _dot(dot, along(i), scale, f"{dot.at:g} labels per class", whiskers=False)
            for i, dot in enumerate(curve.dots)
        ]
    says = "; ".join(
        f"{c.name} from {100 * c.dots[0].value:.1f} to {100 * c.dots[-1].value:.1f} %"
        for c in curves
    )
    return _drawing(parts, f"Accuracy over labels per class: {says}.")


@dataclass(frozen=True)
class _Scale:
    """The vertical axis, from ``levels[0]`` to ``levels[-1]`` in per cent."""

    levels: tuple[float, ...]

    @classmethod
    def of(cls, dots: Sequence[Dot], chance: float) -> _Scale:
        low = min(min(d.value if d.low is None else d.low for d in dots), chance)
        high = max(max(d.value if d.high is None else d.high for d in dots), chance)
        return cls(tuple(ticks(100 * low, 100 * high)))

    def up(self, value: float) -> float:
        """Return the height of an accuracy in pixels from the top."""
        share = (100 * value - self.levels[0]) / (self.levels[-1] - self.levels[0])
        return TOP + PLOT * (1 - share)

    def lines(self, chance: float) -> list[str]:
        """Return the levels with their values, and chance."""
        parts = []
        for level in self.levels:
            y = self.up(level / 100)
            parts.append(
                f'<line class="grid" x1="{percent(LEFT - 0.01)}" x2="100%" y1="{y:.1f}" '
                f'y2="{y:.1f}"/><text class="tick" x="0" y="{y + 4:.1f}">{level:g}\u00a0%</text>'
            )
        y = self.up(chance)
        parts.append(
            f'<line class="chance" x1="{percent(LEFT - 0.01)}" x2="100%" y1="{y:.1f}" '
            f'y2="{y:.1f}"><title>chance {100 * chance:.1f} %</title></line>'
        )
        return parts


def _apart(shares: Sequence[float]) -> list[float]:
    """Move places along the axis that coincide side by side."""
    placed: list[float] = []
    for share in shares:
        while any(abs(share - other) < NEAR - 1e-9 for other in placed):
            share += NEAR
        placed.append(share)
    return placed


def _dot(dot: Dot, share: float, scale: _Scale, where: str, *, whiskers: bool = True) -> str:
    x, style = percent(share), colour(dot.colour)
    title = f"{dot.name}, {where}: {100 * dot.value:.1f} %"
    parts = []
    if dot.low is not None and dot.high is not None:
        title += f" ({100 * dot.low:.1f} to {100 * dot.high:.1f})"
        if whiskers:
            parts.append(
                f'<line class="{style}" x1="{x}" x2="{x}" y1="{scale.up(dot.low):.1f}" '
                f'y2="{scale.up(dot.high):.1f}" stroke-width="2" stroke-opacity=".4"/>'
            )
    hollow = ' fill-opacity="0" stroke-width="2"' if dot.hollow else ""
    kind = style if dot.hollow else f"mark {style}"
    parts.append(
        f'<circle class="{kind}" cx="{x}" cy="{scale.up(dot.value):.1f}" '
        f'r="{5 if whiskers else 3.5}"{hollow}/>'
    )
    return f"<g>{''.join(parts)}<title>{esc(title)}</title></g>"


def _band(curve: Curve, along: Callable[[int], float], scale: _Scale) -> str:
    """Return a curve and the band of its intervals, in a drawing that stretches with the page."""

    def place(i: int, value: float) -> str:
        return f"{1000 * along(i):.1f} {scale.up(value):.1f}"

    line = "M" + "L".join(place(i, dot.value) for i, dot in enumerate(curve.dots))
    parts = []
    if all(dot.low is not None and dot.high is not None for dot in curve.dots):
        upper = [place(i, dot.high or 0.0) for i, dot in enumerate(curve.dots)]
        lower = [place(i, dot.low or 0.0) for i, dot in enumerate(curve.dots)]
        shape = "M" + "L".join([*upper, *reversed(lower)]) + "Z"
        style = colour(curve.colour)
        parts.append(f'<path class="{style}" fill-opacity=".1" stroke-opacity="0" d="{shape}"/>')
    parts.append(
        f'<path class="line {colour(curve.colour)}" vector-effect="non-scaling-stroke" d="{line}"/>'
    )
    height = TOP + PLOT + AXIS
    return (
        f'<svg width="100%" height="{height}" viewBox="0 0 1000 {height}" '
        f'preserveAspectRatio="none">{"".join(parts)}</svg>'
    )


def _tick(text: str, share: float) -> str:
    return (
        f'<text class="tick" x="{percent(share)}" y="{TOP + PLOT + 17}" text-anchor="middle">'
        f"{esc(text)}</text>"
    )


def _below(text: str) -> str:
    return (
        f'<text class="tick" x="{percent((LEFT + RIGHT) / 2)}" y="{TOP + PLOT + 35}" '
        f'text-anchor="middle">{esc(text)}</text>'
    )


def _drawing(parts: Sequence[str], says: str) -> str:
    return (
        f'<svg class="chart" role="img" width="100%" height="{TOP + PLOT + AXIS}" '
        f'aria-label="{esc(says)}">{"".join(parts)}</svg>'
    )
