"""V-JEPA 2 and 2.1 architectures as plain data, with parameters and operations by formula.

Nothing here imports torch, so that listing encoders is instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from actionspace.encoders.spec import ClipSpec


@dataclass(frozen=True)
class VJEPAArchitecture:
    """A released network of :class:`~actionspace.encoders.vjepa.VJEPA2` or ``VJEPA21``.

    Attributes:
        name: what to ask for: the name of the publisher's torch.hub entry.
        embed_dim, depth, num_heads, mlp_ratio: of its blocks.
        size: pixels of the clips it was trained on last.
        version: 2 or 2.1.
        predictor_depth: blocks of its predictor.
        predictor_levels: levels of tokens the predictor reads (and g and G predict).
        predictor_out: channels the predictor predicts.
    """

    name: str
    embed_dim: int
    depth: int
    num_heads: int
    mlp_ratio: float
    size: int
    version: float = 2
    predictor_depth: int = 12
    predictor_levels: int = 1
    predictor_out: int = 0

    @property
    def network(self) -> str:
        """The module class, as ``module:class``."""
        module, kind = ("vjepa", "VJEPA2") if self.version == 2 else ("vjepa21", "VJEPA21")
        return f"actionspace.encoders.{module}:{kind}"

    @property
    def dim(self) -> int:
        """Channels of its features."""
        return self.embed_dim

    @property
    def clip(self) -> ClipSpec:
        """64 frames, every second one, as in the publisher's example; any length works."""
        return ClipSpec(64, 2, size=self.size, short_side=int(self.size * 256 / 224))

    def options(self) -> dict[str, Any]:
        """Return the network's keyword arguments."""
        names = ("embed_dim", "depth", "num_heads", "mlp_ratio")
        return {name: getattr(self, name) for name in names}

    def predictor_options(self) -> dict[str, Any]:
        """Return the keyword arguments of its predictor."""
        options: dict[str, Any] = {
            "embed_dim": self.embed_dim,
            "depth": self.predictor_depth,
            "out_dim": self.predictor_out or None,
            "img_size": self.size,
        }
        return options if self.version == 2 else options | {"levels": self.predictor_levels}

    def parameters(self, classes: int = 0) -> int:
        """Count parameters, those of a linear head of ``classes`` outputs included."""
        dim = self.embed_dim
        total = self._patch() * dim + dim + self.depth * _block(dim, self._hidden())
        total += 2 * dim  # the norm
        if self.version != 2:  # three more, two modalities, patches of pictures
            total += 6 * dim + 2 * dim + self._patch() // 2 * dim + dim
        return total + (classes * (dim + 1) if classes else 0)

    def predictor_parameters(self) -> int:
        """Count the parameters of its predictor, 384 channels wide."""
        dim, width, levels = self.embed_dim, 384, self.predictor_levels
        total = self.predictor_depth * _block(width, 4 * width) + 2 * width
        total += dim * width + width
        total += levels * dim * dim + dim if levels > 1 else 0
        heads = (self.predictor_out or levels * dim) * (width + 1)
        tokens, heads = (10, heads) if self.version == 2 else (8 + 2, 2 * heads)
        return total + heads + tokens * width

    def multiply_adds(self, frames: int, height: int, width: int) -> int:
        """Count the multiply-adds of one clip's forward pass (the literature's "FLOPs").

        Linear layers, patches and attention; norms, positions and activations are left out.
        """
        tokens = (frames // 2) * (height // 16) * (width // 16)
        dim = self.embed_dim
        block = 4 * dim * dim + 2 * dim * self._hidden() + 2 * tokens * dim
        return tokens * (self._patch() * dim + self.depth * block)

    @property
    def buffer_bytes(self) -> int:
        """What a published file holds beside 16 bytes for each of the encoder's parameters.

        It holds the encoder twice and the predictor, with the optimiser's two moments of what was
        trained: the encoder once and the predictor.
        """
        return 12 * self.predictor_parameters()

    def describe(self) -> str:
        """Say in a few words what it is."""
        return f"V-JEPA {self.version:g}, {self.parameters() / 1e6:.0f} M"

    def _hidden(self) -> int:
        return int(self.embed_dim * self.mlp_ratio)

    def _patch(self) -> int:
        return 3 * 2 * 16 * 16


def _block(dim: int, hidden: int) -> int:
    attention = 3 * dim * (dim + 1) + dim * (dim + 1)
    return attention + hidden * (dim + 1) + dim * (hidden + 1) + 4 * dim
