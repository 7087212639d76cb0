"""The video transformer V-JEPA 2; version 2.1 is in :mod:`.vjepa21`.

Assran et al. 2025, "V-JEPA 2: Self-Supervised Video Models Enable Understanding, Prediction and
Planning" (arXiv 2506.09985). The predictors are in :mod:`.vjepa_predictor`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from actionspace.encoders.vjepa_layers import Block, damp, gather_tokens, initialise
from actionspace.encoders.vjepa_rope import Table, rotary_table, token_positions
from actionspace.encoders.vjepa_sincos import Grid, fit_table, sincos_table
from actionspace.errors import UsageError

Masks = Tensor | Sequence[Tensor] | None


class PatchEmbed(nn.Module):
    """Cut clips or pictures into patches and project each to a token; what is left over drops."""

    def __init__(self, patch: tuple[int, ...], in_channels: int, dim: int) -> None:
        super().__init__()
        self.patch = patch
        conv: Any = nn.Conv3d if len(patch) == 3 else nn.Conv2d
        self.proj = conv(in_channels, dim, kernel_size=patch, stride=patch)

    def grid(self, x: Tensor) -> Grid:
        """Return times, rows and columns of the tokens of ``x``.

        Raises:
            UsageError: it has other axes, or is smaller than one patch.
        """
        if x.ndim != len(self.patch) + 2:
            wanted = "clips [B, C, T" if len(self.patch) == 3 else "pictures [B, C"
            raise UsageError(
                f"Expected {wanted}, H, W], got {list(x.shape)}; a picture is a clip of one frame."
            )
        sizes = [size // patch for size, patch in zip(x.shape[2:], self.patch, strict=True)]
        if min(sizes) < 1:
            raise UsageError(
                f"A clip of {' x '.join(map(str, x.shape[2:]))} (frames, height, width) is smaller "
                f"than one patch of {' x '.join(map(str, self.patch))}; give more frames or pixels."
            )
        times = sizes[0] if len(sizes) == 3 else 1
        return times, sizes[-2], sizes[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, 3, (T,) H, W]`` to tokens ``[B, N, D]``, time-major, then rows."""
        return cast(Tensor, self.proj(x)).flatten(2).transpose(1, 2)


class VJEPA2(nn.Module):
    """The V-JEPA 2 encoder: ``[B, 3, T, H, W]`` to features ``[B, D, T', H', W']``.

    Any clip of at least one patch will do; positions are counted on its own grid.

    Args:
        embed_dim, depth, num_heads, mlp_ratio, qkv_bias: of the blocks.
        patch_size: in pixels.
        tubelet_size: frames of a patch.
        in_channels: of the input.
        num_frames: 1 makes a network of pictures, of ``[B, 3, H, W]`` or one frame. Otherwise it
            only sizes the table of positions where ``use_rope`` is off.
        img_size: pixels (height and width, or both alike) that table is built for.
        use_rope: rotary positions, as in every released model; off: a fixed table.
        uniform_power: how that table divides its channels; see :mod:`.vjepa_sincos`.
        use_silu, wide_silu: gated MLPs; see :class:`~.vjepa_layers.SwiGLU`.
        position_grid: rows (and columns) that token numbers are read on, instead of the clip's own.
            transformers always reads them on its ``crop_size``; the original does with
            ``handle_nonsquare_inputs=False``.
        drop_path_rate: stochastic depth of the last block; linear from 0 over all blocks.

    Raises:
        UsageError: the heads do not divide the width.
    """

    interleaved = False

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
        num_frames: int = 64,
        img_size: int | Sequence[int] = 256,
        use_rope: bool = True,
        uniform_power: bool = False,
        use_silu: bool = False,
        wide_silu: bool = True,
        position_grid: int | None = None,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = embed_dim
        self.head_dim = embed_dim // num_heads
        self.position_grid = position_grid
        self.span: int | None = None
        patch = (patch_size, patch_size)
        self.patch_embed = PatchEmbed(
            patch if num_frames == 1 else (tubelet_size, *patch), in_channels, embed_dim
        )
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        times = 1 if num_frames == 1 else num_frames // tubelet_size
        self.built_for: Grid = (times, height // patch_size, width // patch_size)
        self.pos_embed = None
        if not use_rope:
            table = sincos_table(embed_dim, self.built_for, uniform=uniform_power)
            self.pos_embed = nn.Parameter(table, requires_grad=False)
        self.blocks = nn.ModuleList(
            Block(
                embed_dim,
                num_heads,
                mlp_ratio=mlp_ratio,
                qkv_bias=qkv_bias,
                use_silu=use_silu,
                wide_silu=wide_silu,
                drop_path=drop_path_rate * i / max(depth - 1, 1),
            )
            for i in range(depth)
        )
        self._make_norms(embed_dim, depth)
        self.apply(initialise)
        damp(self.blocks)

    def _make_norms(self, dim: int, depth: int) -> None:
        self.norm = nn.LayerNorm(dim, 1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Encode normalised clips into features ``[B, D, T', H', W']``.

        Raises:
            UsageError: a clip is smaller than one patch.
        """
        tokens = self.encode(x)
        x = self._picture(x)
        return tokens.transpose(1, 2).reshape(len(x), -1, *self._embedding(x).grid(x))

    def encode(self, x: Tensor, masks: Masks = None) -> Tensor:
        """Return normed tokens ``[B, N, D]``, or those of ``masks``.

        Args:
            x: normalised clips ``[B, 3, T, H, W]``.
            masks: numbers ``[B, K]`` of the only tokens to see; of a list of M masks the tokens
                are ``[M * B, K, D]``, mask by mask.

        Raises:
            UsageError: a clip is smaller than one patch.
        """
        last = len(self.blocks) - 1
        return self._normed(self._run(x, masks, (last,))[last], last)

    def encode_layers(self, x: Tensor, layers: Sequence[int], masks: Masks = None) -> list[Tensor]:
        """Return tokens behind each of ``layers`` (blocks from 0), normed, shallow to deep.

        Raises:
            UsageError: there is no such block, or none with a norm; or none is asked for.
        """
        known = self.norm_layers
        if not layers:
            raise UsageError(f"Name the blocks whose output is wanted, of {list(known)}.")
        if wrong := [layer for layer in layers if layer not in known]:
            raise UsageError(f"No output behind block {wrong[0]}; choose of {list(known)}.")
        found = self._run(x, masks, layers)
        return [self._normed(found[layer], layer) for layer in sorted(found)]

    @property
    def norm_layers(self) -> Sequence[int]:
        """Blocks whose output can be asked for."""
        return range(len(self.blocks))

    def _normed(self, x: Tensor, layer: int) -> Tensor:
        return cast(Tensor, self.norm(x))

    def _run(self, x: Tensor, masks: Masks, keep: Collection[int]) -> dict[int, Tensor]:
        """Return the tokens behind each block of ``keep``, not yet normed."""
        x = self._picture(x)
        grid = self._embedding(x).grid(x)
        x = self._embed(x, grid)
        ids = None
        if masks is not None:
            each = [masks] if isinstance(masks, Tensor) else list(masks)
            x = torch.cat([gather_tokens(x, mask) for mask in each])
            ids = torch.cat(each)
        table = self._table(ids, grid, x.device)
        kept = {}
        for i, block in enumerate(self.blocks[: max(keep) + 1]):
            x = block(x, table)
            if i in keep:
                kept[i] = x
        return kept

    def _picture(self, x: Tensor) -> Tensor:
        """Drop the time of one frame for a network of pictures."""
        flat = len(self.patch_embed.patch) == 2 and x.ndim == 5 and x.shape[2] == 1
        return x[:, :, 0] if flat else x

    def _embedding(self, x: Tensor) -> PatchEmbed:
        return self.patch_embed

    def _embed(self, x: Tensor, grid: Grid) -> Tensor:
        x = self._embedding(x)(x)
        return x if self.pos_embed is None else x + fit_table(self.pos_embed, self.built_for, grid)

    def _table(self, ids: Tensor | None, grid: Grid, device: torch.device) -> Table | None:
        if self.pos_embed is not None:
            return None
        ids = torch.arange(math.prod(grid), device=device) if ids is None else ids
        side = self.position_grid
        space = (grid[1], grid[2]) if side is None else (side, side)
        positions = token_positions(ids, space, self.span)
        return rotary_table(positions, self.head_dim, interleaved=self.interleaved)
