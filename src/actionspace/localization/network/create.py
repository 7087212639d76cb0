"""The network that a recipe describes."""

from __future__ import annotations

from collections.abc import Sequence

from actionspace.localization.network.config import ModelConfig
from actionspace.localization.network.model import ActionFormer, PyramidNetwork
from actionspace.localization.network.snapformer import SnapFormer
from actionspace.localization.network.tridet import TriDet

#: Whatever finds events in features: it has ``config``, and says something at each point.
Network = PyramidNetwork


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
    if config.head == "points":
        return SnapFormer(config, dim, classes, empty)
    if config.head == "trident":
        return TriDet(config, dim, classes, empty)
    return ActionFormer(config, dim, classes, empty)
