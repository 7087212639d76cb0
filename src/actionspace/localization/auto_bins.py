"""Bins of boundary distributions that reach as far as the training events need."""

from __future__ import annotations

import math

from actionspace.errors import ConfigError
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.network.config import UNBOUNDED, ModelConfig

#: Share of the bins that the longest distance takes; the rest is for its uncertainty.
FILLED = 0.8
#: Bins are no narrower than this, in cells: nothing in the features is known more finely.
NARROWEST = 1.0


def longest_distances(model: ModelConfig, loss: LossConfig, longest: float) -> list[float]:
    """Return the longest distance, in rows, that each level may have to learn.

    A point learns an event if the farther end is within the range of its level. It lies near the
    middle of the event with centre sampling, and anywhere in it without.

    Args:
        model: ranges and strides of the levels.
        loss: which points learn an event.
        longest: rows of the longest training event.
    """
    longest = min(longest, float(model.max_length))
    near = loss.center_sampling == "radius"
    found = []
    for (low, high), stride in zip(model.regression_ranges, model.strides, strict=True):
        most = min(longest, longest / 2 + loss.center_radius * stride) if near else longest
        found.append(min(high, most) if high < UNBOUNDED or most > low else 0.0)
    return found


def check_bins(model: ModelConfig, loss: LossConfig, longest: float) -> None:
    """Refuse bins that end before the distances that training events need.

    Raises:
        ConfigError: naming the level, and how many bins would do.
    """
    distances = longest_distances(model, loss, longest)
    if problem := model.boundaries.too_short(distances, model.strides):
        raise ConfigError(f"The bins of the boundaries are too few: {problem}.")


def choose_widths(model: ModelConfig, loss: LossConfig, longest: float) -> tuple[ModelConfig, str]:
    """Return the model with bins of each level that hold its distances, and what was chosen.

    Args:
        model: its ``boundaries.bins`` stay.
        loss: which points learn an event.
        longest: rows of the longest training event.
    """
    bins = model.boundaries.bins
    widths = []
    for far, stride in zip(longest_distances(model, loss, longest), model.strides, strict=True):
        width = max(far / stride / bins / FILLED, NARROWEST)
        widths.append(math.ceil(100 * width) / 100)
    boundaries = model.boundaries.model_copy(update={"widths": tuple(widths)})
    told = ", ".join(f"{width:g}" for width in widths)
    note = (
        f"Bins of the boundaries' distributions: {bins} of {told} cells, level by level from the "
        f"finest, so that events of up to {longest:.0f} rows fit."
    )
    return model.model_copy(update={"boundaries": boundaries}), note
