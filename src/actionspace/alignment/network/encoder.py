"""The temporal encoder: pre-norm attention over the frames of a clip, without a norm at the end.

Names of weights are those of published checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from actionspace.alignment.network.config import NetworkConfig


class SelfAttention(nn.Module):
    """Multi-head attention: softmax(Q K^T / sqrt(d / H)) V over the valid frames."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_Q2d = nn.Linear(dim, dim)
        self.linear_K2d = nn.Linear(dim, dim)
        self.linear_V2d = nn.Linear(dim, dim)
        self.linear_d2Q = nn.Linear(dim, dim)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Map ``x [B, T, D]`` to the same shape; ``seen`` is bool ``[B, 1, 1, T]``, None = all."""
        query, key, value = (
            self._split(layer(x)) for layer in (self.linear_Q2d, self.linear_K2d, self.linear_V2d)
        )
        joined = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        out: Tensor = self.linear_d2Q(joined.transpose(1, 2).flatten(2))
        return out

    def weights(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return how much each frame looks at each other one, ``[B, H, T, T]``."""
        query, key = self._split(self.linear_Q2d(x)), self._split(self.linear_K2d(x))
        scores = query @ key.mT / query.shape[-1] ** 0.5
        if seen is not None:
            scores = scores.masked_fill(~seen, float("-inf"))
        weights: Tensor = scores.softmax(-1)
        return weights

    def _split(self, x: Tensor) -> Tensor:
        """``[B, T, D]`` to ``[B, H, T, D / H]``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, inner)
        self.fc2 = nn.Linear(inner, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., D]`` to the same shape."""
        out: Tensor = self.fc2(F.relu(self.fc1(x)))
        return out


class Residual(nn.Module):
    """What adds ``f(norm(x))`` to ``x``."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``x + dropout(branch(norm(x)))``."""
        added: Tensor = self.dropout(branch(self.norm(x)))
        return x + added


class EncoderLayer(nn.Module):
    """Attention and a feed-forward network, each behind a norm and beside a shortcut."""

    def __init__(self, dim: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.res_layer0 = Residual(dim, dropout)
        self.res_layer1 = Residual(dim, dropout)
        self.self_att = SelfAttention(dim, heads)
        self.feed_forward = FeedForward(dim, inner)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Map ``x [B, T, D]`` to the same shape; ``seen`` is bool ``[B, 1, 1, T]``."""
        x = self.res_layer0(x, lambda y: self.self_att(y, seen))
        out: Tensor = self.res_layer1(x, self.feed_forward)
        return out

    def attention(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Return this layer's attention, averaged over heads, ``[B, T, T]``."""
        return self.self_att.weights(self.res_layer0.norm(x), seen).mean(1)


class TemporalEncoder(nn.Module):
    """Layers one behind the other; there may be none."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        c = config
        self.enc_layers = nn.ModuleList(
            EncoderLayer(c.hidden_dim, c.heads, c.feed_forward_dim, c.dropout)
            for _ in range(c.layers)
        )
        if c.compat == "carl":
            for layer in self.enc_layers[1:]:
                layer.load_state_dict(self.enc_layers[0].state_dict())

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        """Map ``x [B, T, D]`` to the same shape; ``seen`` is bool ``[B, 1, 1, T]``."""
        for layer in self.enc_layers:
            x = layer(x, seen)
        return x
