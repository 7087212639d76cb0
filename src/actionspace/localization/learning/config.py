"""What the network is trained for: every field with its default and meaning; no torch in here."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from actionspace.config import Config


class LossConfig(Config):
    """What the network is trained for: focal loss of the classes, DIoU loss of the ends."""

    center_sampling: Literal["radius", "none"] = "radius"
    """Which points of a segment learn it: those near its centre, or all."""
    center_radius: float = Field(default=1.5, gt=0)
    """How near, in cells of the level."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each class target that is spread over all classes and the background."""
    regression_weight: float | None = Field(default=1.0, gt=0)
    """Weight of the regression loss; empty = as large as the classification loss."""
    initial_norm: float = Field(default=100.0, gt=0)
    """What losses are divided by at first: points per step that lie in segments. Its running mean
    follows."""
