"""The learning rate over time: a function of the step, nothing that could be out of step."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, PositiveFloat, model_validator

from actionspace.config import Config


class ScheduleConfig(Config):
    """A warm-up and a decay, as shares of each parameter group's ``lr``.

    Published schedules in these terms:

    - mmcv (Video Swin): ``per: epoch, warmup: multiply, warmup_start: 0.1``
    - ActionFormer: ``warmup: before, warmup_inclusive: true``
    - PySlowFast (X3D): ``warmup: towards`` with ``warmup_start``
    - V-JEPA 2 probes: ``count_from: 1``
    - CARL: ``per: epoch`` with a ``horizon`` one epoch longer than the training
    """

    name: Literal["cosine", "step", "constant"] = "cosine"
    """The decay: half a cosine (Loshchilov & Hutter, 2017), drops at ``milestones``, or none."""
    per: Literal["step", "epoch"] = "step"
    """Change the rate at every optimiser step, or at the start of every epoch."""
    final: float = Field(default=0.0, ge=0, le=1)
    """Where a cosine ends, as a share of ``lr``."""
    milestones: tuple[PositiveFloat, ...] = ()
    """Epochs at which ``step`` drops the rate."""
    gamma: float = Field(default=0.1, gt=0, le=1)
    """What each of these drops multiplies it by."""
    horizon: float | None = Field(default=None, gt=0)
    """Epochs until a cosine has come to its end, warm-up included; empty = those of the training.
    From there on the rate stays."""
    warmup_epochs: float = Field(default=0.0, ge=0)
    """Epochs in which the rate grows in a straight line; 2.5 is possible."""
    warmup_start: float = Field(default=0.0, ge=0, le=1)
    """Where it starts, as a share of ``lr``."""
    warmup: Literal["before", "towards", "multiply"] = "before"
    """How growth and decay go together. ``before``: it grows to ``lr``, then the decay begins,
    with milestones counted from there. ``towards``: the decay is counted from the first epoch, and
    the rate grows to what the decay gives at the end of the warm-up. ``multiply``: the decay is
    counted from the first epoch, and multiplied by a share that grows to one with every step, also
    where ``per`` is ``epoch``: then a last share below one stays until the next epoch."""
    warmup_inclusive: bool = False
    """The last step (or epoch) of the warm-up already has the full rate, rather than the first
    one after it."""
    count_from: Literal[0, 1] = 0
    """Number of the first step (or epoch). With 1, the last one has the cosine's final value."""

    @model_validator(mode="after")
    def _milestones_with_step(self) -> ScheduleConfig:
        if (self.name == "step") != bool(self.milestones):
            raise ValueError(
                f"name '{self.name}' with milestones {list(self.milestones)}: the epochs at which "
                "the rate drops belong to name 'step', which needs one at least"
            )
        return self


def lr_at(
    config: ScheduleConfig,
    lr: float,
    *,
    epoch: int,
    step: int,
    steps_per_epoch: int,
    epochs: int,
) -> float:
    """Return the learning rate of one optimiser step.

    Args:
        config: the schedule.
        lr: what the shares are of: the (peak) rate of the parameter group.
        epoch: number of the epoch, from 0.
        step: number of the step within the epoch, from 0.
        steps_per_epoch: optimiser steps of one epoch.
        epochs: epochs of the training, warm-up included.
    """
    taken = epoch * steps_per_epoch + step + config.count_from
    # What follows is in ticks: steps, or epochs.
    if config.per == "epoch":
        now, ticks = epoch + config.count_from, 1
    else:
        now, ticks = taken, steps_per_epoch
    end = (config.horizon or epochs) * ticks
    warm = config.warmup_epochs * ticks

    if config.warmup == "multiply":
        warm = config.warmup_epochs * steps_per_epoch
        # With whole epochs, nothing sets the rate between the warm-up's end and the next epoch.
        held = config.per == "epoch" and epoch * steps_per_epoch <= warm
        grown = min(taken, math.floor(warm)) if held else taken
        return lr * _decay(config, now, end, ticks) * _line(config, grown, warm, 1.0)

    origin = warm if config.warmup == "before" else 0.0
    if now < warm:
        peak = _decay(config, warm - origin, end - origin, ticks)
        return lr * _line(config, now, warm, peak)
    return lr * _decay(config, now - origin, end - origin, ticks)


def _line(config: ScheduleConfig, now: float, warm: float, peak: float) -> float:
    """Return the share after ``now`` of ``warm`` ticks of growth to ``peak``."""
    last = warm - 1 if config.warmup_inclusive else warm
    progress = 1.0 if now >= warm else min(now / last, 1.0) if last > 0 else 0.0
    return config.warmup_start + (peak - config.warmup_start) * progress


def _decay(config: ScheduleConfig, now: float, end: float, ticks: int) -> float:
    """Return the share after ``now`` of ``end`` ticks of decay, with ``ticks`` to the epoch."""
    if config.name == "constant":
        return 1.0
    if config.name == "step":
        return config.gamma ** sum(now >= milestone * ticks for milestone in config.milestones)
    progress = min(now / end, 1.0) if end > 0 else 1.0
    return config.final + (1.0 - config.final) * 0.5 * (1.0 + math.cos(math.pi * progress))
