"""The attentive probe: learned queries pool an encoder's tokens, one for each linear layer.

Bardes et al. 2024, "Revisiting Feature Prediction for Learning Visual Representations from Video"
(V-JEPA), section 4; the variant of V-JEPA 2, whose recognition has one query and whose
anticipation three (verb, noun, action).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actionspace.encoders.vjepa_layers import MLP, Block, check_heads, damp, initialise
from actionspace.errors import UsageError
from actionspace.heads.attentive_config import AttentiveConfig

SINGLE = "label"
"""What the only linear layer of a probe for one kind of label is called."""


class CrossAttention(nn.Module):
    """Attention of queries ``[B, Q, D]`` on tokens ``[B, N, D]``, without a layer behind it."""

    def __init__(self, dim: int, heads: int, *, qkv_bias: bool) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.q = nn.Linear(dim, dim, bias=qkv_bias)
        self.kv = nn.Linear(dim, 2 * dim, bias=qkv_bias)

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        """Return ``[B, Q, D]``."""
        q = self._split(self.q(queries), 1)[0]
        k, v = self._split(self.kv(x), 2)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    def _split(self, x: Tensor, parts: int) -> Tensor:
        """``[B, N, parts * D]`` to ``[parts, B, heads, N, D / heads]``."""
        return x.reshape(*x.shape[:2], parts, self.heads, -1).permute(2, 0, 3, 1, 4)


class CrossBlock(nn.Module):
    """Cross-attention with norms, residual and MLP; the queries themselves are not normed."""

    def __init__(self, dim: int, config: AttentiveConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, config.layer_norm_eps)
        self.xattn = CrossAttention(dim, config.num_heads, qkv_bias=config.qkv_bias)
        self.norm2 = nn.LayerNorm(dim, config.layer_norm_eps)
        self.mlp = MLP(dim, int(dim * config.mlp_ratio))

    def forward(self, queries: Tensor, x: Tensor) -> Tensor:
        """Return ``[B, Q, D]``."""
        y = queries + self.xattn(queries, self.norm1(x))
        return cast(Tensor, y + self.mlp(self.norm2(y)))


class AttentivePooler(nn.Module):
    """Tokens ``[B, N, D]`` to ``[B, Q, D]``.

    Args:
        dim: D of the tokens.
        config: its options.
        queries: Q, how many vectors it pools the tokens into.

    Raises:
        UsageError: the heads do not divide the width.
    """

    def __init__(self, dim: int, config: AttentiveConfig, queries: int = 1) -> None:
        super().__init__()
        self.query_tokens = nn.Parameter(torch.zeros(1, queries, dim))
        heads, bias = config.num_heads, config.qkv_bias
        self.blocks = nn.ModuleList(
            Block(
                dim,
                heads,
                mlp_ratio=config.mlp_ratio,
                qkv_bias=bias,
                eps=config.layer_norm_eps,
            )
            for _ in range(config.depth - 1)
        )
        self.cross_attention_block = (
            CrossBlock(dim, config)
            if config.complete_block
            else CrossAttention(dim, heads, qkv_bias=bias)
        )
        nn.init.trunc_normal_(self.query_tokens, std=0.02)
        self.apply(initialise)
        self._damp()

    def forward(self, x: Tensor) -> Tensor:
        """Pool tokens ``[B, N, D]`` into ``[B, Q, D]``."""
        for block in self.blocks:
            x = block(x)
        queries = self.query_tokens.expand(len(x), -1, -1)
        return cast(Tensor, self.cross_attention_block(queries, x))

    def _damp(self) -> None:
        """Make the last layers of later blocks smaller, as published."""
        damp(self.blocks)
        if isinstance(self.cross_attention_block, CrossBlock):
            depth = max(len(self.blocks), 1)
            self.cross_attention_block.mlp.fc2.weight.data.div_(math.sqrt(2 * depth))


class AttentiveProbe(nn.Module):
    """An attentive pooler and a linear layer on each of its queries.

    Args:
        dim: D of the tokens.
        classes: outputs of its linear layer, or those of several by name (``verb``, ``noun``,
            ``action``), each with a query of its own.
        config: options of the pooler.

    Raises:
        UsageError: the heads do not divide the width, or there is nothing to predict.
    """

    def __init__(
        self, dim: int, classes: int | Mapping[str, int], config: AttentiveConfig | None = None
    ) -> None:
        super().__init__()
        self.single = isinstance(classes, int)
        sizes = {SINGLE: classes} if isinstance(classes, int) else dict(classes)
        if not sizes or min(sizes.values()) < 1:
            raise UsageError(f"An attentive probe needs at least one class; got {classes}.")
        self.pooler = AttentivePooler(dim, config or AttentiveConfig(), len(sizes))
        self.heads = nn.ModuleDict({name: nn.Linear(dim, n) for name, n in sizes.items()})
        self.heads.apply(initialise)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Return logits ``[B, C]`` of tokens ``[B, N, D]``; by name, if it has named classes."""
        pooled = self.pooler(x)
        logits = {
            name: cast(Tensor, head(pooled[:, i]))
            for i, (name, head) in enumerate(self.heads.items())
        }
        return logits[SINGLE] if self.single else logits
