"""The ethogram as inline SVG: one lane per class or subject, truth above prediction.

All positions are percentages of the width, so that the page can stretch a timeline to look closer
without a redraw. A lane never holds more than :data:`MAX_SPANS` marks per row: bouts nearer to
each other than the eye can tell are drawn as one and the hover text says how many they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from actionspace.events.blur import Edges, bars
from actionspace.report.figures_svg import clock, colour, esc, percent, span_text, time_ticks

if TYPE_CHECKING:
    import numpy as np

LANE = 34
AXIS = 24
STRIP = 14
MAX_SPANS = 400
MAX_CURVE = 400


@dataclass(frozen=True)
class Span:
    """One bout on a lane; times in seconds, ``end == start`` for a point event.

    ``edges`` are where its boundaries lie with a probability of 80 %, if that is known.
    """

    start: float
    end: float
    label: str
    colour: int
    score: float | None = None
    count: int = 1
    edges: Edges | None = None


@dataclass(frozen=True)
class Lane:
    """One row of the ethogram.

    ``truth`` is None where nothing was annotated (then the lane shows the prediction alone).
    ``curve`` holds times (seconds) and scores in [0, 1], each ``[N]``, drawn faintly behind.
    """

    name: str
    predicted: tuple[Span, ...]
    truth: tuple[Span, ...] | None = None
    colour: int | None = None
    curve: tuple[np.ndarray, np.ndarray] | None = None


def timeline(
    lanes: Sequence[Lane],
    duration: float,
    *,
    differs: Sequence[tuple[float, float]] | None = None,
    summary: str = "",
) -> str:
    """Draw the lanes of one video over a time axis.

    Args:
        lanes: from top to bottom.
        duration: length of the video in seconds.
        differs: where prediction and truth disagree, as ``(start, end)`` in seconds; drawn as a
            strip under the lanes. None draws no strip.
        summary: what a reader who does not see the picture should know.
    """
    duration = max(duration, 1e-6)
    lanes_height = LANE * len(lanes)
    strip = STRIP if differs is not None else 0
    height = lanes_height + strip + AXIS
    parts = [_grid(duration, lanes_height + strip)]
    parts += [_lane(lane, duration, i * LANE) for i, lane in enumerate(lanes)]
    if differs is not None:
        parts.append(_strip(differs, duration, lanes_height))
    return (
        f'<svg class="timeline" role="img" width="100%" height="{height}" '
        f'aria-label="{esc(summary)}">{"".join(parts)}</svg>'
    )


def merge_spans(spans: Sequence[Span], most: int = MAX_SPANS) -> list[Span]:
    """Join neighbouring bouts of one label until at most ``most`` are left.

    The gap that is bridged grows from zero; a joined span carries how many bouts it stands for.
    """
    merged = sorted(spans, key=lambda s: (s.start, s.end))
    if len(merged) <= most:
        return merged
    gaps = sorted(max(b.start - a.end, 0.0) for a, b in pairwise(merged))
    rank = len(merged) - most - 1
    while True:
        joined = _join(merged, gaps[min(rank, len(gaps) - 1)])
        if len(joined) <= most or rank >= len(gaps) - 1:
            return joined if len(joined) <= most else _bins(merged, most)
        rank = min(2 * rank + 1, len(gaps) - 1)


def _join(spans: Sequence[Span], gap: float) -> list[Span]:
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last is not None and last.label == span.label and span.start - last.end <= gap:
            joined[-1] = Span(
                last.start,
                max(last.end, span.end),
                last.label,
                last.colour,
                None,
                last.count + span.count,
            )
        else:
            joined.append(span)
    return joined


def _bins(spans: Sequence[Span], most: int) -> list[Span]:
    """Keep, of a lane whose labels alternate too fast to draw, the longest bout of each bin."""
    first, last = spans[0].start, max(s.end for s in spans)
    width = max(last - first, 1e-9) / most
    kept: dict[int, Span] = {}
    counts: dict[int, int] = {}
    for span in spans:
        k = min(int((span.start - first) / width), most - 1)
        counts[k] = counts.get(k, 0) + span.count
        if k not in kept or span.end - span.start > kept[k].end - kept[k].start:
            kept[k] = span
    return [replace(span, count=counts[k]) for k, span in sorted(kept.items())]


def thin_curve(
    times: np.ndarray, values: np.ndarray, most: int = MAX_CURVE
) -> tuple[np.ndarray, np.ndarray]:
    """Reduce a curve to at most ``most`` points, each the peak of its stretch of time."""
    import numpy as np

    if len(times) <= most:
        return times, values
    edges = np.linspace(0, len(times), most + 1).astype(int)
    peaks = [
        a + int(np.argmax(np.nan_to_num(values[a:b], nan=-1.0)))
        for a, b in pairwise(edges.tolist())
    ]
    return times[peaks], values[peaks]


def _grid(duration: float, bottom: int) -> str:
    tenths = duration < 3
    parts = []
    for tick in time_ticks(duration):
        share = tick / duration
        anchor = "start" if share < 0.02 else "end" if share > 0.97 else "middle"
        x = percent(share)
        parts.append(
            f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{bottom + 4}"/>'
            f'<text class="tick" x="{x}" y="{bottom + 18}" text-anchor="{anchor}">'
            f"{clock(tick, tenths=tenths)}</text>"
        )
    return "".join(parts)


def _lane(lane: Lane, duration: float, top: int) -> str:
    bottom = top + LANE
    parts = [f'<line class="rule" x1="0" x2="100%" y1="{bottom}" y2="{bottom}"/>']
    has_truth = lane.truth is not None
    if lane.curve is not None:
        parts.append(_curve(lane, duration, top + 4, LANE - 5))
    if lane.truth is not None:
        parts += [_span(s, duration, top + 6, 7, "truth") for s in merge_spans(lane.truth)]
    y, height = (top + 16, 13) if has_truth else (top + 9, 17)
    parts += [_span(s, duration, y, height, "pred") for s in merge_spans(lane.predicted)]
    return "".join(parts)


def _span(span: Span, duration: float, y: int, height: int, kind: str) -> str:
    style = f"{kind} {colour(span.colour)}"
    title = f"<title>{esc(_says(span, kind))}</title>"
    x = percent(span.start / duration)
    if span.end <= span.start:
        return f'<line class="{style}" x1="{x}" x2="{x}" y1="{y}" y2="{y + height}">{title}</line>'
    if span.edges is not None:
        pieces = [_bar(*bar, duration, y, height, f"{style} blurred") for bar in bars(span.edges)]
        return f"<g>{title}{''.join(pieces)}</g>"
    return _bar(span.start, span.end, duration, y, height, style, title)


def _bar(
    start: float, end: float, duration: float, y: int, height: int, style: str, inside: str = ""
) -> str:
    x, width = percent(start / duration), percent((min(end, duration) - max(start, 0)) / duration)
    return (
        f'<rect class="{style}" x="{x}" y="{y}" width="{width}" height="{height}">{inside}</rect>'
    )


def _says(span: Span, kind: str) -> str:
    what = "truth" if kind == "truth" else "predicted"
    if span.end <= span.start:
        where = f"at {clock(span.start, tenths=True)}"
    else:
        where = (
            f"{clock(span.start, tenths=True)} – {clock(span.end, tenths=True)} "
            f"({span_text(span.end - span.start)})"
        )
    if span.edges is not None:
        first, second, third, fourth = (clock(t, tenths=True) for t in span.edges)
        where += f", begins {first} – {second} and ends {third} – {fourth} with 80 %"
    score = f", score {span.score:.2f}" if span.score is not None else ""
    many = f", {span.count} bouts" if span.count > 1 else ""
    return f"{span.label} · {what} · {where}{score}{many}"


def _curve(lane: Lane, duration: float, top: int, height: int) -> str:
    """Draw the score as a faint area; a nested drawing lets the path stretch with the page."""
    assert lane.curve is not None
    times, values = thin_curve(*lane.curve)
    style = colour(lane.colour) if lane.colour is not None else "rest"
    pieces: list[list[tuple[float, float]]] = [[]]
    for t, v in zip(times.tolist(), values.tolist(), strict=True):
        if math.isfinite(t) and math.isfinite(v):
            x, y = 1000 * t / duration, 100 * (1 - min(max(v, 0.0), 1.0))
            pieces[-1].append((min(max(x, 0.0), 1000.0), y))
        elif pieces[-1]:
            pieces.append([])
    paths = [
        f"M{p[0][0]:.1f} 100L"
        + "L".join(f"{x:.1f} {y:.0f}" for x, y in p)
        + f"L{p[-1][0]:.1f} 100Z"
        for p in pieces
        if len(p) > 1
    ]
    return (
        f'<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 1000 100" '
        f'preserveAspectRatio="none"><path class="curve {style}" d="{"".join(paths)}"/></svg>'
    )


def _strip(differs: Sequence[tuple[float, float]], duration: float, top: int) -> str:
    spans = [Span(a, b, "prediction and truth differ", 0) for a, b in differs]
    marks = []
    for span in merge_spans(spans):
        says = (
            f"prediction and truth differ {clock(span.start, tenths=True)} – "
            f"{clock(span.end, tenths=True)}"
        )
        marks.append(
            f'<rect class="differs" x="{percent(span.start / duration)}" y="{top + 5}" '
            f'width="{percent((span.end - span.start) / duration)}" height="5">'
            f"<title>{says}</title></rect>"
        )
    return f'<rect class="agrees" y="{top + 5}" width="100%" height="5"/>{"".join(marks)}'
