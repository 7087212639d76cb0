"""The losses that a recipe describes."""

from __future__ import annotations

from actionspace.localization.learning.config import LossConfig
from actionspace.localization.learning.losses import LocalizationLoss
from actionspace.localization.network.config import ModelConfig

#: It has ``targets``, ``advance`` and ``forward``, as :class:`.losses.LocalizationLoss`.
Objective = LocalizationLoss


def create_loss(model: ModelConfig, config: LossConfig) -> Objective:
    """Return the losses of a network.

    Args:
        model: the network's make.
        config: its losses.
    """
    return LocalizationLoss(config)
