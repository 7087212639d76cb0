"""What a network says of a batch of questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from torch import Tensor, nn


class Said(NamedTuple):
    """What one branch, or all of them together, says.

    Attributes:
        logits: of each column, ``[B, C]``.
        summary: what the branch has seen, ``[B, S]``, for the fusion of several.
        foreseen: features foreseen at each row for the next ``[B, T, D]``; ``causal`` alone.
        during: logits of what goes on at that next row, ``[B, T, C]`` of each column.
    """

    logits: dict[str, Tensor]
    summary: Tensor
    foreseen: Tensor | None = None
    during: Mapping[str, Tensor] | None = None


class Heads(nn.ModuleDict):
    """A linear layer for each column on a common vector.

    Args:
        width: of the vector.
        classes: of each column, by name.
        dropout: share of the vector that is set to zero in training.
    """

    def __init__(self, width: int, classes: Mapping[str, Sequence[str]], dropout: float) -> None:
        super().__init__({name: nn.Linear(width, len(c)) for name, c in classes.items()})
        self._dropout = dropout

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return logits ``[..., C]`` of vectors ``[..., W]``."""
        x = nn.functional.dropout(x, self._dropout, self.training)
        return {name: cast(Tensor, layer(x)) for name, layer in self.items()}
