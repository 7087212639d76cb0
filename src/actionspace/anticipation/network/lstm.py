"""Two LSTMs: one rolls over what is seen, the other is unrolled until the event begins.

Furnari & Farinella 2020, "Rolling-Unrolling LSTMs for Action Anticipation from First-Person Video"
(RULSTM). The unrolling LSTM starts from the state of the rolling one and is given the last row
again at each step, as many steps as fit into the horizon. Not here: the pre-training that shows it
the features of the future (sequence completion).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from actionspace.anticipation.network.config import NetworkConfig
from actionspace.anticipation.network.said import Heads, Said
from actionspace.anticipation.network.tokens import Inputs, joined
from actionspace.anticipation.samples import Observed

MOST_STEPS = 64


class Unrolled(nn.Module):
    """Past events and rows in order of time.

    Args:
        inputs: what is given.
        hidden: width of both LSTMs.
        classes: of each column, by name.
        config: of the network.
    """

    def __init__(
        self,
        inputs: Inputs,
        classes: Mapping[str, Sequence[str]],
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.inputs, self._step, hidden = inputs, config.unroll, inputs.width
        self.rolling = nn.LSTM(inputs.width, hidden, batch_first=True)
        self.unrolling = nn.LSTM(inputs.width, hidden, batch_first=True)
        self.classify = Heads(hidden, classes, config.dropout)
        self.summary = 2 * hidden

    def forward(self, seen: Observed, store: int) -> Said:
        """Return what is said of a batch, from one of its stores."""
        inputs = self.inputs
        rows, soon = inputs.rows(seen, store), inputs.soon(seen)
        x = joined(inputs.before(seen), None if rows is None else rows.mean(2))
        x = x if soon is None else x + soon
        _, state = self.rolling(x)
        steps = (seen.horizon / self._step).round().long().clamp(1, MOST_STEPS)
        again = x[:, -1:].expand(-1, int(steps.max()), -1)
        unrolled, _ = self.unrolling(again, state)
        last = unrolled[torch.arange(len(x), device=x.device), steps - 1]
        return Said(self.classify(last), torch.cat([state[0][-1], state[1][-1]], dim=-1))
