"""The ethogram: who did what from when to when, one lane per class or subject."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from actionspace.errors import UsageError
from actionspace.events.blur import OPACITY, bars, edges_of
from actionspace.events.budget import spread
from actionspace.events.labels import label_order
from actionspace.events.table import Events
from actionspace.paths import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008), "Color Universal Design": told apart with every common colour blindness.
# Black is left out (it is the text), and tints follow for more than seven classes.
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A900",
    "#7A5195", "#8C564B", "#5E7D8C", "#9BC53D", "#F28482",
)  # fmt: skip
"""Colours of classes, in the order of the class names."""


@dataclass(frozen=True)
class Theme:
    """Colours of everything that is not a class."""

    paper: str
    ink: str
    quiet: str
    line: str
    lane: str


LIGHT = Theme("#ffffff", "#1c2024", "#60666d", "#d9dde2", "#f3f5f7")
DARK = Theme("#14171a", "#e8eaed", "#9aa1a9", "#33393f", "#1d2125")

_MARGIN_RIGHT, _LANE, _GAP, _LETTER = 0.35, 0.30, 0.62, 0.078  # inches
_LEGEND_COLUMNS = 6


def colours(classes: Sequence[str]) -> dict[str, str]:
    """Return the colour of each class; the same names always get the same colours.

    Past the end of the palette come its tints, each round paler.
    """
    return {
        name: _tint(PALETTE[i % len(PALETTE)], 0.45 * min(2, i // len(PALETTE)))
        for i, name in enumerate(classes)
    }


def _tint(colour: str, white: float) -> str:
    parts = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return "#" + "".join(f"{round(p + (255 - p) * white):02x}" for p in parts)


def ethogram(
    events: Events,
    *,
    truth: Events | None = None,
    path: str | Path | None = None,
    lanes: str = "class",
    head: str = "label",
    videos: Sequence[str] | None = None,
    title: str | None = None,
    palette: Mapping[str, str] | None = None,
    dark: bool = False,
    width: float = 9.0,
) -> Figure:
    """Draw a timeline per video and save it if ``path`` is given (``.png``, ``.svg``, ``.pdf``).

    Bars have blurred edges where events tell how uncertain their boundaries are.

    Args:
        events: what to draw; events to ignore are left out.
        truth: drawn as a second, hatched row under each lane and named so, for comparison.
        path: file to write.
        lanes: ``"class"`` = a lane per class, ``"subject"`` = a lane per subject with a legend.
        head: the head whose labels are drawn.
        videos: which videos and in which order; None = all that have events (or truth).
        title: above everything.
        palette: colours by class; None = a palette that the colour-blind can tell apart.
        dark: light on dark.
        width: in inches; the height follows from the number of lanes.

    Raises:
        UsageError: ``lanes`` is neither, or there is nothing to draw.
    """
    if lanes not in ("class", "subject"):
        raise UsageError(f"lanes='{lanes}': use 'class' or 'subject'.")
    theme = DARK if dark else LIGHT
    tables = [_tables(e, head) for e in (events, truth) if e is not None]
    names = list(videos) if videos is not None else _with_events(tables)
    if not names:
        raise UsageError("There are no events to draw.")
    classes = label_order(n for t in tables for frame in t.values() for n in frame["label"])
    palette = palette or colours(classes)
    lane_names = {v: _lanes(v, tables, lanes, classes) for v in names}
    keys = len(classes) * (lanes == "subject") + 2 * (len(tables) > 1)
    figure, axes = _layout(list(lane_names.values()), len(tables), keys, width, theme, title)
    for axis, video in zip(axes, names, strict=True):
        shown = [t.get(video, _NOTHING) for t in tables]
        end = _end(events, truth, video, shown)
        _draw(axis, shown, lane_names[video], lanes, palette, theme, end)
        axis.set_title(video, loc="left", fontsize=9, color=theme.ink, pad=5)
    axes[-1].set_xlabel("time (min:s)", fontsize=8.5, color=theme.quiet)
    _legend(figure, classes if lanes == "subject" else [], len(tables) > 1, palette, theme)
    if path is not None:
        with atomic_path(path) as tmp:
            _save(figure, tmp)
    return figure


_NOTHING = pd.DataFrame({"start": [], "end": [], "label": [], "subject": []})


def _save(figure: Figure, path: Path) -> None:
    """Write the figure; the same events give the same file (no date, no random names)."""
    from matplotlib import rc_context

    undated = {"Date": None} if path.suffix.lower() == ".svg" else {}
    with rc_context({"svg.hashsalt": "actionspace"}):
        figure.savefig(path, dpi=160, facecolor=figure.get_facecolor(), metadata=undated)


def _tables(events: Events, head: str) -> dict[str, pd.DataFrame]:
    """Return the table of each video that has events, in the order of the videos."""
    found = dict(iter(spread(events, head).groupby("video", sort=False)))
    return {video: found[video] for video in events.videos["video"] if video in found}


def _with_events(tables: Sequence[Mapping[str, pd.DataFrame]]) -> list[str]:
    return list(dict.fromkeys(video for table in tables for video in table))


def _lanes(
    video: str, tables: Sequence[Mapping[str, pd.DataFrame]], lanes: str, classes: Sequence[str]
) -> list[str]:
    shown = [t[video] for t in tables if video in t]
    if lanes == "subject":
        return sorted({s if isinstance(s, str) else "" for f in shown for s in f["subject"]}) or [
            ""
        ]
    present = {name for frame in shown for name in frame["label"]}
    return [name for name in classes if name in present] or [""]


def _end(events: Events, truth: Events | None, video: str, shown: Sequence[pd.DataFrame]) -> float:
    durations = [
        float(e.videos["duration"][e.videos["video"].eq(video)].max())
        for e in (events, truth)
        if e is not None
    ]
    latest = [float(frame["end"].max()) for frame in shown]
    known = [t for t in (*durations, *latest) if not math.isnan(t)]
    return max(known, default=1.0) or 1.0


def _layout(
    lanes: Sequence[Sequence[str]], rows: int, keys: int, width: float, theme: Theme,
    title: str | None,
) -> tuple[Figure, list[Axes]]:  # fmt: skip
    """Return a figure with one axis per video, as high as its lanes, and room for ``keys``."""
    from matplotlib.figure import Figure

    lane = _LANE * (1.0 if rows == 1 else 1.45)
    top = 0.72 if title else 0.42
    bottom = 0.55 + 0.24 * math.ceil(keys / _LEGEND_COLUMNS)
    left = max(0.5, 0.25 + _LETTER * max(len(_short(n)) for names in lanes for n in names))
    heights = [len(names) * lane for names in lanes]
    height = top + bottom + sum(heights) + _GAP * (len(lanes) - 1)
    figure = Figure(figsize=(width, height), facecolor=theme.paper)
    axes = []
    y = height - top
    for size in heights:
        y -= size
        box = (
            left / width, y / height, (width - left - _MARGIN_RIGHT) / width,
            size / height,
        )  # fmt: skip
        axes.append(figure.add_axes(box))
        y -= _GAP
    if title:
        figure.text(
            0.16 / width, 1 - 0.26 / height, title, fontsize=12, fontweight="bold",
            color=theme.ink, va="center",
        )  # fmt: skip
    return figure, axes


def _draw(
    axis: Axes,
    shown: Sequence[pd.DataFrame],
    lanes: Sequence[str],
    kind: str,
    palette: Mapping[str, str],
    theme: Theme,
    end: float,
) -> None:
    """Draw one video: lanes from the top, in each the events and under them the truth."""
    share = 0.78 / len(shown)
    for k, lane in enumerate(lanes):
        axis.axhspan(k + 0.06, k + 0.94, color=theme.lane, linewidth=0, zorder=0)
        for row, frame in enumerate(shown):
            column = frame["label"] if kind == "class" else frame["subject"].fillna("")
            part = frame[column == lane]
            low = k + 0.11 + row * share
            for label, group in part.groupby("label", sort=False):
                _bars(axis, group, low, share * 0.94, palette[str(label)], row == 1, theme)
    axis.set(xlim=(0, end), ylim=(len(lanes), 0), facecolor=theme.paper)
    axis.set_yticks([k + 0.5 for k in range(len(lanes))], [_short(n) for n in lanes])
    axis.tick_params(axis="y", length=0, labelsize=8.5, labelcolor=theme.ink, pad=6)
    axis.tick_params(axis="x", length=3, color=theme.line, labelsize=8, labelcolor=theme.quiet)
    axis.xaxis.set_major_locator(_time_ticks(end))
    axis.xaxis.set_major_formatter(lambda t, _: _clock(t, end))
    axis.grid(axis="x", color=theme.line, linewidth=0.6, zorder=0.5)
    axis.set_axisbelow(True)
    for side, spine in axis.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)


def _bars(
    axis: Axes, group: pd.DataFrame, low: float, tall: float, colour: str, truth: bool, theme: Theme
) -> None:
    """Draw bouts as bars and point events as ticks; the truth is pale and hatched.

    Where it is known how uncertain boundaries are, edges are blurred as far.
    """
    lasting = group[group["end"] > group["start"]]
    edges = [edges_of(row) for row in lasting.to_dict("records")]
    blurred = [(a, b - a) for known in edges if known for a, b in bars(known)]
    if blurred:
        axis.broken_barh(blurred, (low, tall), zorder=2, facecolor=colour, alpha=OPACITY, lw=0)
    lasting = lasting.loc[[known is None for known in edges]]
    spans = list(zip(lasting["start"], lasting["end"] - lasting["start"], strict=True))
    look: dict[str, Any] = {"facecolor": colour, "linewidth": 0}
    if truth:
        look = {
            "facecolor": (colour, 0.30), "edgecolor": colour, "hatch": "////", "linewidth": 0.5,
        }  # fmt: skip
    axis.broken_barh(spans, (low, tall), zorder=2, **look)
    points = group["start"][group["end"] == group["start"]]
    axis.vlines(points, low, low + tall, color=colour, linewidth=1.4, zorder=3)
    axis.plot(points, [low + tall / 2] * len(points), "o", color=colour, markersize=2.6, zorder=3)


def _legend(
    figure: Figure, classes: Sequence[str], compared: bool, palette: Mapping[str, str], theme: Theme
) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=palette[name], label=_short(name)) for name in classes]
    if compared:
        handles += [
            Patch(facecolor=theme.quiet, label="predicted"),
            Patch(facecolor=(theme.quiet, 0.3), edgecolor=theme.quiet, hatch="////", label="truth"),
        ]
    if handles:
        figure.legend(
            handles=handles, loc="lower right", ncols=min(len(handles), _LEGEND_COLUMNS),
            frameon=False, fontsize=8, labelcolor=theme.ink, handlelength=1.2, handleheight=0.8,
            columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip


def _time_ticks(end: float) -> Any:
    from matplotlib.ticker import MultipleLocator

    steps = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
    return MultipleLocator(next((s for s in steps if end / s <= 9), 4 * 14400))


def _clock(seconds: float, end: float) -> str:
    minutes, rest = divmod(round(seconds, 3), 60)
    if end < 5:
        return f"{int(minutes)}:{rest:04.1f}"
    if end < 3 * 3600:
        return f"{int(minutes)}:{rest:02.0f}"
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{rest:02.0f}"


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
