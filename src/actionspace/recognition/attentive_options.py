"""Options of an attentive head, without torch."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from actionspace.config import Config
from actionspace.heads.attentive_config import AttentiveConfig

MOST_HEADS = 16


class AttentiveHeadConfig(Config):
    """The attentive probe and how it is fitted: a grid of learning rates and weight decays at once,
    the best pair chosen on held-out groups. Grid and epochs are those of V-JEPA 2."""

    depth: PositiveInt = 1
    """Blocks: the last one pools the tokens, those before let them attend to each other. V-JEPA 2
    has 4; 1 is for small data."""
    num_heads: PositiveInt | None = None
    """Attention heads; they must divide the width of the tokens. Empty = as many as do, up to the
    published 16."""
    mlp_ratio: float = Field(default=4.0, gt=0)
    """Hidden over input width of the MLPs."""
    qkv_bias: bool = True
    """Whether queries, keys and values have a bias."""
    complete_block: bool = True
    """Norms, residual and MLP around the pooling attention; off: the attention alone."""
    lrs: list[float] = Field(default=[5e-3, 3e-3, 1e-3, 3e-4, 1e-4], min_length=1)
    """Learning rates to choose from; each falls along half a cosine to 0."""
    weight_decays: list[float] = Field(default=[0.01, 0.1, 0.4, 0.8], min_length=1)
    """Weight decays to choose from."""
    epochs: PositiveInt = 20
    """Passes over the training rows."""
    batch_size: PositiveInt = 64
    """Rows per step."""
    join_clips: bool = False
    """Event rows: all clips of an event that show one crop make one long sequence of tokens, as in
    V-JEPA's evaluations; off: each clip is scored and the probabilities are averaged."""

    def of_width(self, dim: int) -> AttentiveConfig:
        """Return the options of a probe on tokens of width ``dim``."""
        heads = self.num_heads
        if heads is None:
            heads = max(n for n in range(1, MOST_HEADS + 1) if dim % n == 0)
        return AttentiveConfig(
            depth=self.depth,
            num_heads=heads,
            mlp_ratio=self.mlp_ratio,
            qkv_bias=self.qkv_bias,
            complete_block=self.complete_block,
        )
