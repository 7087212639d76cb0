"""Lengths of the network chosen from the training videos and their events.

What a level of the pyramid learns is told by the distance from a point to the farther end of its
event. Points near the middle learn it, which are half of its length from both ends. So the last
range, which has no end, begins below half the length of long events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from actionspace.localization.network.config import UNBOUNDED, ModelConfig
from actionspace.localization.options import AutoConfig

FIRST = 4.0
"""End of the first range in rows, as in ActionFormer; each following one is twice as long."""
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
    bounds = [0.0, *(FIRST * 2**i for i in range(levels - 1)), UNBOUNDED]
    ranges = tuple((bounds[i], bounds[i + 1]) for i in range(levels))
    longest = max(videos)
    wanted = min(longest, max(config.most_rows, math.ceil(1.5 * lengths.max())))
    window = _window(model, levels, wanted)
    changed = model.model_copy(
        update={"branch_blocks": levels - 1, "first_level": 0, "windows": window}
    )
    max_length = -(-wanted // changed.divisor) * changed.divisor
    factor = max(LEEWAY, math.ceil(min(longest, ROOM) / max_length))
    chosen = model.model_dump() | {
        "branch_blocks": levels - 1,
        "first_level": 0,
        "windows": window,
        "regression_ranges": ranges,
        "max_length": max_length,
        "buffer_factor": factor,
    }
    notes = [
        f"A row of features is {seconds:.3g} s. Training events last {_rows(lengths.min())} to "
        f"{_rows(lengths.max())} rows (half of them at most {_rows(np.median(lengths))}), training "
        f"videos {min(videos)} to {longest} rows.",
        f"Regression ranges of {levels} levels: {_told(ranges)}. The last one has no end, so that "
        f"no event is too long; {100 * config.coverage:.0f} % of the events last up to "
        f"{_rows(2 * reach)} rows.",
        f"Training windows of {max_length} rows ({max_length * seconds:.0f} s): "
        + ("whole videos" if max_length >= longest else "parts of the longer videos")
        + f", in steps of {changed.divisor} (cells and attention windows of {window} in all "
        f"levels). Videos up to {int(max_length * factor)} rows are seen at once.",
    ]
    if np.median(lengths) < SHORT:
        notes.append(
            f"Half of the events are shorter than {SHORT:g} rows, so that their ends are hard to "
            f"place. Make rows denser (a smaller rows.hop): one every "
            f"{seconds * float(np.median(lengths)) / SHORT:.2g} s would do."
        )
    return ModelConfig.model_validate(chosen), notes


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


def _rows(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _told(ranges: Sequence[tuple[float, float]]) -> str:
    return ", ".join(
        f"{low:g} and more" if high >= UNBOUNDED else f"{low:g} to {high:g}" for low, high in ranges
    )
