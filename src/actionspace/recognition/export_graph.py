"""What an exported file of recognition computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.encoders.encoder import Encoder
from actionspace.heads.linear import LinearHead

OUTPUTS = ("logits", "probabilities")


class FeatureScores(nn.Module):
    """Features float32 [B, D] to logits and probabilities, float32 [B, C] each.

    Those of several heads lie side by side, in their order.
    """

    def __init__(self, heads: Sequence[LinearHead]) -> None:
        super().__init__()
        weight = torch.from_numpy(np.concatenate([head.weight for head in heads]))
        bias = torch.from_numpy(np.concatenate([head.bias for head in heads]))
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = nn.Parameter(bias, requires_grad=False)
        self.sizes = [len(head.classes) for head in heads]
        self.multi_label = [head.multi_label for head in heads]
        self.unit = heads[0].unit

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Score features; a calibrated temperature is part of weight and bias already."""
        if self.unit:
            features = F.normalize(features, dim=-1)
        logits = F.linear(features, self.weight, self.bias)
        if len(self.sizes) == 1:
            return logits, _probabilities(logits, self.multi_label[0])
        parts = torch.split_with_sizes(logits, self.sizes, dim=-1)
        each = map(_probabilities, parts, self.multi_label)
        return logits, torch.cat([*each], dim=-1)


def _probabilities(logits: Tensor, multi_label: bool) -> Tensor:
    return logits.sigmoid() if multi_label else logits.softmax(-1)


class ClipScores(nn.Module):
    """Clips uint8 [B, T, H, W, 3], as they were decoded, to logits and probabilities [B, C]."""

    def __init__(self, encoder: Encoder, heads: Sequence[LinearHead]) -> None:
        super().__init__()
        self.encoder = encoder
        self.scores = FeatureScores(heads)

    def forward(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise, encode and score clips."""
        scores: tuple[Tensor, Tensor] = self.scores(self.encoder(self.encoder.prepare(clips)))
        return scores
