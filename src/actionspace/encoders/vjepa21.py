"""The video and picture transformer V-JEPA 2.1 (arXiv 2603.14482)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from actionspace.encoders.vjepa import VJEPA2, Masks, PatchEmbed
from actionspace.encoders.vjepa_layers import initialise
from actionspace.encoders.vjepa_rope import trained_span
from actionspace.encoders.vjepa_sincos import Grid
from actionspace.errors import UsageError

LEVELS = {
    12: (2, 5, 8, 11),
    24: (5, 11, 17, 23),
    40: (9, 19, 29, 39),
    48: (11, 23, 37, 47),
}
"""Blocks of V-JEPA 2.1 whose output has a norm of its own, by depth."""


class VJEPA21(VJEPA2):
    """The V-JEPA 2.1 encoder: as :class:`VJEPA2`, other rotary positions, pictures, four levels.

    Args:
        interpolate_rope: stretch rows and columns to the span of 256 pixels whatever the clip's
            size: as trained, and as the published builder does. (The published anticipation
            evaluation leaves it off.)
        img_temporal_dim_size: clips of so many frames are pictures and have a patch embedding of
            their own; ``None``: none are.
        modality_embedding: add a learned vector that tells pictures from videos.
        hierarchical: features are those of all levels, ``[B, 4 D, T', H', W']``, shallow to deep.
        n_output_distillation: how many levels these are, 4 or 1. In the released B and L the three
            shallow norms are untrained.
        depth: 12, 24, 40 or 48, for which levels are defined.
        **options: of :class:`VJEPA2`, positions but rotary ones excepted.

    Raises:
        UsageError: no levels are defined for this depth or number.
    """

    interleaved = True

    def __init__(
        self,
        *,
        embed_dim: int = 1024,
        depth: int = 24,
        num_heads: int = 16,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        patch_size: int = 16,
        tubelet_size: int = 2,
        in_channels: int = 3,
        use_silu: bool = False,
        wide_silu: bool = True,
        interpolate_rope: bool = True,
        img_temporal_dim_size: int | None = 1,
        modality_embedding: bool = True,
        hierarchical: bool = False,
        n_output_distillation: int = 4,
        position_grid: int | None = None,
        drop_path_rate: float = 0.0,
    ) -> None:
        if depth not in LEVELS or n_output_distillation not in (1, 4):
            raise UsageError(
                f"V-JEPA 2.1 has 1 or 4 levels of depth {', '.join(map(str, LEVELS))}; got "
                f"n_output_distillation={n_output_distillation} and depth={depth}."
            )
        super().__init__(
            embed_dim=embed_dim,
            depth=depth,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            qkv_bias=qkv_bias,
            patch_size=patch_size,
            tubelet_size=tubelet_size,
            in_channels=in_channels,
            use_silu=use_silu,
            wide_silu=wide_silu,
            position_grid=position_grid,
            drop_path_rate=drop_path_rate,
        )
        self.span = trained_span(patch_size) if interpolate_rope else None
        self.stated = {"interpolate_rope": interpolate_rope}
        self.levels = LEVELS[depth][-n_output_distillation:]
        self.hierarchical = hierarchical
        self.dim = embed_dim * len(self.levels) if hierarchical else embed_dim
        self.picture_frames = img_temporal_dim_size
        self.patch_embed_img = None
        if img_temporal_dim_size is not None:
            self.patch_embed_img = PatchEmbed((1, patch_size, patch_size), in_channels, embed_dim)
            self.patch_embed_img.apply(initialise)
        self.img_mod_embed = self.video_mod_embed = None
        if modality_embedding:
            self.img_mod_embed = nn.Parameter(1e-6 * torch.randn(1, 1, embed_dim))
            self.video_mod_embed = nn.Parameter(1e-6 * torch.randn(1, 1, embed_dim))

    def _make_norms(self, dim: int, depth: int) -> None:
        self.norms_block = nn.ModuleList(nn.LayerNorm(dim, 1e-6) for _ in LEVELS[depth])

    @property
    def norm_layers(self) -> Sequence[int]:
        """Blocks whose output can be asked for."""
        return LEVELS[len(self.blocks)]

    def encode(self, x: Tensor, masks: Masks = None, *, hierarchical: bool | None = None) -> Tensor:
        """Return normed tokens ``[B, N, D]``, or of all levels ``[B, N, 4 D]``.

        Args:
            x: normalised clips ``[B, 3, T, H, W]``.
            masks: as :meth:`VJEPA2.encode`.
            hierarchical: instead of the network's own setting.

        Raises:
            UsageError: a clip is smaller than one patch.
        """
        if self.hierarchical if hierarchical is None else hierarchical:
            return torch.cat(self.encode_layers(x, self.levels, masks), dim=2)
        return super().encode(x, masks)

    def _normed(self, x: Tensor, layer: int) -> Tensor:
        return cast(Tensor, self.norms_block[self.norm_layers.index(layer)](x))

    def _embedding(self, x: Tensor) -> PatchEmbed:
        pictures = self.patch_embed_img
        return self.patch_embed if pictures is None or not self._is_picture(x) else pictures

    def _is_picture(self, x: Tensor) -> bool:
        return x.shape[2] == self.picture_frames

    def _embed(self, x: Tensor, grid: Grid) -> Tensor:
        modality = self.img_mod_embed if self._is_picture(x) else self.video_mod_embed
        tokens = cast(Tensor, self._embedding(x)(x))
        return tokens if modality is None else tokens + modality
