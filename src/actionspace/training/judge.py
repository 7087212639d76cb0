"""Where a training stands, and whether an evaluation is the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from actionspace.errors import RunError, did_you_mean
from actionspace.training.options import CheckpointConfig


@dataclass
class Progress:
    """Where a training stands; saved with the state.

    Attributes:
        epoch: the epoch that is running, from 0.
        step: the step of it that comes next.
        total: optimiser steps done so far.
        best: best value of the metric that decides, None before the first evaluation.
        best_epoch: the epoch it was reached after.
        stale: evaluations since then.
        done: whether the training has ended.
        stopped_early: why it ended before the last epoch, "" if it did not.
        sessions: how often it was started or resumed.
        metrics: the last evaluation.
    """

    epoch: int = 0
    step: int = 0
    total: int = 0
    best: float | None = None
    best_epoch: int | None = None
    stale: int = 0
    done: bool = False
    stopped_early: str = ""
    sessions: int = 0
    metrics: dict[str, float] = field(default_factory=dict)


def judge(
    at: Progress, metrics: Mapping[str, float], config: CheckpointConfig, early_stop: int | None
) -> bool:
    """Take an evaluation into account; return whether it is the best so far.

    ``at`` is changed: best, stale, and after ``early_stop`` evaluations that were not better, done.

    Raises:
        RunError: the evaluation lacks the metric that decides.
    """
    at.metrics = {name: float(value) for name, value in metrics.items()}
    name = config.metric or next(iter(at.metrics))
    if name not in at.metrics:
        hint = did_you_mean(name, at.metrics) or f" There are: {', '.join(at.metrics)}."
        raise RunError(f"training.checkpoint.metric is '{name}', which is not evaluated.{hint}")
    value = at.metrics[name]
    gain = 0.0 if at.best is None else value - at.best
    better = at.best is None or (gain > 0 if config.mode == "max" else gain < 0)
    if better and math.isfinite(value):
        at.best, at.best_epoch, at.stale = value, at.epoch, 0
        return True
    at.stale += 1
    if early_stop is not None and at.stale >= early_stop:
        at.done = True
        best = "none was a number" if at.best is None else f"{at.best:.4g} after {at.best_epoch}"
        at.stopped_early = (
            f"Stopped after epoch {at.epoch}: {name} has not become better in {at.stale} "
            f"evaluations (best: {best})."
        )
    return False
