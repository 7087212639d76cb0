"""Checkpoints of the published ActionFormer code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from actionspace.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

#: What data parallel training puts before every name.
PREFIX = "module."


def network_state(checkpoint: Mapping[str, Any], *, average: bool = True) -> dict[str, Tensor]:
    """Return the weights in a published checkpoint, under the names of our network.

    These are the published names, without the ``module.`` of data parallel training.

    Args:
        checkpoint: a training's file (``state_dict``, ``state_dict_ema`` ...), or a bare state.
        average: take the moving average, with which the original evaluates.

    Raises:
        WeightsError: it holds no such weights.
    """
    key = "state_dict_ema" if average else "state_dict"
    state = checkpoint
    if "state_dict" in checkpoint or "state_dict_ema" in checkpoint:
        if key not in checkpoint:
            raise WeightsError(
                f"The checkpoint has no '{key}'; it has {', '.join(map(str, checkpoint))}."
            )
        state = checkpoint[key]
    named = {name.removeprefix(PREFIX): value for name, value in state.items()}
    if not any(name.startswith("backbone.embd.") for name in named):
        raise WeightsError(
            "These are not the weights of ActionFormer: no name begins with 'backbone.embd.'. "
            f"They begin with {', '.join(sorted({n.split('.')[0] for n in named})[:5])}."
        )
    return named


def published_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return our network's weights under the names of a published checkpoint."""
    return {PREFIX + name: value for name, value in state.items()}
