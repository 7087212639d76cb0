"""Options of an attentive probe, without torch."""

from __future__ import annotations

from pydantic import Field

from actionspace.config import Config


class AttentiveConfig(Config):
    """An attentive probe; the defaults are those of V-JEPA 2's published probes."""

    depth: int = Field(4, ge=1)
    """Blocks: all but the last attend among the tokens, the last one pools them."""

    num_heads: int = Field(16, ge=1)
    """Attention heads; they must divide the width of the tokens."""

    mlp_ratio: float = Field(4.0, gt=0)
    """Hidden over input width of the MLPs."""

    qkv_bias: bool = True
    """Whether queries, keys and values have a bias."""

    complete_block: bool = True
    """Norms, residual and MLP around the pooling attention; off: the attention alone."""

    layer_norm_eps: float = Field(1e-5, gt=0)
    """Of the LayerNorms. transformers has the encoder's 1e-6 here."""
