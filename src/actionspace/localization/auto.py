"""Lengths of the network chosen from the training videos and their events.

What a level of the pyramid learns is told by the distance from a point to the farther end of its
event. Points near the middle learn it, which are half of its length from both ends. So the last
range, which has no end, begins below half the length of long events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from actionspace.config import parse
from actionspace.localization.network.config import UNBOUNDED, ModelConfig
from actionspace.localization.options import AutoConfig
from actionspace.localization.ranges import FIRST, compute_adaptive_ranges

LEAST, MOST = 3, 8  # levels
NARROW = (19, 9, 5)  # attention windows, widest first
SHORT = 3.0  # rows below which an event is hard to place
LEEWAY = 4.0  # multiple of a training window that videos may have without being cut
ROOM = 13_824  # rows of the longest video in evaluation, ActionFormer's on THUMOS14


def choose_lengths(
    model: ModelConfig,
    config: AutoConfig,
    videos: Sequence[int],
    events: Sequence[float],
    seconds: float,
) -> tuple[ModelConfig, list[str]]:
    """Return the model with lengths that suit the data, and what was chosen and why.

    Args:
        model: what is not chosen stays.
        config: how much is covered, and the longest window.
        videos: rows of each training video.
        events: lengths of the training events in rows.
        seconds: between two rows.
    """
    lengths = np.asarray(events, dtype=np.float64)
    reach = float(np.quantile(lengths, config.coverage)) / 2
    levels = 1 + max(0, math.ceil(math.log2(max(reach, 1.0) / FIRST)))
    levels = min(max(levels, LEAST), MOST)
    ranges = _ranges(model, config, levels, lengths)
    longest = max(videos)
    wanted = min(longest, max(config.most_rows, math.ceil(1.5 * lengths.max())))
    window = _window(model, levels, wanted)
    sgp = model.sgp.model_copy(update={"windows": max(model.sgp.level_windows(1))})
    changed = model.model_copy(
        update={"branch_blocks": levels - 1, "first_level": 0, "windows": window, "sgp": sgp}
    )
    max_length = -(-wanted // changed.unit) * changed.unit
    factor = max(LEEWAY, math.ceil(min(longest, ROOM) / max_length))
    chosen = model.model_dump() | {
        "branch_blocks": levels - 1,
        "first_level": 0,
        "windows": window,
        "sgp": sgp.model_dump(),
        "regression_ranges": ranges,
        "max_length": max_length,
        "buffer_factor": factor,
    }
    notes = [
        f"A row of features is {seconds:.3g} s. Training events {_lasting(lengths)}, training "
        f"videos last {min(videos)} to {longest} rows.",
        f"{levels} levels of the pyramid."
        if model.head == "points"
        else _about_ranges(ranges, config, lengths),
        f"Training windows of {max_length} rows ({max_length * seconds:.0f} s): "
        + ("whole videos" if max_length >= longest else "parts of the longer videos")
        + f", in steps of {changed.unit} (cells "
        + (f"and attention windows of {window} " if model.has_attention else "")
        + f"in all levels). Videos up to {int(max_length * factor)} rows are seen at once.",
    ]
    if np.median(lengths) < SHORT and model.head != "points":
        notes.append(
            f"Half of the events are shorter than {SHORT:g} rows, so that their ends are hard to "
            f"place. Make rows denser (a smaller rows.hop): one every "
            f"{seconds * float(np.median(lengths)) / SHORT:.2g} s would do."
        )
    return parse(ModelConfig, chosen, "auto.lengths"), notes


def choose_ranges(
    model: ModelConfig, config: AutoConfig, events: Sequence[float]
) -> tuple[ModelConfig, list[str]]:
    """Return the model with regression ranges that suit the data, and what was chosen and why.

    Args:
        model: what is not chosen stays.
        config: how ranges are chosen.
        events: lengths of the training events in rows.

    Raises:
        ConfigError: ranges that the model cannot have, as ``percentile`` may give for events of
            nearly one length.
    """
    lengths = np.asarray(events, dtype=np.float64)
    ranges = _ranges(model, config, len(model.strides), lengths)
    chosen = model.model_dump() | {"regression_ranges": ranges}
    return parse(ModelConfig, chosen, "auto.ranges"), [_about_ranges(ranges, config, lengths)]


def _ranges(
    model: ModelConfig, config: AutoConfig, levels: int, lengths: np.ndarray
) -> tuple[tuple[float, float], ...]:
    if config.ranges is None or model.head == "points":
        bounds = [0.0, *(FIRST * 2**i for i in range(levels - 1)), UNBOUNDED]
        return tuple((bounds[i], bounds[i + 1]) for i in range(levels))
    found = compute_adaptive_ranges(
        lengths[lengths > 0],
        levels,
        method=config.ranges,
        coverage=config.coverage,
        scale_factor=model.scale_factor,
    )
    return tuple(found)


def _about_ranges(
    ranges: Sequence[tuple[float, float]], config: AutoConfig, lengths: np.ndarray
) -> str:
    told = f"Regression ranges of {len(ranges)} levels: {_told(ranges)}."
    if config.ranges == "percentile":
        return (
            f"{told} They go by whole durations, and the last one ends: a longer event than those "
            f"of training ({_rows(lengths.max())} rows) may lie beyond."
        )
    reach = float(np.quantile(lengths, config.coverage))
    return (
        f"{told} The last one has no end, so that no event is too long; "
        f"{100 * config.coverage:.0f} % of the events last up to {_rows(reach)} rows."
    )


def _window(model: ModelConfig, levels: int, rows: int) -> int:
    """Return the widest attention window that does not make most of a video padding."""
    widest = max(model.level_windows)
    if widest <= 1:
        return widest
    fitting = [w for w in dict.fromkeys((widest, *NARROW)) if w <= widest]
    for window in fitting:
        if (window // 2 * 2) * 2 ** (levels - 1) <= max(rows, 1):
            return window
    return fitting[-1]


def _lasting(lengths: np.ndarray) -> str:
    if not lengths.any():
        return "are moments"
    half = _rows(float(np.median(lengths)))
    return (
        f"last {_rows(lengths.min())} to {_rows(lengths.max())} rows (half of them at most {half})"
    )


def _rows(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _told(ranges: Sequence[tuple[float, float]]) -> str:
    return ", ".join(
        f"{low:g} and more" if high >= UNBOUNDED else f"{low:g} to {high:g}" for low, high in ranges
    )
