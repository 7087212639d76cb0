"""Charts of the report as inline SVG: pure functions from numbers to markup.

Every horizontal position is a percentage of the width, so that a chart follows its column while
its text keeps its size. Colours come only from style classes (``k0`` ... ``k11`` are the classes'
colours), so one drawing serves light, dark and print. Labels are escaped here; what these
functions return may be put into a page as it is.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

N_COLOURS = 12


def esc(text: object) -> str:
    """Return ``text`` safe inside markup and attributes; control characters become ``�``."""
    clean = "".join(c if c.isprintable() or c == " " else "\ufffd" for c in str(text))
    return html.escape(clean, quote=True)


def shorten(text: str, length: int) -> str:
    """Cut ``text`` to ``length`` characters, an ellipsis in the middle of what is left out."""
    if len(text) <= length:
        return text
    head = (length - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def colour(index: int) -> str:
    """Return the style class of the ``index``-th label's colour."""
    return f"k{index % N_COLOURS}"


def percent(value: float) -> str:
    """Return a share in [0, 1] as an SVG percentage, clipped to the drawing."""
    return f"{100 * min(max(value, 0.0), 1.0):.3f}".rstrip("0").rstrip(".") + "%"


def interval_bar(
    value: float,
    low: float | None = None,
    high: float | None = None,
    chance: float | None = None,
    *,
    start: float = 0.0,
    stop: float = 1.0,
) -> str:
    """Draw one measure on its scale: the interval as a band, the value as a dot, chance as a tick.

    Args:
        value: the measure, on the scale from ``start`` to ``stop``.
        low: lower end of the confidence interval; None draws no band.
        high: its upper end.
        chance: level a random guess reaches; None draws no tick.
        start: value at the left end of the scale.
        stop: value at its right end.
    """

    def at(x: float) -> str:
        return percent((x - start) / (stop - start))

    parts = ['<rect class="track" x="0" y="11" width="100%" height="4" rx="2"/>']
    if low is not None and high is not None:
        width = percent((high - low) / (stop - start))
        parts.append(f'<rect class="band" x="{at(low)}" y="7" width="{width}" height="12" rx="6"/>')
    if chance is not None:
        parts.append(f'<line class="chance" x1="{at(chance)}" x2="{at(chance)}" y1="2" y2="24"/>')
    parts.append(f'<circle class="dot" cx="{at(value)}" cy="13" r="6"/>')
    return (
        '<svg class="interval" width="100%" height="26" aria-hidden="true">'
        + "".join(parts)
        + "</svg>"
    )


def bar(share: float, style: str = "bar-fill") -> str:
    """Draw a share in [0, 1] as a small bar beside a number in a table cell."""
    return (
        '<svg class="bar" width="100%" height="6" aria-hidden="true">'
        '<rect class="track" width="100%" height="6" rx="3"/>'
        f'<rect class="{style}" width="{percent(share)}" height="6" rx="3"/></svg>'
    )


@dataclass(frozen=True)
class Part:
    """One piece of a stacked bar: its label, its share of the whole, its colour and hover text."""

    label: str
    share: float
    colour: int | None
    title: str


def stacked_bar(parts: Sequence[Part], label: str) -> str:
    """Draw shares of one whole side by side; a part without a colour is left as the track."""
    pieces, x = [], 0.0
    for part in parts:
        style = "rest" if part.colour is None else colour(part.colour)
        pieces.append(
            f'<rect class="{style}" x="{percent(x)}" width="{percent(part.share)}" height="18">'
            f"<title>{esc(part.title)}</title></rect>"
        )
        x += part.share
    return (
        f'<svg class="stack" width="100%" height="18" role="img" aria-label="{esc(label)}">'
        f'<rect class="track" width="100%" height="18"/>{"".join(pieces)}</svg>'
    )


def confusion_matrix(counts: np.ndarray, classes: Sequence[str], *, summary: str = "") -> str:
    """Draw a confusion matrix: a row per true class, a column per predicted class.

    A cell's strength is its share of the row, so that rare classes read like common ones; its
    number is the count. Hits and confusions have different colours. Numbers are left out when
    the cells get too small for them (more than 24 classes); hovering a cell always names it.

    Args:
        counts: int array ``[C, C]``, rows are truth.
        classes: the ``C`` names.
        summary: what a reader who does not see the picture should know.
    """
    n = len(classes)
    cell, font, style = _size(n)
    name_length = 24
    longest = max((len(shorten(c, name_length)) for c in classes), default=0)
    along = 0.58 * font * longest
    left = 36 + along
    slope = 0.71 * along + 18
    top = 26 + slope
    width, height = left + n * cell + max(slope - cell / 2, 8), top + n * cell + 8
    parts = [
        f'<text class="axis" x="{left + n * cell / 2:.0f}" y="14" text-anchor="middle">'
        "predicted</text>",
        f'<text class="axis" text-anchor="middle" transform="translate(12 {top + n * cell / 2:.0f})'
        ' rotate(-90)">truth</text>',
    ]
    for i, name in enumerate(classes):
        mid = (i + 0.5) * cell
        text = f"{esc(shorten(name, name_length))}<title>{esc(name)}</title>"
        parts.append(
            f'<text class="name" text-anchor="end" x="{left - 8:.0f}" '
            f'y="{top + mid + 4:.1f}">{text}</text>'
            f'<text class="name" transform="translate({left + mid + 3:.1f} {top - 8:.0f}) '
            f'rotate(-45)">{text}</text>'
        )
    for i, row in enumerate(counts):
        total = int(row.sum())
        for j, count in enumerate(int(c) for c in row):
            parts.append(
                _cell(
                    left + j * cell,
                    top + i * cell,
                    cell,
                    font if style != "tiny" else None,
                    count,
                    total,
                    (classes[i], classes[j]),
                )
            )
    return (
        f'<svg class="confusion {style}" role="img" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" aria-label="{esc(summary)}">'
        + "".join(parts)
        + "</svg>"
    )


def _size(classes: int) -> tuple[int, float, str]:
    """Return the size of a cell in pixels, the size of its text and the style of the drawing."""
    if classes <= 12:
        return 54 if classes <= 7 else 44, 13, "large"
    return (32, 11.5, "small") if classes <= 24 else (17, 11, "tiny")


def _cell(
    x: float,
    y: float,
    size: int,
    font: float | None,
    count: int,
    total: int,
    names: tuple[str, str],
) -> str:
    truth, predicted = names
    share = count / total if total else 0.0
    kind = "hit" if truth == predicted else "miss"
    says = (
        f"{count} of {total} {truth} clips named {predicted} ({share:.0%})"
        if total
        else f"no {truth} clips"
    )
    gap = 1 if size > 16 else 0.5
    box = (
        f'x="{x + gap:.1f}" y="{y + gap:.1f}" width="{size - 2 * gap}" height="{size - 2 * gap}" '
        f'rx="{3 if size > 16 else 1}"'
    )
    parts = [f'<rect class="empty" {box}/>']
    if count:
        parts.append(f'<rect class="{kind}" {box} fill-opacity="{0.1 + 0.65 * share:.2f}"/>')
    if font and (count or truth == predicted):
        parts.append(
            f'<text class="count" text-anchor="middle" x="{x + size / 2:.1f}" '
            f'y="{y + size / 2 + font * 0.36:.1f}" font-size="{font}">{count}</text>'
        )
    return f"<g>{''.join(parts)}<title>{esc(says)}</title></g>"


TICK_STEPS = (
    *(0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
)


def time_ticks(duration: float, most: int = 9) -> list[float]:
    """Return times in seconds for a time axis: multiples of a step that a clock would use."""
    if duration <= 0:
        return [0.0]
    step = next((s for s in TICK_STEPS if duration / s <= most), 86400 * math.ceil(duration / 6e5))
    return [round(i * step, 3) for i in range(int(duration / step + 1e-9) + 1)]


def clock(seconds: float, *, tenths: bool = False) -> str:
    """Return a time as ``m:ss`` or ``h:mm:ss``, with a tenth of a second where asked."""
    ticks = round(seconds * 10) if tenths else round(seconds) * 10
    whole, tenth = divmod(ticks, 10)
    minutes, s = divmod(whole, 60)
    hours, m = divmod(minutes, 60)
    text = f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"
    return f"{text}.{tenth}" if tenths else text


def span_text(seconds: float) -> str:
    """Return a length of time in words: ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
