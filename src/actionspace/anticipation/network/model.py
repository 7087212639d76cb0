"""The network of anticipation: a branch for each store of features, and how they become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from actionspace.anticipation.network.attentive import Attentive
from actionspace.anticipation.network.causal import Causal
from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.network.lstm import Unrolled
from actionspace.anticipation.network.said import Said
from actionspace.anticipation.network.tokens import Inputs
from actionspace.anticipation.samples import Observed


class AnticipationNetwork(nn.Module):
    """What comes next, from one or several stores of features, the labels of the past, or both.

    Args:
        config: its options.
        classes: of each column, by name, in the order of their numbers.
        dims: values per row (or token) of each store; none = labels alone.
        slots: rows of a window of each store.
        past: whether the labels of past events are given.
    """

    def __init__(
        self,
        config: NetworkConfig,
        classes: Mapping[str, Sequence[str]],
        dims: Sequence[int],
        slots: Sequence[int],
        *,
        past: bool = False,
    ) -> None:
        super().__init__()
        self.config = config
        self.sizes = [len(names) for names in classes.values()]
        counts = self.sizes if past else []
        sizes: Sequence[tuple[int | None, int]] = list(zip(dims, slots, strict=True)) or [(None, 0)]
        self.branches = nn.ModuleList(
            _branch(Inputs(dim, count, counts, config), dim, classes, config)
            for dim, count in sizes
        )
        several = len(self.branches) > 1 and config.fusion == "attention"
        self.fusion = ModalityAttention(self.branches, config.dropout) if several else None

    def forward(self, seen: Observed) -> list[Said]:
        """Return what all branches say together, then each of them where there are several."""
        each = [branch(seen, k) for k, branch in enumerate(self.branches)]
        if len(each) == 1:
            return each
        if self.fusion is None:
            shares = torch.full((len(seen.horizon), len(each)), 1 / len(each))
            shares = shares.to(each[0].summary)
        else:
            shares = self.fusion([said.summary for said in each])
        logits = {
            name: torch.stack([said.logits[name] for said in each], 1).mul(shares[..., None]).sum(1)
            for name in each[0].logits
        }
        return [Said(logits, shares), *each]


class ModalityAttention(nn.Module):
    """How much each branch counts, from what all of them have seen (RULSTM's MATT).

    Args:
        branches: with their widths of summary.
        dropout: share of inputs that is set to zero in training.
    """

    def __init__(self, branches: nn.ModuleList, dropout: float) -> None:
        super().__init__()
        width = sum(int(branch.summary) for branch in branches)  # type: ignore[arg-type, misc]
        sizes = (width, max(width // 4, 1), max(width // 8, 1))
        hidden = [
            layer
            for a, b in pairwise(sizes)
            for layer in (nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout))
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], len(branches)))

    def forward(self, summaries: Sequence[Tensor]) -> Tensor:
        """Return shares ``[B, M]`` that sum to one."""
        shares: Tensor = self.layers(torch.cat(list(summaries), dim=-1)).softmax(-1)
        return shares


def _branch(
    inputs: Inputs,
    dim: int | None,
    classes: Mapping[str, Sequence[str]],
    config: NetworkConfig,
) -> nn.Module:
    if config.name == "attentive":
        return Attentive(inputs, classes, config)
    if config.name == "causal":
        return Causal(inputs, dim, classes, config)
    return Unrolled(inputs, classes, config)
