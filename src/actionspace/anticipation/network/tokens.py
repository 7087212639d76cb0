"""What is observed as one sequence of tokens: past events, then rows of features, oldest first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from actionspace.anticipation.history import TIMES
from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.samples import Observed

STD = 0.02
PLACE_STD = 0.5
"""Of positions at first, where rows are projected and so have a size of 1."""


class FeatureTokens(nn.Module):
    """Rows ``[B, T, L, D]`` of one store to tokens ``[B, T, L, W]``.

    Where there is no row, a learned token stands for it. Projected rows are normed, so that they
    and the positions are of one size whatever that of the features (unit vectors of CLIP, or
    values around 10): positions much smaller than the rows are hardly ever learnt.

    Args:
        dim: D.
        slots: T, rows of a window.
        config: width and positions.
    """

    def __init__(self, dim: int, slots: int, config: NetworkConfig) -> None:
        super().__init__()
        self.width = config.width or dim
        self.project = (
            nn.Sequential(nn.Linear(dim, self.width), nn.LayerNorm(self.width))
            if config.width
            else nn.Identity()
        )
        self.missing = nn.Parameter(torch.zeros(self.width))
        learned = config.positions == "learned"
        self.positions = nn.Parameter(torch.zeros(slots, 1, self.width)) if learned else None
        nn.init.trunc_normal_(self.missing, std=STD)
        if self.positions is not None:
            nn.init.trunc_normal_(self.positions, std=PLACE_STD if config.width else STD)

    def forward(self, rows: Tensor, known: Tensor) -> Tensor:
        """Return the tokens; ``known`` is bool ``[B, T]``."""
        x: Tensor = self.project(rows)
        x = torch.where(known[:, :, None, None], x, self.missing.to(x.dtype))
        return x if self.positions is None else x + self.positions


class PastTokens(nn.Module):
    """Past events ``[B, H, K]`` to tokens ``[B, H, W]``: the sum of what is known of each.

    Args:
        classes: of each column.
        width: W.
    """

    def __init__(self, classes: Sequence[int], width: int) -> None:
        super().__init__()
        self.labels = nn.ModuleList(nn.Embedding(count + 1, width) for count in classes)
        self.times = nn.Linear(TIMES, width)
        self.missing = nn.Parameter(torch.zeros(width))
        nn.init.trunc_normal_(self.missing, std=STD)

    def forward(self, labels: Tensor, times: Tensor, known: Tensor) -> Tensor:
        """Return the tokens; a label of -1 is an embedding of its own."""
        x: Tensor = self.times(times)
        for k, table in enumerate(self.labels):
            x = x + table(labels[..., k] + 1)
        return torch.where(known[:, :, None], x, self.missing.to(x.dtype))


class HorizonToken(nn.Module):
    """Seconds until the event ``[B]`` to a token ``[B, 1, W]``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, horizon: Tensor) -> Tensor:
        """Return the token."""
        told = torch.stack([horizon, horizon.log()], dim=-1)
        token: Tensor = self.layers(told)
        return token[:, None]


class Inputs(nn.Module):
    """All that one branch of the network is given, as tokens of one width.

    Args:
        dim: of the features; None = there are none.
        slots: rows of a window.
        classes: of each column, for past events; none = their labels are not given.
        config: of the network.
    """

    def __init__(
        self, dim: int | None, slots: int, classes: Sequence[int], config: NetworkConfig
    ) -> None:
        super().__init__()
        width = config.width or dim
        assert width is not None  # the recipe sees to it
        self.width = width
        self.features = None if dim is None else FeatureTokens(dim, slots, config)
        self.past = PastTokens(classes, width) if classes else None
        self.horizon = HorizonToken(width) if config.horizon else None
        self.dropout = nn.Dropout(config.dropout)

    def rows(self, seen: Observed, store: int) -> Tensor | None:
        """Return tokens of the rows ``[B, T, L, W]``."""
        if self.features is None:
            return None
        rows: Tensor = self.dropout(self.features(seen.rows[store], seen.known[store]))
        return rows

    def before(self, seen: Observed) -> Tensor | None:
        """Return tokens of past events ``[B, H, W]``."""
        if self.past is None:
            return None
        before: Tensor = self.dropout(self.past(seen.labels, seen.times, seen.past))
        return before

    def soon(self, seen: Observed) -> Tensor | None:
        """Return the token of the horizon ``[B, 1, W]``."""
        return None if self.horizon is None else self.horizon(seen.horizon)


def joined(*parts: Tensor | None) -> Tensor:
    """Return those token sequences that there are, one after the other, ``[B, S, W]``."""
    return torch.cat([part for part in parts if part is not None], dim=1)
