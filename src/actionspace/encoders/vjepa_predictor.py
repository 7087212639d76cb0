"""The predictors of V-JEPA 2 and 2.1: from tokens of a clip to those of other places and times."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from actionspace.encoders.vjepa_layers import Block, damp, gather_tokens, initialise
from actionspace.encoders.vjepa_rope import rotary_table, token_positions, trained_span
from actionspace.encoders.vjepa_sincos import sincos_table


class VJEPA2Predictor(nn.Module):
    """The V-JEPA 2 predictor.

    Args:
        embed_dim: width of the encoder's tokens.
        predictor_embed_dim, depth, num_heads, mlp_ratio, qkv_bias: of its own blocks.
        out_dim: channels it predicts; by default those of its input.
        num_mask_tokens: learned stand-ins for a target. In the released weights only the first is
            not zero.
        img_size: pixels that token numbers are read on, one for a square as in the original, or
            height and width. (The original takes two and reads both on the height.) It is fixed:
            for another clip size make another predictor with the same weights.
        patch_size: in pixels.
        num_frames, tubelet_size, uniform_power: size and shape of the table of positions where
            ``use_rope`` is off.
        use_rope: rotary positions, as in every released model.
        use_silu, wide_silu: gated MLPs; see :class:`~.vjepa_layers.SwiGLU`.
        drop_path_rate: stochastic depth of the last block; linear from 0 over all blocks.
    """

    interleaved = False

    def __init__(
        self,
        *,
        embed_dim: int = 1024,
        out_dim: int | None = None,
        predictor_embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        num_mask_tokens: int = 10,
        img_size: int | tuple[int, int] = 256,
        patch_size: int = 16,
        num_frames: int = 64,
        tubelet_size: int = 2,
        uniform_power: bool = False,
        use_rope: bool = True,
        use_silu: bool = False,
        wide_silu: bool = True,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (height // patch_size, width // patch_size)
        self.head_dim = predictor_embed_dim // num_heads
        self.span: int | None = None
        self.predictor_embed: nn.Module = nn.Linear(embed_dim, predictor_embed_dim)
        self.mask_tokens = nn.ParameterList(
            nn.Parameter(torch.zeros(1, 1, predictor_embed_dim)) for _ in range(num_mask_tokens)
        )
        self.predictor_pos_embed = None
        if not use_rope:
            times = max(num_frames // tubelet_size, 1)
            table = sincos_table(predictor_embed_dim, (times, *self.grid), uniform=uniform_power)
            self.predictor_pos_embed = nn.Parameter(table, requires_grad=False)
        self.predictor_blocks = nn.ModuleList(
            Block(
                predictor_embed_dim,
                num_heads,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                use_silu=use_silu,
                wide_silu=wide_silu,
                drop_path=drop_path_rate * i / max(depth - 1, 1),
            )
            for i in range(depth)
        )
        self.predictor_norm = nn.LayerNorm(predictor_embed_dim, 1e-6)
        self.predictor_proj = nn.Linear(predictor_embed_dim, out_dim or embed_dim)
        self.apply(initialise)
        damp(self.predictor_blocks)

    def forward(
        self, x: Tensor, context: Tensor, targets: Tensor, *, mask_index: int = 1
    ) -> Tensor:
        """Return predicted tokens ``[B, M, D]`` of the numbers ``targets``.

        Args:
            x: the encoder's tokens ``[B, K, D]``.
            context: their numbers ``[B, K]``.
            targets: numbers ``[B, M]`` of the tokens to predict; they may lie beyond the clip, and
                may be among the context's.
            mask_index: which learned stand-in, modulo their number. The original's default is 1,
                a token of zeros in the released weights.
        """
        return cast(Tensor, self.predictor_proj(self._run(x, context, targets, mask_index)[1]))

    def _run(
        self,
        x: Tensor,
        context: Tensor,
        targets: Tensor,
        mask_index: int,
        modality: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return context and target tokens in the predictor's width.

        The original sorts tokens by number first; attention does not see their order.
        """
        seen = self.predictor_embed(x)
        stand_in = self.mask_tokens[mask_index % len(self.mask_tokens)]
        ids = torch.cat((context, targets), dim=1)
        tokens = torch.cat((seen, stand_in.expand(*targets.shape, -1).to(seen.dtype)), dim=1)
        table = None
        if self.predictor_pos_embed is not None:
            tokens = tokens + gather_tokens(self.predictor_pos_embed.expand(len(x), -1, -1), ids)
        else:
            positions = token_positions(ids, self.grid, self.span)
            table = rotary_table(positions, self.head_dim, interleaved=self.interleaved)
        if modality is not None:
            tokens = tokens + modality
        for block in self.predictor_blocks:
            tokens = block(tokens, table)
        tokens = self.predictor_norm(tokens)
        return tokens[:, : context.shape[1]], tokens[:, context.shape[1] :]


class VJEPA21Predictor(VJEPA2Predictor):
    """The V-JEPA 2.1 predictor, of one level (B and L) or four (g and G).

    Args:
        embed_dim: width of the encoder's tokens of one level.
        levels: of its input; the channels of more than one are concatenated, shallow to deep.
        out_dim: channels it predicts: those of the teacher, by default those of its input.
        interpolate_rope: stretch rows and columns to the span of 256 pixels, as trained. The
            published builder leaves it off, which at 384 pixels gives other numbers; this is the
            default here.
        modality_embedding: add a learned vector that tells pictures from videos.
        return_all_tokens: predict the context's tokens as well.
        depth, num_mask_tokens, num_heads, ...: as :class:`VJEPA2Predictor`.
    """

    interleaved = True

    def __init__(
        self,
        *,
        embed_dim: int = 1024,
        levels: int = 1,
        out_dim: int | None = None,
        predictor_embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 12,
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        num_mask_tokens: int = 8,
        img_size: int | tuple[int, int] = 384,
        patch_size: int = 16,
        interpolate_rope: bool = False,
        modality_embedding: bool = True,
        return_all_tokens: bool = True,
        use_silu: bool = False,
        wide_silu: bool = True,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(
            embed_dim=embed_dim,
            out_dim=out_dim or levels * embed_dim,
            predictor_embed_dim=predictor_embed_dim,
            depth=depth,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            qkv_bias=qkv_bias,
            num_mask_tokens=num_mask_tokens,
            img_size=img_size,
            patch_size=patch_size,
            use_silu=use_silu,
            wide_silu=wide_silu,
            drop_path_rate=drop_path_rate,
        )
        self.span = trained_span(patch_size) if interpolate_rope else None
        width = predictor_embed_dim
        if levels > 1:
            self.predictor_embed = nn.Sequential(
                nn.Linear(levels * embed_dim, embed_dim),
                nn.SiLU() if use_silu else nn.GELU(),
                nn.Linear(embed_dim, width),
            )
            self.predictor_embed.apply(initialise)
        self.predictor_proj_context = None
        if return_all_tokens:
            self.predictor_proj_context = nn.Linear(width, self.predictor_proj.out_features)
            self.predictor_proj_context.apply(initialise)
        self.img_mod_embed = self.video_mod_embed = None
        if modality_embedding:
            self.img_mod_embed = nn.Parameter(1e-6 * torch.randn(1, 1, width))
            self.video_mod_embed = nn.Parameter(1e-6 * torch.randn(1, 1, width))

    def forward(
        self,
        x: Tensor,
        context: Tensor,
        targets: Tensor,
        *,
        mask_index: int = 1,
        modality: Literal["video", "image"] = "video",
    ) -> Tensor:
        """Return predicted tokens ``[B, M, out_dim]``; see :meth:`VJEPA2Predictor.forward`."""
        return self.predict_both(x, context, targets, mask_index=mask_index, modality=modality)[0]

    def predict_both(
        self,
        x: Tensor,
        context: Tensor,
        targets: Tensor,
        *,
        mask_index: int = 1,
        modality: Literal["video", "image"] = "video",
    ) -> tuple[Tensor, Tensor | None]:
        """Return predicted tokens of the targets and, if it has a layer for it, of the context."""
        told = self.img_mod_embed if modality == "image" else self.video_mod_embed
        seen, wanted = self._run(x, context, targets, mask_index, told)
        head = self.predictor_proj_context
        return self.predictor_proj(wanted), None if head is None else head(seen)
