"""A transformer that looks back only and foresees, at each row, the next one.

Girdhar & Grauman 2021, "Anticipative Video Transformer" (AVT), its head: features are projected,
run through a causal decoder and brought back to their own space, as the features of the next
moment; what these are of is told by one linear layer, at the last row what comes next, at earlier
ones what went on a row later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.network.said import Heads, Said
from actionspace.anticipation.network.tokens import Inputs, joined
from actionspace.anticipation.samples import Observed


class Causal(nn.Module):
    """Past events and rows in order of time, each attending to what was before it.

    Args:
        inputs: what is given.
        dim: of the features that are foreseen; None = there are none.
        classes: of each column, by name.
        config: of the network.
    """

    def __init__(
        self,
        inputs: Inputs,
        dim: int | None,
        classes: Mapping[str, Sequence[str]],
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.inputs, width = inputs, inputs.width
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width,
                config.heads,
                int(width * config.mlp_ratio),
                dropout=config.dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(width)
        self.foresee = nn.Linear(width, dim or width)
        self.classify = Heads(dim or width, classes, config.dropout)
        self.summary = width

    def forward(self, seen: Observed, store: int) -> Said:
        """Return what is said of a batch, from one of its stores."""
        inputs = self.inputs
        rows, soon = inputs.rows(seen, store), inputs.soon(seen)
        rows = None if rows is None else rows.mean(2)  # a row is one moment, whatever its tokens
        x = joined(inputs.before(seen), rows)
        x = x if soon is None else x + soon
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
        for layer in self.layers:
            x = layer(x, src_mask=mask, is_causal=True)
        x = self.norm(x)
        foreseen: Tensor = self.foresee(x)
        logits = self.classify(foreseen[:, -1])
        if rows is None:
            return Said(logits, x[:, -1])
        own = foreseen[:, -rows.shape[1] :]
        return Said(logits, x[:, -1], own, self.classify(own) if self.training else None)


def feature_loss(foreseen: Tensor, rows: Tensor, known: Tensor) -> Tensor:
    """Return the squared error of the next row ``[B]``, mean over rows and values.

    Args:
        foreseen: ``[B, T, D]``.
        rows: ``[B, T, L, D]``; tokens of a row are averaged.
        known: ``[B, T]``; a row counts where it and the one before are there.
    """
    true = rows.mean(2)[:, 1:]
    counted = (known[:, 1:] & known[:, :-1]).to(true.dtype)
    error = (foreseen[:, :-1] - true).square().mean(-1) * counted
    return error.sum(1) / counted.sum(1).clamp(min=1)


def past_loss(during: Mapping[str, Tensor], labels: Tensor, known: Tensor) -> Tensor:
    """Return the cross-entropy of what goes on at the next row ``[B]``, mean over labelled rows.

    Args:
        during: logits ``[B, T, C]`` of each column.
        labels: int64 ``[B, T, K]``; -1 = nothing, which is not learnt.
        known: bool ``[B, T]``.
    """
    total = torch.zeros(len(labels), device=labels.device)
    for k, logits in enumerate(during.values()):
        truth = torch.where(known, labels[..., k], -1)
        each = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), truth.flatten(), ignore_index=-1, reduction="none"
        ).view_as(truth)
        total = total + each.sum(1) / (truth >= 0).sum(1).clamp(min=1)
    return total
