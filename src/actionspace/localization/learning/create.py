"""The losses that a recipe describes."""

from __future__ import annotations

from actionspace.localization.learning.boundary_losses import BoundaryLoss
from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.heatmap import HeatmapLoss
from actionspace.localization.learning.losses import LocalizationLoss
from actionspace.localization.learning.trident_losses import TridentLoss
from actionspace.localization.network.config import ModelConfig

#: It has ``targets``, ``advance`` and ``forward``, as :class:`.losses.LocalizationLoss`.
Objective = LocalizationLoss | HeatmapLoss


def create_loss(model: ModelConfig, config: LossConfig) -> Objective:
    """Return the losses of a network.

    Args:
        model: the network's make.
        config: its losses.
    """
    if model.head == "points":
        return HeatmapLoss(model)
    if model.head == "boundaries":
        return BoundaryLoss(model, config)
    if model.head == "trident":
        return TridentLoss(config)
    return LocalizationLoss(config)
