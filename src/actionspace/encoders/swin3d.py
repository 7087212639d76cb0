"""Video Swin Transformer on scaled-dot-product attention.

Liu et al., "Video Swin Transformer", CVPR 2022. Module names follow the official (mmaction 0.x)
checkpoints without their ``backbone.`` prefix, and every Linear is called as a module, so that
adapters can wrap any of them. Tokens are channels-last, [B, D, H, W, C], between the stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from actionspace.encoders.drop_path import DropPath
from actionspace.encoders.windows import (
    Size,
    WindowPlan,
    clipped_index,
    merge,
    partition,
    plan_windows,
    relative_index,
    shift_mask,
)
from actionspace.errors import UsageError


class Mlp(nn.Module):
    """Two Linears around an exact GELU."""

    def __init__(self, dim: int, hidden: int, drop: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Map [..., C] to [..., C]."""
        return cast(Tensor, self.drop(self.fc2(self.drop(self.act(self.fc1(x))))))


class WindowAttention(nn.Module):
    """Multi-head self-attention inside windows, with a learned relative position bias."""

    def __init__(
        self,
        dim: int,
        window: Size,
        heads: int,
        *,
        qkv_bias: bool,
        qk_scale: float | None,
        attn_drop: float,
        drop: float,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = qk_scale or (dim // heads) ** -0.5
        self.attn_drop = attn_drop
        rows = (2 * window[0] - 1) * (2 * window[1] - 1) * (2 * window[2] - 1)
        self.relative_position_bias_table = nn.Parameter(torch.zeros(rows, heads))
        self.qkv = nn.Linear(dim, 3 * dim, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(drop)
        self._bias: tuple[tuple[object, ...], Tensor] | None = None

    def position_bias(self, index: Tensor, dtype: torch.dtype) -> Tensor:
        """Return the bias [heads, tokens, tokens] for a table index [tokens, tokens].

        In eval mode without gradients it is kept until the table, the index or the dtype
        changes, since gathering it costs as much as a small layer. Writing through
        ``table.data`` in eval mode leaves no trace: call ``train()`` in between.
        """
        table = self.relative_position_bias_table
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._gather_bias(index, dtype)
        version = None if table.is_inference() else table._version
        key = (version, table.data_ptr(), index.data_ptr(), index.shape, dtype, table.device)
        if self._bias is None or self._bias[0] != key:
            self._bias = (key, self._gather_bias(index, dtype))
        return self._bias[1]

    def _gather_bias(self, index: Tensor, dtype: torch.dtype) -> Tensor:
        rows = self.relative_position_bias_table.to(dtype)[index.flatten()]
        return rows.t().reshape(self.heads, *index.shape)

    def train(self, mode: bool = True) -> WindowAttention:
        """Switch mode; training forgets the kept bias."""
        if mode:
            self._bias = None
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> WindowAttention:
        self._bias = None
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call,no-any-return]

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._bias = None
        super()._load_from_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, object]:
        """Leave the kept bias out of copies and files."""
        return self.__dict__ | {"_bias": None}

    def forward(self, x: Tensor, index: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within windows.

        Args:
            x: windows [B * n_windows, tokens, C].
            index: rows of the bias table, int64 [tokens, tokens].
            mask: additive mask [n_windows, tokens, tokens], or ``None``.
        """
        windows, tokens, dim = x.shape
        qkv = self.qkv(x).view(windows, tokens, 3, self.heads, dim // self.heads)
        bias = self.position_bias(index, qkv.dtype)
        if mask is None:
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            logits_bias = bias.unsqueeze(0)
        else:
            # Windows count as heads, so that one bias + mask serves every clip of the batch.
            n = mask.shape[0]
            qkv = qkv.view(-1, n, tokens, 3, self.heads, dim // self.heads)
            q, k, v = qkv.permute(3, 0, 1, 4, 2, 5).flatten(2, 3).unbind(0)
            logits_bias = (bias + mask.to(bias.dtype).unsqueeze(1)).flatten(0, 1).unsqueeze(0)
        drop = self.attn_drop if self.training else 0.0
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=logits_bias, dropout_p=drop, scale=self.scale
        )
        y = y.reshape(windows, self.heads, tokens, -1).transpose(1, 2).reshape(x.shape)
        return cast(Tensor, self.proj_drop(self.proj(y)))


class Block(nn.Module):
    """A pre-norm transformer block: windowed attention, then an MLP."""

    def __init__(
        self,
        dim: int,
        attn: WindowAttention,
        *,
        mlp_ratio: float,
        drop: float,
        drop_path: float,
        use_checkpoint: bool,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = attn
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio), drop)
        self.use_checkpoint = use_checkpoint

    def forward(self, x: Tensor, plan: WindowPlan, index: Tensor, mask: Tensor | None) -> Tensor:
        """Map tokens [B, D, H, W, C] to tokens of the same shape."""
        if self.use_checkpoint and torch.is_grad_enabled():
            y = checkpoint(self._attend, x, plan, index, mask, use_reentrant=False)
            x = x + self.drop_path(y)
            return x + checkpoint(self._transform, x, use_reentrant=False)
        x = x + self.drop_path(self._attend(x, plan, index, mask))
        return x + self._transform(x)

    def _attend(self, x: Tensor, plan: WindowPlan, index: Tensor, mask: Tensor | None) -> Tensor:
        # Padding comes after the norm: pad tokens are exact zeros and do take part.
        return merge(self.attn(partition(self.norm1(x), plan), index, mask), plan)

    def _transform(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.drop_path(self.mlp(self.norm2(x))))


class PatchMerging(nn.Module):
    """Halve height and width, double the channels; time is kept."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, D, H, W, C] to [B, D, ceil(H / 2), ceil(W / 2), 2C]."""
        height, width = x.shape[2:4]
        if height % 2 or width % 2:
            x = F.pad(x, (0, 0, 0, width % 2, 0, height % 2))
        corners = [x[:, :, h::2, w::2] for w in (0, 1) for h in (0, 1)]
        return cast(Tensor, self.reduction(self.norm(torch.cat(corners, dim=-1))))


class Stage(nn.Module):
    """Blocks at one resolution, alternately unshifted and shifted, then patch merging."""

    index: Tensor

    def __init__(
        self,
        blocks: Sequence[Block],
        downsample: PatchMerging | None,
        window: Size,
        *,
        clipped_bias_compat: bool,
    ) -> None:
        super().__init__()
        self.window = window
        self.clipped_bias_compat = clipped_bias_compat
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample
        # Follows from the window alone, so it is rebuilt rather than saved.
        self.register_buffer("index", relative_index(window), persistent=False)
        self._kept: tuple[tuple[object, ...], Tensor, Tensor | None] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, D, H, W, C] through the stage."""
        d, h, w = x.shape[1:4]
        still = plan_windows((d, h, w), self.window, (0, 0, 0))
        half = (self.window[0] // 2, self.window[1] // 2, self.window[2] // 2)
        moved = plan_windows((d, h, w), self.window, half)
        index, mask = self._geometry(moved)
        for i, block in enumerate(self.blocks):
            x = block(x, moved, index, mask) if i % 2 else block(x, still, index, None)
        return x if self.downsample is None else cast(Tensor, self.downsample(x))

    def _geometry(self, plan: WindowPlan) -> tuple[Tensor, Tensor | None]:
        if torch.compiler.is_compiling():
            return self._build_geometry(plan)
        key = (plan, self.index.data_ptr(), self.index.device)
        if self._kept is None or self._kept[0] != key:
            # Kept tensors must stay usable by autograd even if first built in inference mode.
            with torch.inference_mode(False):
                self._kept = (key, *self._build_geometry(plan))
        return self._kept[1:]

    def _build_geometry(self, plan: WindowPlan) -> tuple[Tensor, Tensor | None]:
        compat = self.clipped_bias_compat
        index = clipped_index(self.index, self.window, plan.window, compat=compat)
        return index, shift_mask(plan, self.index.device, torch.float32)

    def __getstate__(self) -> dict[str, object]:
        """Leave the kept mask out of copies and files."""
        return self.__dict__ | {"_kept": None}


class PatchEmbed(nn.Module):
    """Cut the clip into patches and project each to a token."""

    def __init__(self, patch: Size, in_channels: int, dim: int, patch_norm: bool) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv3d(in_channels, dim, kernel_size=patch, stride=patch)
        self.norm = nn.LayerNorm(dim) if patch_norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Map a clip [B, 3, T, H, W] to tokens [B, D, H', W', C], zero-padding its ends."""
        t, h, w = (-n % p for n, p in zip(x.shape[2:], self.patch, strict=True))
        if t or h or w:
            x = F.pad(x, (0, w, 0, h, 0, t))
        x = self.proj(x).permute(0, 2, 3, 4, 1)
        return x if self.norm is None else cast(Tensor, self.norm(x))


class SwinTransformer3D(nn.Module):
    """The Video Swin backbone: [B, 3, T, H, W] to features [B, C, T', H', W'].

    Args:
        patch_size: patch in frames and pixels (released models: (2, 4, 4)).
        in_channels: channels of the input.
        embed_dim: channels of the first stage; doubled at each patch merging.
        depths: blocks per stage.
        num_heads: attention heads per stage.
        window_size: window in tokens.
        mlp_ratio: hidden over input width of the MLPs.
        qkv_bias: whether queries, keys and values have a bias.
        qk_scale: scale of the logits; ``None`` = head_dim ** -0.5.
        drop_rate, attn_drop_rate: dropout of tokens and of attention weights.
        drop_path_rate: stochastic depth of the last block; linear from 0 over all blocks.
        patch_norm: LayerNorm after the patch embedding.
        use_checkpoint: recompute attention and MLP parts in the backward pass to save memory.
        frozen_stages: -1 trains all; 0 freezes the patch embedding (parameters and mode), n
            also the first n stages.
        clipped_bias_compat: with inputs so small that a window is clipped in space, read the
            bias table as the original does (entries of other offsets) rather than rightly.
            The published weights were trained with it.

    Raises:
        UsageError: depths, heads and widths do not fit together.
    """

    def __init__(
        self,
        *,
        patch_size: Sequence[int] = (2, 4, 4),
        in_channels: int = 3,
        embed_dim: int = 96,
        depths: Sequence[int] = (2, 2, 6, 2),
        num_heads: Sequence[int] = (3, 6, 12, 24),
        window_size: Sequence[int] = (8, 7, 7),
        mlp_ratio: float = 4.0,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        patch_norm: bool = True,
        use_checkpoint: bool = False,
        frozen_stages: int = -1,
        clipped_bias_compat: bool = True,
    ) -> None:
        super().__init__()
        patch, window = _size(patch_size, "patch_size"), _size(window_size, "window_size")
        dims = [embed_dim * 2**i for i in range(len(depths))]
        if len(num_heads) != len(depths) or any(
            d % h for d, h in zip(dims, num_heads, strict=True)
        ):
            raise UsageError(
                f"num_heads {list(num_heads)} must give one divisor of each stage's width {dims}."
            )
        self.dim = dims[-1]
        self.frozen_stages = frozen_stages
        self.patch_embed = PatchEmbed(patch, in_channels, embed_dim, patch_norm)
        self.pos_drop = nn.Dropout(drop_rate)
        blocks_in_all = sum(depths)
        rates = [drop_path_rate * i / max(blocks_in_all - 1, 1) for i in range(blocks_in_all)]
        self.layers = nn.ModuleList()
        for i, (dim, depth, heads) in enumerate(zip(dims, depths, num_heads, strict=True)):
            blocks = [
                Block(
                    dim,
                    WindowAttention(
                        dim,
                        window,
                        heads,
                        qkv_bias=qkv_bias,
                        qk_scale=qk_scale,
                        attn_drop=attn_drop_rate,
                        drop=drop_rate,
                    ),
                    mlp_ratio=mlp_ratio,
                    drop=drop_rate,
                    drop_path=rates.pop(0),
                    use_checkpoint=use_checkpoint,
                )
                for _ in range(depth)
            ]
            down = PatchMerging(dim) if i + 1 < len(depths) else None
            self.layers.append(Stage(blocks, down, window, clipped_bias_compat=clipped_bias_compat))
        self.norm = nn.LayerNorm(self.dim)
        self.apply(_initialise)
        self._freeze()

    def forward(self, x: Tensor) -> Tensor:
        """Encode normalised RGB clips [B, 3, T, H, W] into features [B, C, T', H', W']."""
        x = self.pos_drop(self.patch_embed(x))
        for layer in self.layers:
            x = layer(x)
        return cast(Tensor, self.norm(x)).permute(0, 4, 1, 2, 3)

    def train(self, mode: bool = True) -> SwinTransformer3D:
        """Switch mode; frozen stages stay in eval mode."""
        super().train(mode)
        self._freeze()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        for module in (self.patch_embed, *self.layers[: self.frozen_stages]):
            module.eval()
            module.requires_grad_(False)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, WindowAttention):
        nn.init.trunc_normal_(module.relative_position_bias_table, std=0.02)


def _size(values: Sequence[int], what: str) -> Size:
    numbers = tuple(int(v) for v in values)
    if len(numbers) != 3 or min(numbers) < 1:
        raise UsageError(f"{what} must be three positive numbers (time, height, width): {values}.")
    return numbers[0], numbers[1], numbers[2]
