"""An attentive probe on all tokens of the window: one learned query for each column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.network.said import Said
from actionspace.anticipation.network.tokens import Inputs, joined
from actionspace.anticipation.samples import Observed
from actionspace.heads.attentive import AttentiveProbe
from actionspace.heads.attentive_config import AttentiveConfig


class Attentive(nn.Module):
    """V-JEPA 2's probe of anticipation (Assran et al. 2025) on rows, past events and the horizon.

    With ``width`` empty, ``positions=none`` and ``horizon=false`` it is that probe and nothing
    else, where no row is missing. With a ``width`` it begins with weights that suit it (Glorot &
    Bengio 2010): those of the probe, of deviation 0.02, are for a width near a thousand, and in a
    narrow network almost nothing comes through them at first.

    Args:
        inputs: what is given.
        classes: of each column, by name.
        config: of the network.
    """

    def __init__(
        self, inputs: Inputs, classes: Mapping[str, Sequence[str]], config: NetworkConfig
    ) -> None:
        super().__init__()
        self.inputs = inputs
        how = AttentiveConfig(
            depth=config.depth, num_heads=config.heads, mlp_ratio=config.mlp_ratio
        )
        self.probe = AttentiveProbe(inputs.width, {n: len(c) for n, c in classes.items()}, how)
        if config.width is not None:
            for layer in self.probe.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
        self.summary = inputs.width

    def forward(self, seen: Observed, store: int) -> Said:
        """Return what is said of a batch, from one of its stores."""
        inputs, rows = self.inputs, self.inputs.rows(seen, store)
        tokens = joined(
            inputs.before(seen), None if rows is None else rows.flatten(1, 2), inputs.soon(seen)
        )
        pooled = self.probe.pooler(tokens)
        logits = {n: layer(pooled[:, i]) for i, (n, layer) in enumerate(self.probe.heads.items())}
        return Said(logits, pooled.mean(1))
