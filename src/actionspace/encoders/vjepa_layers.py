"""The transformer block of V-JEPA 2 and 2.1: encoder, predictor and attentive probe."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.vjepa_rope import Table, rotate
from actionspace.errors import UsageError


class MLP(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., D]`` to ``[..., D]``."""
        return cast(Tensor, self.fc2(F.gelu(self.fc1(x))))


class SwiGLU(nn.Module):
    """Gated MLP, ``fc3(silu(fc1 x) * fc2 x)``; Shazeer 2020, "GLU Variants Improve Transformer".

    Args:
        dim: channels.
        hidden: hidden channels of the plain MLP in its place.
        wide: take two thirds of them, rounded up to a multiple of 8, for as many parameters.
    """

    def __init__(self, dim: int, hidden: int, *, wide: bool) -> None:
        super().__init__()
        if wide:
            hidden = -(-int(2 * hidden / 3) // 8) * 8
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(dim, hidden)
        self.fc3 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., D]`` to ``[..., D]``."""
        return cast(Tensor, self.fc3(F.silu(self.fc1(x)) * self.fc2(x)))


class Attention(nn.Module):
    """Self-attention with queries, keys and values in one linear layer."""

    def __init__(self, dim: int, heads: int, *, qkv_bias: bool = True) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, table: Table | None = None) -> Tensor:
        """Map tokens ``[B, N, D]`` to ``[B, N, D]``; ``table`` rotates queries and keys."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if table is not None:
            q, k = rotate(q, table), rotate(k, table)
        y = F.scaled_dot_product_attention(q, k, v)
        return cast(Tensor, self.proj(y.transpose(1, 2).flatten(2)))


class Block(nn.Module):
    """A pre-norm transformer block.

    Args:
        dim: channels.
        heads: attention heads.
        mlp_ratio: hidden over input width of the MLP.
        qkv_bias: whether queries, keys and values have a bias.
        use_silu: a gated MLP; see :class:`SwiGLU`.
        wide_silu: its width.
        drop_path: stochastic depth.
        eps: of the LayerNorms.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        *,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        use_silu: bool = False,
        wide_silu: bool = True,
        drop_path: float = 0.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim, eps)
        self.attn = Attention(dim, heads, qkv_bias=qkv_bias)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps)
        self.mlp = SwiGLU(dim, hidden, wide=wide_silu) if use_silu else MLP(dim, hidden)

    def forward(self, x: Tensor, table: Table | None = None) -> Tensor:
        """Map tokens ``[B, N, D]`` to ``[B, N, D]``."""
        x = x + self.drop_path(self.attn(self.norm1(x), table))
        return cast(Tensor, x + self.drop_path(self.mlp(self.norm2(x))))


def check_heads(dim: int, heads: int) -> None:
    """Refuse a number of heads that does not divide the width.

    Raises:
        UsageError: it does not.
    """
    if heads < 1 or dim % heads:
        raise UsageError(f"{heads} attention heads do not divide a width of {dim} channels.")


def initialise(module: nn.Module) -> None:
    """Draw the weights of linear layers and convolutions from a normal of 0.02, biases 0."""
    if isinstance(module, (nn.Linear, nn.Conv2d, nn.Conv3d)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def damp(blocks: Iterable[nn.Module]) -> None:
    """Divide the last layers of block n (from 1) by the square root of 2 n, as at their birth."""
    for n, block in enumerate(blocks, 1):
        for linear in (block.attn.proj, block.mlp.fc2):  # type: ignore[union-attr]
            linear.weight.data.div_(math.sqrt(2 * n))  # type: ignore[union-attr, operator]


def gather_tokens(x: Tensor, ids: Tensor) -> Tensor:
    """Return the tokens numbered ``ids`` ``[B, K]`` of ``x`` ``[B, N, D]``."""
    return x.gather(1, ids[..., None].expand(-1, -1, x.shape[-1]))
