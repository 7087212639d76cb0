"""The network that a recipe describes."""

from __future__ import annotations

from collections.abc import Sequence

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.model import ActionFormer

#: Whatever finds events in features: it has ``config``, and says something at each point.
Network = ActionFormer


def create_network(
    config: ModelConfig, dim: int, classes: int, empty: Sequence[int] = ()
) -> Network:
    """Return an untrained network.

    Args:
        config: its make.
        dim: values per row of features.
        classes: how many.
        empty: classes that no training video has.

    Raises:
        UsageError: the make does not fit the features.
    """
    return ActionFormer(config, dim, classes, empty)
